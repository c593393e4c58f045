"""A worker process that takes places of one limit as fast as it can, and tells what it was told."""

from __future__ import annotations

import asyncio
import time

from app.accounts.limits import Limits
from app.base.messages import Caller
from app.storage.engine import Database

Told = tuple[bool, float, int | None]
"""Admitted or not; the moment of the decision [epoch s]; seconds to wait."""


def caller(account_id: int, requests_per_min: int | None) -> Caller:
    """Somebody with this limit."""
    return Caller(
        account_id, 1, "pro", frozenset(), frozenset(), "u", "account", "tests", requests_per_min=requests_per_min
    )


def hammer(url: str, account_id: int, limit: int, run_s: float, pace: float) -> list[Told]:
    """Ask with 4 tasks for `run_s` real seconds, in which the database's clock counts `pace` times as many."""
    return asyncio.run(_hammer(url, account_id, limit, run_s, pace))


async def _hammer(url: str, account_id: int, limit: int, run_s: float, pace: float) -> list[Told]:
    database = await Database.open(url)
    limits = Limits(database, pace=pace)
    told: list[Told] = []
    until = time.monotonic() + run_s

    async def ask() -> None:
        while time.monotonic() < until:
            window = await limits.take(caller(account_id, limit), "generate")
            assert window is not None
            told.append((window.free_at is None, window.moment, window.retry_after_s))
            await asyncio.sleep(0.005)

    await asyncio.gather(*(ask() for _ in range(4)))
    await limits.close()
    await database.close()
    return told
