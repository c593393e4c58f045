"""The claims of reliability in a few seconds each; `python -m tests.reliability NAME` makes them in full."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.reliability.running import ROOT

LIMIT_S = 120


async def _claim(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.reliability",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert process.returncode == 0, said.decode()


async def test_money_for_so_many_calls_answers_so_many(fresh_url: str) -> None:
    await _claim("exact", "--calls", "60", "--clients", "16", "--workers", "1", "--database", fresh_url)


async def test_who_leaves_pays_for_what_was_given(fresh_url: str) -> None:
    await _claim("leave", "--last", "120", "--step", "20", "--stalled", "0", "--database", fresh_url)


async def test_a_killed_worker_charges_nobody_twice_or_unseen(fresh_url: str) -> None:
    await _claim("kill-worker", "--streams", "24", "--age-leases", "--database", fresh_url)


async def test_a_killed_database_loses_no_acknowledged_charge() -> None:
    await _claim("kill-database", "--cycles", "1", "--clients", "6")
