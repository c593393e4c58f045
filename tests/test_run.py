"""`run.py` on small checkouts with one wheel of our own, so that nothing goes to the network."""

from __future__ import annotations

import ast
import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import run

RUN = Path(run.__file__)
BARE_PYTHON = getattr(sys, "_base_executable", sys.executable)
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="staged with a shell and signals of POSIX")

# What a checkout's `vetx` is here: it tells what it was given, and can fail or wait on demand.
CLI = """
import os, sys, time
import packaged
def main():
    print(os.getpid(), sys.argv[1:], flush=True)
    if "wait" in sys.argv:
        time.sleep(60)
    if "fail" in sys.argv:
        sys.exit(7)
if __name__ == "__main__":
    main()
"""
# Stand-ins for the tools of `run.py test`, which fail where a file of their name says so.
TOOL = """
import pathlib, sys
print(pathlib.Path(__file__).stem, *sys.argv[1:], flush=True)
if __name__ == "__main__":
    sys.exit(pathlib.Path(pathlib.Path(__file__).stem + ".fails").exists())
"""


def make_wheel(folder: Path, version: str) -> str:
    """A wheel `packaged` of this version in the folder; its hash as a lock has it."""
    files = {
        "packaged.py": f"VERSION = {version!r}\n",
        **{f"{tool}.py": TOOL for tool in ("ruff", "mypy", "pytest")},
    }
    info = f"packaged-{version}.dist-info"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: packaged\nVersion: {version}\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip('=')},"
        f"{len(text.encode())}\n"
        for name, text in files.items()
    )
    folder.mkdir(exist_ok=True)
    wheel = folder / f"packaged-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


class Checkout:
    """A folder with a run.py, two locks and an app."""

    def __init__(self, folder: Path, wheels: Path) -> None:
        self.folder = folder
        self.wheels = wheels
        self.venv = folder / ".venv"
        self.more: dict[str, str] = {}  # of the environment

    def lock(self, version: str) -> None:
        text = f"packaged=={version} \\\n    --hash=sha256:{make_wheel(self.wheels, version)}\n"
        (self.folder / "requirements.lock").write_text(text)
        (self.folder / "tests" / "requirements.lock").write_text(text + "# tests\n")

    def command(self, *arguments: str) -> list[str]:
        return [BARE_PYTHON, str(self.folder / "run.py"), *arguments]

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        ours = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": self.wheels.as_uri()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        return {**kept, **ours, **self.more, **(more or {})}

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, env=self.environment(more), cwd="/", check=False
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout after its first start; its path has a space and a quote."""
    folder = tmp_path_factory.mktemp("run") / "a vet's checkout"
    (folder / "app").mkdir(parents=True)
    (folder / "tests").mkdir()
    shutil.copy(RUN, folder / "run.py")
    (folder / "app" / "__init__.py").write_text("")
    (folder / "app" / "cli.py").write_text(CLI)
    checkout = Checkout(folder, folder.parent / "wheels")
    checkout.lock("1.0")
    # Where pip finds the wheel is its own setting and holds; PIP_USER would lead out of the environment and does not.
    done = checkout.run("first", PIP_USER="1")
    assert done.returncode == 0, done.stderr
    assert "['first']" in done.stdout
    return checkout


@pytest.fixture
def checkout(made: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the made one elsewhere, as after a move; no ensurepip, as on Debian, which also saves seconds."""
    shutil.copytree(made.folder, tmp_path / "moved checkout", symlinks=True)
    shutil.copytree(made.wheels, tmp_path / "wheels")
    copy = Checkout(tmp_path / "moved checkout", tmp_path / "wheels")
    if subprocess.run([BARE_PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0:
        (tmp_path / "stubs").mkdir()
        (tmp_path / "stubs" / "ensurepip.py").write_text("raise SystemExit('ensurepip is not available')")
        copy.more = {"PYTHONPATH": str(tmp_path / "stubs")}
    return copy


@pytest.fixture
def fresh(checkout: Checkout) -> Checkout:
    """Before its first start."""
    shutil.rmtree(checkout.venv)
    return checkout


def test_the_second_start_asks_pip_nothing_and_says_nothing(checkout: Checkout) -> None:
    shutil.rmtree(checkout.wheels)

    done = checkout.run("ask", "two words")

    assert "['ask', 'two words']" in done.stdout
    assert not done.stderr


def test_without_arguments_it_serves(checkout: Checkout) -> None:
    assert "['serve']" in checkout.run().stdout


def test_the_commands_exit_code_is_ours(checkout: Checkout) -> None:
    assert checkout.run("fail").returncode == 7


def test_a_signal_reaches_the_command_itself(checkout: Checkout) -> None:
    with subprocess.Popen(
        checkout.command("wait"), stdout=subprocess.PIPE, text=True, env=checkout.environment()
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline().split()[0])
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM

    assert pid == process.pid


def test_the_environment_has_a_command_that_works_from_anywhere_even_after_a_move(
    checkout: Checkout, tmp_path: Path
) -> None:
    """A folder `app` where the user stands is not ours."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "cli.py").write_text("raise SystemExit('the wrong one')")
    assert checkout.run("once").returncode == 0

    done = subprocess.run([checkout.venv / "bin" / "vetx", "a b"], cwd=tmp_path, capture_output=True, text=True)

    assert "['a b']" in done.stdout
    assert str(checkout.folder) in (checkout.venv / "bin" / "vetx").read_text()


def test_a_changed_lock_is_installed_at_the_next_start(checkout: Checkout) -> None:
    checkout.lock("2.0")

    done = checkout.run("x")

    assert "installing" in done.stderr
    python = checkout.venv / "bin" / "python"
    shown = subprocess.run([python, "-c", "import packaged; print(packaged.VERSION)"], capture_output=True, text=True)
    assert shown.stdout == "2.0\n"


def test_an_interrupted_install_starts_over_without_the_debris(checkout: Checkout) -> None:
    (checkout.venv / "vetx.stamp").write_text("installing")
    debris = checkout.venv / "debris"
    debris.write_text("half")

    done = checkout.run("x")

    assert "interrupted" in done.stderr
    assert "['x']" in done.stdout
    assert not debris.exists()


def test_a_start_killed_while_pip_works_leaves_nothing_that_stops_the_next(fresh: Checkout) -> None:
    with subprocess.Popen(
        fresh.command("x"), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=fresh.environment()
    ) as process:
        assert process.stderr is not None
        while "installing" not in process.stderr.readline():
            pass
        process.kill()

    done = fresh.run("x")

    assert "['x']" in done.stdout, done.stderr


def test_two_first_starts_at_once_both_work_and_install_once(fresh: Checkout) -> None:
    processes = [
        subprocess.Popen(
            fresh.command(name), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=fresh.environment()
        )
        for name in ("one", "two", "three")
    ]
    outcomes = [process.communicate() for process in processes]

    for name, (out, _) in zip(("one", "two", "three"), outcomes, strict=True):
        assert f"['{name}']" in out
    assert sum("installed in" in err for _, err in outcomes) == 1


def test_a_wheel_with_another_hash_is_refused_and_not_believed_installed(fresh: Checkout) -> None:
    lock = fresh.folder / "requirements.lock"
    right = lock.read_text()
    lock.write_text(right.split("sha256:")[0] + "sha256:" + "0" * 64 + "\n")

    refused = fresh.run("x")
    lock.write_text(right)
    mended = fresh.run("x")

    assert refused.returncode == 1
    assert "pip could not install" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "['x']" in mended.stdout


def test_a_broken_interpreter_in_the_environment_is_replaced(checkout: Checkout) -> None:
    for link in (checkout.venv / "bin").glob("python*"):
        link.unlink()
    (checkout.venv / "bin" / "python").symlink_to("/nowhere/python")

    assert "['x']" in checkout.run("x").stdout


def test_without_ensurepip_the_systems_pip_installs_from_outside(fresh: Checkout) -> None:
    if not fresh.more:
        pytest.skip("this Python has no pip of its own to work from outside")

    done = fresh.run("x")

    assert "['x']" in done.stdout, done.stderr
    assert not list(fresh.venv.glob("lib/*/site-packages/pip"))


def test_without_any_pip_one_sentence_tells_what_to_install(fresh: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_works", lambda command: False)

    with pytest.raises(run.Stop, match="install one"):
        run.Environment(fresh.folder).provide(fresh.folder / "requirements.lock")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_checkout_of_somebody_else_is_refused_in_one_sentence(made: Checkout) -> None:
    pythons = (BARE_PYTHON, "/usr/bin/python3", "/usr/local/bin/python3")
    new = "import sys; sys.exit(sys.version_info < (3, 11))"
    python = next((python for python in pythons if run_as_nobody([python, "-c", new])[0] == 0), None)
    if python is None:
        pytest.skip("no Python here that the user nobody can run")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        shutil.copytree(made.folder, Path(folder, "checkout"), ignore=shutil.ignore_patterns(".venv"))

        code, words = run_as_nobody([python, str(Path(folder, "checkout", "run.py"))])

    assert code == 1
    assert "cannot be written" in words
    assert words.count("\n") == 1


def run_as_nobody(command: list[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(command, user="nobody", cwd="/", capture_output=True, text=True, check=False)
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stderr


def test_an_old_python_is_told_which_it_needs() -> None:
    source = RUN.read_text(encoding="utf-8")
    code = f"import sys; sys.version_info = (3, 9, 0); exec(compile({source!r}, 'run.py', 'exec'))"

    done = subprocess.run([BARE_PYTHON, "-c", code], capture_output=True, text=True, check=False)

    assert "vetx needs Python 3.11 or newer, and this is 3.9" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_python_as_old_as_3_6_can_read_run_py() -> None:
    ast.parse(RUN.read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("failing", [None, "ruff", "mypy", "pytest"])
def test_test_runs_every_check_and_fails_with_any(checkout: Checkout, failing: str | None) -> None:
    if failing:
        (checkout.folder / f"{failing}.fails").write_text("")

    done = checkout.run("test", "-k", "one thing")

    assert (done.returncode != 0) == (failing is not None)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ruff", "ruff", "mypy", "pytest"]
    assert lines[-1] == "pytest -k one thing"
    if failing in ("ruff", "mypy"):
        assert f"failed: {failing}" in done.stderr.splitlines()[-1]


def test_the_whole_suite_is_measured_on_every_core_and_one_thing_is_not(checkout: Checkout) -> None:
    whole = checkout.run("test", "--color=no").stdout.splitlines()[-1].split()
    one_thing = checkout.run("test", "--color=no", "-k", "one thing").stdout.splitlines()[-1]

    assert whole == ["pytest", *run.WHOLE, "--color=no"]
    assert {"--cov", "--numprocesses"} <= set(whole)
    assert one_thing == "pytest --color=no -k one thing"


def test_running_the_tests_does_not_undo_what_serving_needs(checkout: Checkout) -> None:
    assert checkout.run("test").returncode == 0

    assert not checkout.run("x").stderr
    assert "installing" not in checkout.run("test").stderr


def test_the_locks_name_no_place_and_agree() -> None:
    runtime, testing = (RUN.parent.joinpath(name).read_text(encoding="utf-8") for name in run.LOCKS)
    pins = {line.split(" ")[0] for line in runtime.splitlines() if line[:1].isalpha()}

    assert "://" not in runtime + testing
    assert "--index" not in runtime + testing
    assert pins
    assert pins <= {line.split(" ")[0] for line in testing.splitlines() if line[:1].isalpha()}


def test_a_start_with_everything_there_takes_less_than_a_second_of_our_own(checkout: Checkout) -> None:
    """The goal is 3 s with the server's own start; the bound is loose, because the clock of a busy machine is."""
    checkout.run("warm")
    began = time.monotonic()
    checkout.run("x")

    assert time.monotonic() - began < 3
