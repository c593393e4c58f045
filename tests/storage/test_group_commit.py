"""Group commit: few statements for many callers, singly where a batch is refused, again where the line broke."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from app.base.errors import Unavailable
from app.storage import group_commit
from app.storage.engine import Database
from app.storage.group_commit import GroupCommit


class Work:
    """Doubles numbers, and does what a test tells it to on the way."""

    def __init__(self, *troubles: Any) -> None:
        self.batches: list[list[int]] = []
        self.troubles = list(troubles)

    async def __call__(self, connection: Any, items: list[int]) -> list[int]:
        self.batches.append(items)
        await connection.fetchval("SELECT 1")
        if self.troubles:
            trouble = self.troubles.pop(0)
            if isinstance(trouble, BaseException):
                raise trouble
            if trouble is not None:
                await trouble(connection)
        if 13 in items:
            raise asyncpg.CheckViolationError("13")
        return [2 * item for item in items]


async def test_callers_who_come_together_share_a_statement(database: Database) -> None:
    work = Work()
    line: GroupCommit[int, int] = GroupCommit(database, work, size_max=50)

    results = await asyncio.gather(*(line.submit(n) for n in range(100, 200)))

    assert results == [2 * n for n in range(100, 200)]
    assert [len(batch) for batch in work.batches] == [50, 50]
    await line.close()


async def test_a_single_caller_goes_alone_and_at_once(database: Database) -> None:
    work = Work()
    line: GroupCommit[int, int] = GroupCommit(database, work)
    assert await line.submit(1) == 2
    assert await line.submit(2) == 4
    assert work.batches == [[1], [2]]
    await line.close()


async def test_of_a_refused_batch_only_the_bad_member_fails(database: Database) -> None:
    line: GroupCommit[int, int] = GroupCommit(database, Work())

    results = await asyncio.gather(*(line.submit(n) for n in (1, 13, 3)), return_exceptions=True)

    assert results[0] == 2
    assert isinstance(results[1], asyncpg.CheckViolationError)
    assert results[2] == 6
    await line.close()


@pytest.mark.parametrize("error", [asyncpg.DeadlockDetectedError("x"), asyncpg.SerializationError("x")])
async def test_a_deadlock_is_tried_three_times_more(database: Database, error: Exception) -> None:
    line: GroupCommit[int, int] = GroupCommit(database, Work(error, error, error))
    assert await line.submit(1) == 2
    await line.close()

    line = GroupCommit(database, Work(error, error, error, error))
    with pytest.raises(type(error)):
        await line.submit(1)
    await line.close()


async def cut(connection: Any) -> None:
    connection.terminate()
    await connection.fetchval("SELECT 1")


async def killed(connection: Any) -> None:
    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize("trouble", [cut, killed])
async def test_a_line_that_breaks_is_told_at_once_or_made_anew(database: Database, trouble: Any) -> None:
    hasty: GroupCommit[int, int] = GroupCommit(database, Work(trouble))
    with pytest.raises(Unavailable):
        await hasty.submit(1)
    assert await hasty.submit(2) == 4
    await hasty.close()

    insisting: GroupCommit[int, int] = GroupCommit(database, Work(trouble, trouble), insist_s=5)
    assert await asyncio.gather(insisting.submit(1), insisting.submit(2)) == [2, 4]
    await insisting.close()


async def test_a_statement_that_hangs_is_cut_short_and_its_connection_dropped(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "ATTEMPT_TIMEOUT_S", 0.1)

    async def hang(connection: Any) -> None:
        await connection.execute("SELECT pg_sleep(5)")

    async def cancelled(connection: Any) -> None:
        await connection.execute("SET statement_timeout = '20ms'; SELECT pg_sleep(5)")

    line: GroupCommit[int, int] = GroupCommit(database, Work(hang, cancelled), insist_s=3)

    assert await line.submit(1) == 2
    await line.close()


async def test_a_fault_of_ours_reaches_every_caller_and_the_line_goes_on(database: Database) -> None:
    line: GroupCommit[int, int] = GroupCommit(database, Work(RuntimeError("a bug")))

    results = await asyncio.gather(line.submit(1), line.submit(2), return_exceptions=True)

    assert all(isinstance(result, RuntimeError) for result in results)
    assert await line.submit(3) == 6
    await line.close()


async def test_nobody_waits_for_ever_when_the_service_is_stopped(database: Database) -> None:
    async def hang(connection: Any) -> None:
        await connection.execute("SELECT pg_sleep(5)")

    line: GroupCommit[int, int] = GroupCommit(database, Work(hang))
    waiting = line.submit(1)
    await asyncio.sleep(0.05)
    assert line._task is not None
    line._task.cancel()

    with pytest.raises(Unavailable):
        await waiting
    with pytest.raises(asyncio.CancelledError):
        await line._task


async def test_who_gave_up_waiting_is_still_committed_and_told_of(database: Database) -> None:
    told: list[tuple[int, int]] = []
    work = Work(cut)
    line: GroupCommit[int, int] = GroupCommit(
        database, work, insist_s=5, abandoned=lambda item, result: told.append((item, result))
    )

    waiting = line.submit(1)
    waiting.cancel()
    await line.close()

    assert told == [(1, 2)]


async def test_insisting_ends() -> None:
    nowhere = await Database.open("postgresql://nobody@127.0.0.1:9/none")
    line: GroupCommit[int, int] = GroupCommit(nowhere, Work(), insist_s=0.2)
    results = await asyncio.gather(line.submit(1), line.submit(2), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    await line.close()
    await nowhere.close()
