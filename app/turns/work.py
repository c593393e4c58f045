"""Tasks that the application owns: a client that hangs up cancels its response, never these."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Work:
    """The set of running tasks, drained before the house closes."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.draining = False

    def start(self, job: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `job` to its end whatever becomes of the request that asked for it."""
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task failed", error=type(error).__name__)

    async def drain(self, timeout_s: float) -> int:
        """Wait for what runs, at most `timeout_s`; cancel the rest and wait for that. Gives how many were cut."""
        self.draining = True
        if not self._tasks:
            return 0
        _, late = await asyncio.wait(set(self._tasks), timeout=timeout_s)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=10)
        return len(late)
