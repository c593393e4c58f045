"""One commit for everyone who waits: callers queue, one statement takes all of them, each returns after its commit."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import asyncpg

from app.storage.engine import Database, is_lost, unavailable

Item = TypeVar("Item")
Result = TypeVar("Result")
Run = Callable[[Any, list[Item]], Awaitable[list[Result]]]

SIZE_MAX = 256
RETRIES_MAX = 3
BACKOFF_S = (0.02, 0.5)
ATTEMPT_TIMEOUT_S = 3.0


@dataclass(slots=True, eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    deadline: float
    answer: asyncio.Future[Result] = field(repr=False)


async def repeated(work: Callable[[], Awaitable[Result]]) -> Result:
    """What `work` gives, tried anew up to 3 times when PostgreSQL broke it off for a deadlock or a serialization."""
    for _ in range(RETRIES_MAX):
        try:
            return await work()
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            await asyncio.sleep(random.uniform(0.001, 0.02))  # noqa: S311
    return await work()


class GroupCommit(Generic[Item, Result]):
    """A queue before one connection of its own.

    `run(connection, items)` writes and commits all items in one statement or transaction and gives their results in
    order. When it refuses a batch, its members are tried singly, so that one bad row fails nobody else. It may get the
    same items again after a deadlock, and after a lost connection if `insist_s` is set; so it must be safe to repeat.

    Args:
        insist_s: how long an item is tried again while the database is away; 0 tells the caller at once.
        abandoned: told of each item that was committed after its caller had stopped waiting.
    """

    def __init__(
        self,
        database: Database,
        run: Run[Item, Result],
        *,
        insist_s: float = 0.0,
        abandoned: Callable[[Item, Result], None] | None = None,
        size_max: int = SIZE_MAX,
    ) -> None:
        self._database = database
        self._run = run
        self._insist_s = insist_s
        self._abandoned = abandoned
        self._size_max = size_max
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._connection: Any = None
        self._task: asyncio.Task[None] | None = None

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """Queue an item; the future has its result once it is committed.

        A caller who stops waiting takes nothing back: the item may be committed all the same.

        Raises (through the future):
            Unavailable: database_unavailable, after `insist_s`; whether it was committed is then unknown.
        """
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(item, time.monotonic() + self._insist_s, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._drain())
        return answer

    async def close(self) -> None:
        """Commit what is queued, then hang up."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])
        await self._hang_up()

    async def _drain(self) -> None:
        pause_s = BACKOFF_S[0]
        while self._queue:
            batch: list[_Waiting[Item, Result]] = []
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._database.connect()
                batch = self._next_batch()
                await self._commit(batch)
                pause_s = BACKOFF_S[0]
            except BaseException as error:
                if self._connection is not None:  # its statement was cut short
                    self._connection.terminate()
                    self._connection = None
                if not is_lost(error):  # nobody may wait for ever, whatever broke here
                    for waiting in (*batch, *self._queue):
                        _fail(waiting, error)
                    self._queue.clear()
                    if isinstance(error, Exception):
                        continue
                    raise
                self._queue.extendleft(waiting for waiting in reversed(batch) if _is_open(waiting))
                self._give_up_late()
                if self._queue:
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, BACKOFF_S[1])

    def _next_batch(self) -> list[_Waiting[Item, Result]]:
        if self._insist_s:
            self._give_up_late()
        return [self._queue.popleft() for _ in range(min(len(self._queue), self._size_max))]

    def _give_up_late(self) -> None:
        now = time.monotonic()
        late = [waiting for waiting in self._queue if waiting.deadline <= now]
        for waiting in late:
            self._queue.remove(waiting)
            _fail(waiting, unavailable())

    async def _commit(self, batch: list[_Waiting[Item, Result]]) -> None:
        if not batch:
            return
        try:
            results = await self._attempt([waiting.item for waiting in batch])
        except Exception as error:
            if is_lost(error) or not isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
                raise
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for waiting in batch:
                await self._commit([waiting])
            return
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(result)
            elif self._abandoned is not None and waiting.answer.cancelled():
                self._abandoned(waiting.item, result)

    async def _attempt(self, items: list[Item]) -> list[Result]:
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S):
                return await repeated(lambda: self._run(self._connection, items))
        except asyncpg.QueryCanceledError as error:
            raise TimeoutError from error

    async def _hang_up(self) -> None:
        if self._connection is not None:
            with suppress(Exception):
                await self._connection.close(timeout=1.0)
            self._connection = None


def _is_open(waiting: _Waiting[Any, Any]) -> bool:
    """Whether it is still to be committed; that its caller has left changes nothing."""
    return waiting.answer.cancelled() or not waiting.answer.done()


def _fail(waiting: _Waiting[Any, Any], error: BaseException) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error if isinstance(error, Exception) else unavailable())
        waiting.answer.exception()  # a caller who has left is no unhandled error
