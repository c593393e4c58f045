"""Tasks that the application owns: a client that hangs up cancels its response, never these."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from app.base import log

T = TypeVar("T")


class Work:
    """The set of running tasks, drained before the house closes."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._readers: set[asyncio.Task[Any]] = set()
        self.draining = False

    def start(self, job: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `job` to its end whatever becomes of the request that asked for it."""
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    @contextmanager
    def reading_engine(self) -> Iterator[None]:
        """Inside the block the current task may be cut short when the service stops; a settlement may not."""
        task = asyncio.current_task()
        assert task is not None
        self._readers.add(task)
        try:
            yield
        finally:
            self._readers.discard(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not hasattr(error, "status"):
            log.error("task failed", **log.where(error))

    def cut_after(self, delay_s: float) -> None:
        """The service is stopping: whoever still reads an engine after `delay_s` is cut, and its caller told."""
        if not self.draining:
            self.draining = True
            asyncio.get_running_loop().call_later(delay_s, self._cut)

    def _cut(self) -> None:
        for task in tuple(self._readers):
            task.cancel()

    async def drain(self, timeout_s: float) -> int:
        """Wait for what runs, at most `timeout_s`; cancel the rest and wait for that. Gives how many were cut."""
        self.draining = True
        self._cut()
        if not self._tasks:
            return 0
        _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=timeout_s)
        return len(late)
