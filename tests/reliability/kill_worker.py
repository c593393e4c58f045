"""kill -9 of a worker in the middle of many streams: nobody pays twice or unseen, and the money comes back."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import time
from collections import Counter

import asyncpg
import psutil

from tests.reliability.calls import Told, call, question
from tests.reliability.running import PRICE, Account, Claims, Service, running
from tests.reliability.speaking import Paced, text_of

NAME = "kill-worker"
OPENING = 64
FREE_S_MAX = 90.0
SHARE_ENDING = 0.6
ENDING_S = 2.0


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--streams", type=int, default=400, help="Open when the worker dies; 4000 for the goal.")
    parser.add_argument("--parent", action="store_true", help="Kill the parent of two workers instead.")
    parser.add_argument("--both", action="store_true", help="With one worker, and again with two.")
    parser.add_argument("--age-leases", action="store_true", help="Let the dead leases be old at once.")


async def run(chosen: argparse.Namespace, claims: Claims) -> None:
    """See the module."""
    if chosen.parent:
        await _kill_parent(chosen, claims)
        return
    for workers in (1, 2) if chosen.both else (chosen.workers,):
        await _run(chosen, claims, workers, f"w{workers}_" if chosen.both else "")


async def _run(chosen: argparse.Namespace, claims: Claims, workers: int, prefix: str) -> None:
    chance = random.Random(chosen.streams)
    pace_s = max(0.1, chosen.streams / 2_000)  # so that the words of all together stay within what two cores relay
    told: dict[str, Told] = {f"stream-{number}": Told() for number in range(chosen.streams)}
    upstream = Paced(lambda name: (100_000, pace_s) if name in told else (1, 0))
    async with running(chosen, upstream, workers=workers) as (service, _):
        account = await service.account(nano=10**15)
        gate = asyncio.Semaphore(OPENING)
        clients = {
            name: asyncio.ensure_future(_stream(service, account, name, one, gate)) for name, one in told.items()
        }
        began = time.monotonic()
        while (heard := sum(one.pieces > 0 for one in told.values())) < len(told) and time.monotonic() - began < 120:  # noqa: ASYNC110 - others change it
            await asyncio.sleep(0.1)
        kill_at = time.monotonic() + pace_s + ENDING_S
        for name in told:
            if chance.random() < SHARE_ENDING:
                upstream.ends_at[name] = kill_at + chance.uniform(-ENDING_S, ENDING_S / 2)
        await asyncio.sleep(kill_at - time.monotonic())
        open_before = sum(not one.whole for one in told.values())
        os.kill(service.worker_pids()[0], signal.SIGKILL)
        killed_at = time.monotonic()
        back_s = await _serving_again(service, account, workers)
        await asyncio.sleep(max(0, killed_at + ENDING_S + pace_s - time.monotonic()))
        survivors = {name for name, client in clients.items() if not client.done()}
        for name in survivors:  # the other worker's; they have outlived the kill, and leave now
            clients[name].cancel()
        await asyncio.gather(*clients.values(), return_exceptions=True)
        if chosen.age_leases:
            await service.rows("UPDATE charge SET lease_until = now() - interval '11 s' WHERE state = 'authorized'")
        free_s = await service.nothing_held(account, FREE_S_MAX + 5 - (time.monotonic() - killed_at))
        free_after_s = time.monotonic() - killed_at
        charges = await service.charges(account)
        _judge(told, upstream, survivors, charges, claims, prefix)
        states = Counter(row["state"] for name in told for row in charges.get(name, ()))
        claims.figures |= {
            f"{prefix}streams": len(told),
            f"{prefix}open_at_kill": open_before,
            f"{prefix}cut": sum(bool(one.broken) for one in told.values()),
            f"{prefix}done": sum(one.done for one in told.values()),
            f"{prefix}settled": states["settled"],
            f"{prefix}expired": states["expired"],
            f"{prefix}serving_again_s": back_s,
            f"{prefix}free_s": free_after_s if free_s is not None else "never",
        }
        claims.must(heard == len(told), f"{prefix}only {heard} of {len(told)} streams began")
        claims.must(workers > 1 or not survivors, f"{prefix}{len(survivors)} streams outlived their only worker")
        claims.must(
            free_s is not None and free_after_s <= FREE_S_MAX, f"{prefix}money was held for {free_after_s:.0f} s"
        )
        claims.must(not upstream.open, f"{prefix}{len(upstream.open)} upstream calls are still open")
        await service.audit(claims)


async def _kill_parent(chosen: argparse.Namespace, claims: Claims) -> None:
    """Workers whose parent is killed give way: their streams end properly and the port is free for the next start."""
    told = {f"stream-{number}": Told() for number in range(chosen.streams)}
    upstream = Paced(lambda name: (20, 0.2) if name in told else (1, 0))
    async with running(chosen, upstream, workers=2) as (service, _):
        account = await service.account(nano=10**15)
        gate = asyncio.Semaphore(OPENING)
        clients = [asyncio.ensure_future(_stream(service, account, name, one, gate)) for name, one in told.items()]
        await asyncio.sleep(2)
        assert service.process is not None
        orphans = service.worker_pids()
        service.process.kill()
        killed_at = time.monotonic()
        await asyncio.sleep(1)
        await service.start()
        claims.figures["serving_again_s"] = time.monotonic() - killed_at
        await asyncio.gather(*clients)
        left = orphans
        while left and time.monotonic() - killed_at < 40:
            await asyncio.sleep(0.1)
            left = [pid for pid in orphans if psutil.pid_exists(pid)]
        claims.figures |= {"done": sum(one.done for one in told.values()), "gone_s": time.monotonic() - killed_at}
        claims.must(not left, f"{left} outlived their parent")
        lost = {name: (one.status, one.error, one.broken) for name, one in told.items() if not one.done}
        claims.must(not lost, f"streams that could have ended: {lost}")
        claims.must(await service.nothing_held(account, 10) is not None, "money is held")
        await service.audit(claims)


async def _stream(service: Service, account: Account, name: str, told: Told, gate: asyncio.Semaphore) -> None:
    """Open a stream, no more than so many at a time, and read it to whatever end."""
    async with gate:
        task = asyncio.ensure_future(
            call(service.port, account.key, question(name, stream=True), told, timeout_s=600, x_user_id=name)
        )
        while not (told.pieces or task.done()):  # noqa: ASYNC110 - others change it
            await asyncio.sleep(0.02)
    try:
        await task
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise


async def _serving_again(service: Service, account: Account, workers: int) -> float:
    """Start the service again, if nobody else does, and wait for an answer; how long that took [s]."""
    began = time.monotonic()
    if workers == 1:
        assert service.process is not None
        await asyncio.to_thread(service.process.wait)
        await service.start()
    while time.monotonic() - began < 60:
        told = await call(service.port, account.key, question("hello", max_tokens=1), timeout_s=20)
        if told.status == 200 and len(service.worker_pids()) == workers:
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    raise RuntimeError("the service did not come back")


def _judge(
    told: dict[str, Told],
    upstream: Paced,
    survivors: set[str],
    charges: dict[str, list[asyncpg.Record]],
    claims: Claims,
    prefix: str,
) -> None:
    unseen = 0
    for name, one in told.items():
        rows = charges.get(name, [])
        where = (
            f"{prefix}{name}: {[(row['state'], row['close_reason'], row['taken']) for row in rows]}, done {one.done}"
        )
        claims.must(len(rows) == 1, f"{where}: not one charge")
        for row in rows:
            cost = (row["prompt_tokens"] + row["completion_tokens"]) * PRICE
            claims.must(row["entries"] <= 1, f"{where}: charged twice")
            claims.must(row["taken"] == (cost if row["state"] == "settled" else 0), f"{where}: the wrong amount")
            claims.must(not one.done or row["state"] == "settled", f"{where}: saw the end and was not charged")
            if row["state"] == "settled" and not one.done:
                if row["close_reason"] == "client_gone":  # one of ours, that left the worker that lived on
                    claims.must(name in survivors, f"{where}: charged as if it had left")
                    continue
                unseen += 1  # settled, then killed before the end went out: the answer itself must have been there
                said = text_of(len(upstream.calls[name].sent_at))
                claims.must(one.text == said, f"{where}: charged for what it never got")
            claims.must(row["state"] in ("settled", "expired"), f"{where}: in the wrong state")
    claims.figures[f"{prefix}charged_without_done"] = unseen
