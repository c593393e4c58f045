"""Tasks of the application's own: they outlive the request that started them, and end when the service does."""

from __future__ import annotations

import asyncio

from app.turns.work import Work


async def test_a_job_ends_although_whoever_waits_for_it_is_cancelled() -> None:
    work, done = Work(), asyncio.Event()

    async def job() -> None:
        await asyncio.sleep(0.02)
        done.set()

    async def request() -> None:
        await asyncio.shield(work.start(job()))

    waiting = asyncio.create_task(request())
    await asyncio.sleep(0)
    waiting.cancel()

    await asyncio.wait_for(done.wait(), 1)


async def test_draining_cuts_who_reads_an_engine_and_lets_a_settlement_finish() -> None:
    work, settled = Work(), asyncio.Event()

    async def settle() -> None:
        await asyncio.sleep(0.05)
        settled.set()

    async def read() -> None:
        with work.reading_engine():
            await asyncio.sleep(60)

    work.start(settle())
    reader = work.start(read())
    await asyncio.sleep(0)

    assert await work.drain(1) == 0
    assert settled.is_set()
    assert reader.cancelled()
    assert work.draining


async def test_what_does_not_end_in_time_is_cut_and_counted() -> None:
    work = Work()
    work.start(asyncio.sleep(60))

    assert await work.drain(0.01) == 1


async def test_a_reader_has_its_time_before_it_is_cut() -> None:
    work = Work()

    async def read() -> str:
        with work.reading_engine():
            await asyncio.sleep(0.02)
            return "whole"

    reader = work.start(read())
    work.cut_after(1)

    assert await reader == "whole"
