"""From a bare Python to a running vetx: `python3 run.py [arguments of vetx]`; none: `serve`; `test`: the tests.

Makes `.venv`, installs what `requirements.lock` names and nothing else (pip's own configuration says from where), and
hands over. The next start finds the lock's hash stamped in `.venv` and hands over at once. Standard library only.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  (the one line an older Python has to understand)
    sys.exit(
        f"vetx needs Python 3.11 or newer, and this is {sys.version_info[0]}.{sys.version_info[1]}: start it as "
        "`python3.13 run.py`, or with any other newer Python."
    )

import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WINDOWS = sys.platform == "win32"
INSTALLING = "installing"  # the stamp of an environment that is not whole
LOCKS = ["requirements.lock", "tests/requirements.lock"]
POLL_S = 0.1
PIP = ["--disable-pip-version-check", "--no-input"]
INSTALL = ["install", "--require-hashes", "--only-binary", ":all:", "--progress-bar", "off"]
LAST_LINES = 12

# What `run.py test` runs before pytest.
CHECKS = [
    ["ruff", "check", "--quiet", "."],
    ["ruff", "format", "--check", "--quiet", "."],
    ["mypy"],
]
# How it runs pytest on the whole suite: on every core, the files in the order of tests/conftest.py, lines counted.
WHOLE = [
    *("--numprocesses", "logical", "--maxprocesses", "4", "--dist", "loadfile", "--no-loadscope-reorder"),
    *("--cov", "--cov-report", "term-missing:skip-covered"),
]


class Stop(Exception):
    """We can't go on; the message says in one sentence what to do."""


def say(words: str) -> None:
    print(f"vetx: {words}", file=sys.stderr, flush=True)  # noqa: T201


class Environment:
    """`.venv` of one checkout: what is installed there, and how to install."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.folder = checkout / ".venv"
        self.scripts = self.folder / ("Scripts" if WINDOWS else "bin")
        self.python = self.scripts / ("python.exe" if WINDOWS else "python")
        self.stamp = self.folder / "vetx.stamp"
        self.log = self.folder / "vetx.install.log"

    def provide(self, lock: Path) -> None:
        """Leave behind an environment with everything that `lock` names."""
        wanted = _digest(lock)
        if self._has(wanted):
            self._write_command()
            return
        try:
            self.folder.mkdir(exist_ok=True)
            with self._locked() as descriptor:
                if not self._has(wanted):  # another start may have done it while we waited
                    self._install(lock, wanted, descriptor)
        except OSError as error:
            raise Stop(
                f"{error.filename or self.folder} cannot be written ({error.strerror}); start vetx as the owner of "
                f"{self.checkout}, or from a copy of your own on a disk with room."
            ) from error

    def _stamped(self) -> list[str]:
        try:
            return self.stamp.read_text(encoding="ascii").split()
        except (FileNotFoundError, UnicodeDecodeError):
            return []

    def _has(self, wanted: str) -> bool:
        return wanted in self._stamped() and self.python.exists()

    def _write_stamp(self, *words: str) -> None:
        new = self.stamp.with_suffix(".new")
        new.write_text("\n".join(words), encoding="ascii")
        new.replace(self.stamp)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """One install at a time; the system drops the lock when its holder and the pip it started are dead."""
        descriptor = os.open(self.folder / "vetx.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            told = False
            while not _try_lock(descriptor):
                if not told:
                    say("another start is installing; waiting for it")
                    told = True
                time.sleep(POLL_S)
            yield descriptor
        finally:
            os.close(descriptor)

    def _install(self, lock: Path, wanted: str, lock_descriptor: int) -> None:
        began = time.monotonic()
        stamped = self._stamped()
        if INSTALLING in stamped or not self.python.exists():
            if INSTALLING in stamped:
                say("the last install was interrupted; starting it over")
            self._empty()
            stamped = []
        self._write_stamp(INSTALLING)
        if not self.python.exists():
            say(f"making an environment in {self.folder}")
            # A copy of the interpreter where links need rights; symlinks elsewhere, as `python -m venv` does.
            venv.EnvBuilder(symlinks=not WINDOWS).create(self.folder)
        pip = self._find_pip()
        count = len(re.findall(r"(?m)^[a-z0-9].*==", lock.read_text(encoding="utf-8")))
        name = lock.relative_to(self.checkout).as_posix()
        say(f"installing up to {count} packages from {name}; this takes a minute, once")
        self._run_pip([*pip, *PIP, *INSTALL, "-r", str(lock)], count, lock_descriptor)
        self._write_command()
        # The two locks agree on versions, so that installing one does not undo the other.
        current = [_digest(path) for path in map(self.checkout.joinpath, LOCKS) if path.exists()]
        self._write_stamp(wanted, *(word for word in stamped if word in current and word != wanted))
        say(f"installed in {time.monotonic() - began:.0f} s")

    def _empty(self) -> None:
        for entry in self.folder.iterdir():
            if entry.name == "vetx.lock":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _find_pip(self) -> list[str]:
        """A pip that installs into the environment: its own, or one of the system that can work from outside.

        Debian keeps ensurepip in a package of its own, so a Python there may have none.
        """
        inside = [str(self.python), "-m", "pip"]
        if _works([*inside, "--version"]):
            return inside
        if importlib.util.find_spec("ensurepip") and _works([str(self.python), "-m", "ensurepip", "--default-pip"]):
            return inside
        pips = [[sys.executable, "-m", "pip"], *([path] for path in map(shutil.which, ("pip3", "pip")) if path)]
        for folder in (sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"):
            # A wheel of pip runs as it lies.
            pips += [[sys.executable, f"{wheel}/pip"] for wheel in sorted(Path(folder or ".").glob("pip-*.whl"))]
        for pip in pips:
            outside = [*pip, "--python", str(self.python)]
            if _works([*outside, "--version"]):
                return outside
        raise Stop(
            f"{sys.executable} has neither ensurepip nor pip: install one (on Debian `apt install python3-venv`) "
            "and start vetx again."
        )

    def _run_pip(self, command: list[str], count: int, lock_descriptor: int) -> None:
        """Run pip with a line of progress, its own words in a file."""
        # pip may not be told to install elsewhere; all the rest of its configuration holds.
        process = subprocess.Popen(  # noqa: S603
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "PIP_USER": "0", "PYTHONUNBUFFERED": "1"},
            pass_fds=() if WINDOWS else (lock_descriptor,),
        )
        terminal = sys.stderr.isatty()
        collected = 0
        words: list[str] = []
        assert process.stdout is not None
        try:
            with process.stdout, self.log.open("w", encoding="utf-8") as log:
                for line in process.stdout:
                    log.write(line)
                    words.append(line.rstrip())
                    step = ""
                    found = re.match(r"(?:Collecting|Processing|Requirement already satisfied:) (\S+)", line)
                    if found:
                        collected += 1
                        step = f"{collected}/{count} {_package(found[1])}"
                    elif line.startswith("Installing collected"):
                        step = "unpacking"
                    if step and terminal:
                        print(f"\r\033[K  {step}", end="", file=sys.stderr, flush=True)  # noqa: T201
                    elif step and (collected % 10 == 0 or step == "unpacking"):
                        say(step)
            if terminal:
                print("\r\033[K", end="", file=sys.stderr, flush=True)  # noqa: T201
            if process.wait() != 0:
                raise Stop(
                    "pip could not install; its last words:\n  "
                    + "\n  ".join(words[-LAST_LINES:])
                    + "\nMend that (the network, or pip's configuration: `pip config list`) and start vetx again."
                )
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def _write_command(self) -> None:
        """The command `vetx` inside the environment, and the checkout on its path; anew where that was moved."""
        packages = self.folder / ("Lib" if WINDOWS else f"lib/{_version_folder(self.folder)}") / "site-packages"
        if WINDOWS:
            command, text = self.scripts / "vetx.cmd", f'@"{self.python}" -P -m app.cli %*\n'
        else:
            command = self.scripts / "vetx"
            text = f'#!/bin/sh\nexec {shlex.quote(str(self.python))} -P -m app.cli "$@"\n'
        path = packages / "vetx.pth"
        for file, content in ((path, os.path.relpath(self.checkout, packages) + "\n"), (command, text)):
            try:
                if file.exists() and file.read_text(encoding="utf-8") == content:
                    continue
                new = file.with_name(file.name + f".{os.getpid()}")
                new.write_text(content, encoding="utf-8")
                new.chmod(0o755)
                new.replace(file)
            except PermissionError:
                return  # somebody else's environment; `run.py` itself does without

    def python_command(self, *arguments: str) -> list[str]:
        """Run a module of the environment; -P: not one of the folder the user happens to stand in."""
        return [str(self.python), "-P", *arguments]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _package(words: str) -> str:
    """`pillow` of `pillow==13.0.0` or of the path of its wheel."""
    return re.split(r"[=-]", re.split(r"[/\\]", words)[-1])[0]


def _version_folder(folder: Path) -> str:
    """`python3.11`, of the Python that made the environment, which need not be the one that runs this."""
    found = sorted((folder / "lib").glob("python3.*"))
    return found[0].name if found else f"python3.{sys.version_info.minor}"


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _works(command: list[str]) -> bool:
    try:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


def become(command: list[str]) -> int:
    """Turn into the command, so that signals reach it; on Windows wait for it and give its exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    if not WINDOWS:
        os.execv(command[0], command)  # noqa: S606
    process = subprocess.Popen(command)  # noqa: S603
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # Ctrl-C reached the command too; it decides when to end


def test(environment: Environment, arguments: list[str]) -> int:
    """Every check, then pytest with the arguments; without any, each line of billing and clinic must have been run."""
    failed = []
    for check in CHECKS:
        name = " ".join(part for part in check if not part.startswith("-") and part != ".")
        say(f"checking with {name}")
        command = environment.python_command("-m", *check)
        if subprocess.run(command, cwd=environment.checkout, check=False).returncode != 0:  # noqa: S603
            failed.append(name)
    whole = not [argument for argument in arguments if not argument.startswith("--color")]
    say("running the tests on every core; its dots come in no order" if whole else "running the tests")
    command = environment.python_command("-m", "pytest", *(WHOLE if whole else []), *arguments)
    # The hundreds of processes that the tests start would each compile all of app.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    code = subprocess.run(command, cwd=environment.checkout, env=kept, check=False).returncode  # noqa: S603
    if failed:
        say(f"failed: {', '.join(failed)}")
    return code or (1 if failed else 0)


def main(arguments: list[str], checkout: Path) -> int:
    environment = Environment(checkout)
    testing = arguments[:1] == ["test"]
    try:
        environment.provide(checkout / LOCKS[testing])
    except Stop as stop:
        say(str(stop))
        return 1
    except KeyboardInterrupt:
        say("interrupted; the next start takes it up")
        return 130
    if testing:
        try:
            return test(environment, arguments[1:])
        except KeyboardInterrupt:
            return 130
    return become(environment.python_command("-m", "app.cli", *(arguments or ["serve"])))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], Path(__file__).resolve().parent))
