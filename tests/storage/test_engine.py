"""Connections: what a lost database looks like, and that cut statements are never followed by another."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from app.base.errors import Unavailable
from app.storage.engine import Database, is_lost


async def backend(database: Database) -> int:
    async with database.connection() as connection:
        number: int = await connection.fetchval("SELECT pg_backend_pid()")
    return number


async def test_a_database_that_is_not_there_is_503_however_it_is_asked() -> None:
    nowhere = await Database.open("postgresql://nobody@127.0.0.1:9/none")
    with pytest.raises(Unavailable) as refused:
        await nowhere.ping()
    with pytest.raises(Unavailable):
        async with nowhere.connection():
            pass
    assert (refused.value.status, refused.value.code) == (503, "database_unavailable")
    assert refused.value.retry_after_s
    await nowhere.close()


async def test_a_connection_is_used_again_but_not_after_its_statement_was_cut_short(database: Database) -> None:
    await database.ping()
    first = await backend(database)
    again = await backend(database)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), database.connection() as connection:
            await connection.execute("SELECT pg_sleep(5)")

    assert first == again
    assert await backend(database) != first


async def test_a_connection_killed_in_the_middle_is_503_and_the_next_one_works(database: Database) -> None:
    with pytest.raises(Unavailable):
        async with database.connection() as connection:
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    await database.ping()


async def test_a_mistake_of_ours_is_not_a_lost_database(database: Database) -> None:
    with pytest.raises(asyncpg.UndefinedTableError):
        async with database.connection() as connection:
            await connection.fetch("SELECT FROM nothing")
    with pytest.raises(asyncpg.DataError):
        async with database.connection() as connection:
            await connection.fetch("SELECT $1::int", "text")


def test_which_errors_mean_that_the_database_is_lost() -> None:
    assert is_lost(ConnectionRefusedError())
    assert is_lost(asyncpg.CannotConnectNowError("starting"))
    assert is_lost(asyncpg.InterfaceError("connection is closed"))
    assert not is_lost(asyncpg.UniqueViolationError("x"))
    assert not is_lost(ValueError())


async def test_closing_does_not_wait_for_a_statement_that_hangs(
    fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.engine.CONNECT_TIMEOUT_S", 0.2)
    database = await Database.open(fresh_url)
    started = asyncio.Event()

    async def hang() -> None:
        async with database.connection() as connection:
            started.set()
            await connection.execute("SELECT pg_sleep(30)")

    task = asyncio.create_task(hang())
    await started.wait()

    async with asyncio.timeout(5):
        await database.close()
        with pytest.raises(Unavailable):
            await task
    await database.close()
