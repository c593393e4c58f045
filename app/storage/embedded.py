"""A PostgreSQL of our own under the data folder: made at the first start, shared by all vetx processes.

The last process to leave stops it. It outlives a killed vetx, and the next one takes it up again. Whether it lives is
asked by connecting to it with our own password and name; process ids only tell whom to wait for. All of it blocks:
call `start` before the event loop, and inside it `await asyncio.to_thread(server.ensure)`.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import asyncpg
import platformdirs

from app.base.errors import StartRefused
from app.storage.file_lock import FileLock
from app.storage.postgres_program import PostgresProgram, choose_runner, find_program, is_root

State = Literal["up", "busy", "down", "stranger"]
HOST = "127.0.0.1"
NAME = "vetx"  # of the role and of the database
# Below every system's range of short-lived ports, so that no outgoing connection takes ours while the server is down.
PORTS = range(20_000, 32_000)
POLL_S = 0.02
ROOM_BYTES_MIN = 200_000_000  # a new cluster takes 40 MB, its first log segments 16 MB each
ROOM_BYTES_TIGHT = 1_000_000  # PostgreSQL's own words on a full disk are many, and not all of them plain
LOG_BYTES_MAX = 10_000_000
LOCK_TIMEOUT_S = 180.0
START_TIMEOUT_S = 120.0  # recovery after a crash reads up to max_wal_size
ORPHANS_TIMEOUT_S = 1.0
STOP_TIMEOUT_S = 60
SSL_REQUEST = bytes.fromhex("0000000804d2162f")  # every PostgreSQL answers it with S or N before asking who we are
HBA = f"host all {NAME} {HOST}/32 scram-sha-256\n"

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "512MB",
    "jit": "off",
    "huge_pages": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "idle_in_transaction_session_timeout": "60s",
    "client_connection_check_interval": "2s",
    # Statements and their values may be somebody's words: none of them reaches the log.
    "log_min_messages": "log",  # leaves out errors: their text may quote a value
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}


class _PortTaken(Exception):
    """Another program listens where the server was to."""


def default_data_dir() -> Path:
    """Where this platform keeps a program's data; for root a system folder, if PostgreSQL can't reach its own."""
    own = Path(platformdirs.user_data_dir(NAME, appauthor=False))
    if not is_root():
        return own
    system = Path(platformdirs.site_state_dir(NAME, appauthor=False))
    runner = choose_runner(own, own / "postgres" / "cluster")
    return system if runner.closed_folder(own.parent) else own


def start(data_dir: Path) -> EmbeddedServer:
    """The data folder's server: taken up if it runs, started if not, made if there is none. Blocks.

    Raises:
        StartRefused: it cannot be had; tells what to do.
    """
    home = _Home(data_dir)
    try:
        home.prepare()
        with home.locked():
            users = home.lock_file("users.lock")
            try:
                if not users.acquire("shared", timeout_s=1):
                    raise StartRefused(f"{home.folder / 'users.lock'} cannot be locked; keep --data on a local disk.")
                return EmbeddedServer(home, users, home.serve())
            except BaseException:
                users.close()
                raise
    except (OSError, subprocess.SubprocessError) as error:
        raise home.refusal(error) from error


class EmbeddedServer:
    """One process's share in the running server."""

    def __init__(self, home: _Home, users: FileLock, port: int) -> None:
        self._home = home
        self._users: FileLock | None = users
        self.port = port

    @property
    def data_dir(self) -> Path:
        return self._home.data_dir

    @property
    def log(self) -> Path:
        """What PostgreSQL wrote: its starts, stops and troubles, never a statement or a value."""
        return self._home.log

    @property
    def url(self) -> str:
        """With the password in it: not for logs. The same for as long as the data folder lives and its port is free."""
        return f"postgresql://{NAME}:{self._home.password()}@{HOST}:{self.port}/{NAME}"

    def ensure(self) -> bool:
        """Start a dead server again on its port; whether that was needed. Cheap; any number of processes may call it.

        A server that lives but is busy (recovering, out of connections) is left alone.

        Raises:
            StartRefused: it cannot be started now, such as for want of room; a later call may.
        """
        if self._users is None or _answers(self.port):
            return False
        try:
            with self._home.locked():
                return self._home.revive(self.port)
        except (OSError, subprocess.SubprocessError) as error:
            raise self._home.refusal(error) from error

    def stop(self) -> None:
        """Leave; the last process to leave stops the server. Safe twice."""
        if self._users is None:
            return
        users, self._users = self._users, None
        try:
            with self._home.locked():
                last = users.acquire("exclusive")
                users.close()
                if last:
                    self._home.stop()
        except (OSError, StartRefused):  # the folder is gone, or held for minutes
            users.close()
            self._home.abandon()


class _Home:
    """`postgres/` under the data folder: cluster, password, port, log and locks; changed only under the start lock."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self.folder = self.data_dir / "postgres"
        self.cluster = self.folder / "cluster"
        self.log = self.folder / "log"
        # Tells our server from another one whose folder is a copy of this one, and its processes from all others.
        self.server_name = "vetx-" + hashlib.sha256(str(self.cluster).encode()).hexdigest()[:12]
        self._process: subprocess.Popen[bytes] | None = None
        self._program: PostgresProgram | None = None

    # Folders and files

    def prepare(self) -> None:
        """Make the folders, so that only we and PostgreSQL's account get in.

        Raises:
            StartRefused: that account cannot get here.
        """
        runner = choose_runner(self.data_dir, self.cluster)
        refused_in = runner.closed_folder(self.data_dir.parent)
        if refused_in is not None:
            raise StartRefused(
                f"PostgreSQL does not run as root, and {runner.name}, who runs it, may not enter {refused_in}; "
                "name a folder outside it with --data, or run vetx as an ordinary user."
            )
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        if runner.uid is None:
            self.folder.mkdir(exist_ok=True, mode=0o700)
            return
        # Root: the runner passes through by name, and sees neither listing nor secrets. Folders above stay as they are.
        with suppress(FileExistsError):
            self.folder.mkdir(mode=0o700)
            self._give_to_owner(self.folder)
        for folder in (self.data_dir, self.folder):
            if runner.closed_folder(folder) == folder:
                folder.chmod(folder.stat().st_mode & 0o7777 | 0o001)

    def _give_to_owner(self, target: Path | int) -> None:
        """When root made it: hand it to whom the data folder belongs, who may start vetx the next time."""
        if sys.platform != "win32" and is_root():
            owner = self.data_dir.stat()
            os.chown(target, owner.st_uid, owner.st_gid)

    def _open(self, name: str, flags: int) -> int:
        # No link is followed: as root we may be writing in a folder of somebody else's.
        descriptor = os.open(self.folder / name, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            self._give_to_owner(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _write(self, name: str, text: str) -> None:
        """Replace a file at once or not at all, 0600."""
        new = f"{name}.new"
        (self.folder / new).unlink(missing_ok=True)
        with os.fdopen(self._open(new, os.O_WRONLY | os.O_EXCL), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        (self.folder / new).replace(self.folder / name)

    def lock_file(self, name: str) -> FileLock:
        return FileLock(self._open(name, os.O_RDWR))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One vetx at a time makes, starts or stops the server."""
        lock = self.lock_file("start.lock")
        try:
            if not lock.acquire("exclusive", LOCK_TIMEOUT_S):
                raise StartRefused(
                    f"Another vetx has been starting in {self.data_dir} for minutes; stop it and try again."
                )
            yield
        finally:
            lock.close()

    def password(self) -> str:
        return (self.folder / "password").read_text(encoding="utf-8").strip()

    def _port(self) -> int | None:
        try:
            return int((self.folder / "port").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None

    # The server's life, all under the lock

    def serve(self) -> int:
        """The port of the running server, after starting it if need be."""
        if not (self.folder / "password").exists():
            self._write("password", secrets.token_urlsafe(24))
            if self.cluster.exists():
                self._renew_password()
        if not self.cluster.exists():
            self._make_cluster()
        if self._taken_up():
            port = self._port()
            assert port is not None
            return port
        return self._start()

    def revive(self, port: int) -> bool:
        """Start the server on this port if it is dead; whether it was."""
        if self._postmaster() is not None or self._probe(port) == "up":
            return False
        try:
            self._launch(port)
        except _PortTaken:
            raise StartRefused(
                f"The database was lost and another program has taken its port {port}; restart vetx."
            ) from None
        return True

    def stop(self) -> None:
        """Stop the server as if by hand: sessions end, everything is on disk."""
        if self._postmaster() is not None:
            with suppress(subprocess.SubprocessError):  # too slow: it goes on stopping without us
                self._run("pg_ctl", "stop", "-D", str(self.cluster), "-m", "fast", "-w", "-t", str(STOP_TIMEOUT_S))
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)

    def abandon(self) -> None:
        """End the server that we started ourselves; one that somebody else started ends when it misses its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)

    def _taken_up(self) -> bool:
        """Whether a server of ours runs and lets us in; one that is on its way up is waited for."""
        if not (self.cluster / "postmaster.pid").exists():
            return False  # stopped properly; whoever has the port now is somebody else
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            port = self._port()
            state = self._probe(port) if port else "stranger"
            if state == "up":
                return True
            postmaster = self._postmaster()
            if postmaster is None:
                return False
            if state == "stranger":  # password or port lost, or the folder was moved: start it anew
                self.stop()
                return False
            if time.monotonic() > deadline:
                raise StartRefused(f"The database does not answer; end process {postmaster} and start vetx again.")
            time.sleep(POLL_S)

    def _start(self) -> int:
        recorded = self._port()
        fresh = random.SystemRandom().sample(PORTS, 50)
        for port in [recorded, *fresh] if recorded else fresh:
            self._write("port", str(port))
            with suppress(_PortTaken):
                self._launch(port)
                return port
        raise StartRefused(f"No free port between {PORTS.start} and {PORTS.stop} for the database; free one.")

    def _launch(self, port: int) -> None:
        """Start the server and wait until it serves; the processes a killed one left behind are ended first."""
        if not _is_free(port):
            raise _PortTaken
        began = time.monotonic()
        while True:
            self._forget_dead_postmaster()
            log_start = self._spawn(port)
            while (state := self._probe(port)) != "up":
                if self._process is not None and self._process.poll() is not None:
                    break
                if self._process is None and self._postmaster() is None and time.monotonic() - began > 5:
                    break
                if time.monotonic() - began > START_TIMEOUT_S:
                    raise StartRefused(f"The database did not come up in {START_TIMEOUT_S:.0f} s; see {self.log}.")
                time.sleep(POLL_S)
            if state == "up":
                return
            words = self._log_from(log_start)
            if "Address already in use" in words or "could not bind" in words:
                raise _PortTaken
            left_behind = "pre-existing shared memory block" in words
            if not left_behind or time.monotonic() - began > 10:
                raise self.refusal(None, words)
            if time.monotonic() - began > ORPHANS_TIMEOUT_S:
                self._end_orphans()
            time.sleep(POLL_S)

    def _spawn(self, port: int) -> int:
        """Start PostgreSQL in a session of its own, out of reach of the terminal's Ctrl-C; where its log begins."""
        program = self._programs()
        settings = {**SETTINGS, "port": str(port), "cluster_name": self.server_name}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = self._open("log", os.O_WRONLY | os.O_APPEND)
        try:
            if os.fstat(log).st_size > LOG_BYTES_MAX:
                os.ftruncate(log, 0)
            size = os.fstat(log).st_size
            if sys.platform == "win32":  # postgres.exe refuses to run as an administrator; pg_ctl sheds those rights
                os.close(log)
                log = -1
                quoted = " ".join(f'"{part}"' for part in options)
                self._run("pg_ctl", "start", "-D", str(self.cluster), "-l", str(self.log), "-W", "-o", quoted)
            else:
                self._process = subprocess.Popen(  # noqa: S603 our own program, our own arguments
                    [program.path("postgres"), "-D", str(self.cluster), *options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    start_new_session=True,
                    **program.runner.popen,
                )
                _keep(self._process)
        finally:
            if log >= 0:
                os.close(log)
        return size

    def _make_cluster(self) -> None:
        """All of it, or nothing: it is built aside and renamed when done."""
        free = shutil.disk_usage(self.folder).free
        if free < ROOM_BYTES_MIN:
            raise self._no_room()
        building = self.folder / "cluster.new"
        if building.exists():
            shutil.rmtree(building)
        building.mkdir(mode=0o700)
        runner = self._programs().runner
        if sys.platform != "win32" and runner.uid is not None and runner.gid is not None:
            os.chown(building, runner.uid, runner.gid)
        # LC_* stay C, which every system has; the builtin provider alone decides how text compares and folds.
        locale = ("--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8", "--encoding=UTF8")
        # Nobody but the role vetx may log in, so the superuser needs no password.
        self._run("initdb", "-D", str(building), "--username=postgres", "--auth=reject", *locale, "--no-instructions")
        self._single_user(
            building,
            f"create role {NAME} login createdb password '{self.password()}'",
            f"create database {NAME} owner {NAME}",
        )
        (building / "pg_hba.conf").write_text(HBA, encoding="utf-8")
        building.rename(self.cluster)

    def _renew_password(self) -> None:
        self.stop()
        self._forget_dead_postmaster()
        self._single_user(self.cluster, f"alter role {NAME} password '{self.password()}'")

    def _single_user(self, cluster: Path, *statements: str) -> None:
        settings = {"exit_on_error": "on", "log_min_error_statement": "panic"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._run("postgres", "--single", "-D", str(cluster), *options, "postgres", stdin="\n".join(statements) + "\n")

    def _programs(self) -> PostgresProgram:
        if self._program is None:
            runner = choose_runner(self.data_dir, self.cluster)
            version = self.cluster / "PG_VERSION"
            major = int(version.read_text(encoding="utf-8")) if version.exists() else None
            self._program = find_program(runner, self.folder, major)
        return self._program

    def _run(self, program: str, *arguments: str, stdin: str = "") -> None:
        self._programs().run(program, *arguments, stdin=stdin, cwd=self.folder)

    # What is there

    def _probe(self, port: int) -> State:
        """What a client of ours meets there."""
        result: list[State] = []

        def connect() -> None:
            result.append(asyncio.run(_connect(port, self.password(), self.server_name)))

        # A thread, because the caller's may already run an event loop.
        thread = threading.Thread(target=connect)
        thread.start()
        thread.join()
        return result[0]

    def _postmaster(self) -> int | None:
        """The id of this cluster's living main process, by its command line; a zombie or a reused id is not one."""
        if self._process is not None:
            self._process.poll()  # reaps it, if it was our child
        try:
            pid = int((self.cluster / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        import psutil  # 50 ms, and a server that answers never needs it

        try:
            process = psutil.Process(pid)
            ours = process.status() != psutil.STATUS_ZOMBIE and str(self.cluster) in process.cmdline()
        except psutil.Error:
            return None
        return pid if ours else None

    def _forget_dead_postmaster(self) -> None:
        """PostgreSQL would wait for ever for a dead one whose id another program has, or that is a zombie."""
        if self._postmaster() is None:
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)

    def _end_orphans(self) -> None:
        """End the sessions of a killed server: each titles itself with the server's name."""
        import psutil

        for process in psutil.process_iter(["cmdline"]):
            if " ".join(process.info["cmdline"] or []).startswith(f"postgres: {self.server_name}: "):
                with suppress(psutil.Error):
                    process.kill()

    def _log_from(self, start: int) -> str:
        with self.log.open("rb") as file:
            file.seek(start)
            return file.read(100_000).decode("utf-8", "replace")

    # What to tell

    def refusal(self, error: OSError | subprocess.SubprocessError | None, words: str = "") -> StartRefused:
        """One sentence on what went wrong and what to do."""
        output = getattr(error, "output", None)
        words = words or (output if isinstance(output, str) else "") or str(error)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or "No space left on device" in words or "Disk quota exceeded" in words or self._is_full():
            return self._no_room()
        if isinstance(error, PermissionError):
            where = error.filename or self.data_dir
            return StartRefused(f"No right to use {where}; make it yours, or name another folder with --data.")
        if isinstance(error, OSError):
            return StartRefused(
                f"The data folder {self.data_dir} cannot be used ({error.strerror}); name another one with --data."
            )
        lines = [line.strip() for line in words.splitlines() if line.strip()]
        fatal = [line for line in lines if "FATAL" in line or "PANIC" in line or "error:" in line]
        last = (fatal or lines or ["it said nothing"])[-1].rstrip(".")
        return StartRefused(
            f"PostgreSQL did not start: {last}; mend that (its log is {self.log}) and start vetx again."
        )

    def _is_full(self) -> bool:
        try:
            return shutil.disk_usage(self.folder).free < ROOM_BYTES_TIGHT
        except OSError:
            return False

    def _no_room(self) -> StartRefused:
        return StartRefused(
            f"No room on the disk of {self.data_dir} for the database: free {ROOM_BYTES_MIN // 1_000_000} MB, "
            "or name another folder with --data."
        )


async def _connect(port: int, password: str, server_name: str) -> State:
    try:
        connection = await asyncpg.connect(
            host=HOST,
            port=port,
            user=NAME,
            database=NAME,
            password=password,
            ssl=False,
            target_session_attrs="any",
            timeout=3,
        )
    except (asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError, TimeoutError):
        return "busy"
    except OSError:
        return "down"
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, ValueError, EOFError):
        return "stranger"
    try:
        found = await connection.fetchval("select current_setting('cluster_name')")
        return "up" if found == server_name else "stranger"
    except (asyncpg.PostgresError, OSError):
        return "busy"
    finally:
        with suppress(asyncpg.PostgresError, OSError):
            await connection.close(timeout=1)


def _answers(port: int) -> bool:
    """Whether a PostgreSQL is behind the port: one small exchange, no log-in."""
    try:
        with socket.create_connection((HOST, port), timeout=2) as connection:
            connection.sendall(SSL_REQUEST)
            return connection.recv(1) in (b"N", b"S")
    except OSError:
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True


_children: list[subprocess.Popen[bytes]] = []


def _keep(process: subprocess.Popen[bytes]) -> None:
    """Hold on to a child that shall outlive us, so that Python does not warn about it."""
    _children[:] = [child for child in _children if child.poll() is None]
    _children.append(process)
