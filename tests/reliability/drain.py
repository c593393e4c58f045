"""SIGTERM with many streams open: each is finished or told why not, and the process is gone in time."""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import time
from collections import Counter

from tests.reliability.calls import Line, Told, call, question
from tests.reliability.running import PRICE, Account, Claims, Service, running
from tests.reliability.speaking import Paced, text_of

NAME = "drain"
GONE_S_MAX = 30.0
PACE_S = 0.5
WHOLE_CALLS = 20


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--silent", type=int, default=20, help="Further streams whose upstream falls silent.")
    parser.add_argument("--stalled", type=int, default=5, help="Further streams whose client has stopped reading.")


async def run(chosen: argparse.Namespace, claims: Claims) -> None:
    """See the module; half of the streams would end within 15 s, the others never."""
    chance = random.Random(chosen.streams)
    told = {f"stream-{number}": Told() for number in range(chosen.streams)}
    told |= {f"whole-{number}": Told() for number in range(WHOLE_CALLS)}
    told |= {f"silent-{number}": Told() for number in range(chosen.silent)}
    upstream = Paced(lambda name: (100_000, {"silent": 1_000, "stalled": 0}.get(name.partition("-")[0], PACE_S)))
    async with running(chosen, upstream) as (service, _):
        account = await service.account(nano=10**15)
        gate = asyncio.Semaphore(64)
        clients = [asyncio.ensure_future(_open(service, account, name, one, gate)) for name, one in told.items()]
        began = time.monotonic()
        while sum(one.pieces > 0 for one in told.values()) < chosen.streams + chosen.silent:
            if time.monotonic() - began > 120:
                raise RuntimeError("the streams did not begin")
            await asyncio.sleep(0.1)
        stalled = [await _stall(service, account, f"stalled-{number}") for number in range(chosen.stalled)]
        await asyncio.sleep(2)
        assert service.process is not None
        service.process.send_signal(signal.SIGTERM)
        terminated_at = time.monotonic()
        for number in range(chosen.streams):
            if number % 2:
                upstream.ends_at[f"stream-{number}"] = terminated_at + chance.uniform(0, 15)
        gone = asyncio.ensure_future(service.wait_gone())
        await asyncio.sleep(1)
        late = await call(service.port, account.key, question("late"), timeout_s=5)
        gone_s = await gone
        await asyncio.wait(clients, timeout=5)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        found = await service.vetx("reconcile", may_fail=True)
        claims.figures["gone_s"] = gone_s
        kinds = Counter(_kind(name, one) for name, one in told.items())
        claims.figures |= {kind.replace(" ", "_"): count for kind, count in sorted(kinds.items())}
        claims.figures["a_late_call"] = late.status or late.broken.partition(":")[0]
        claims.must(gone_s <= GONE_S_MAX and service.process.returncode is not None, f"gone after {gone_s:.1f} s")
        claims.figures["exit"] = service.process.returncode
        claims.must(found["ok"], f"reconcile: {found['rows'][:3]}")
        if service.database is None:  # the embedded server has left with its last user: it is started for our questions
            await service.start()
        charges = await service.charges(account)
        balance, held = await service.wallet(account)
        claims.figures["held"] = held
        claims.must(held == 0, f"{held} nano-dollars are still held")
        for name, one in told.items():
            rows = charges.get(name, [])
            where = f"{name}: {[(row['state'], row['close_reason'], row['taken']) for row in rows]}, told {one.status} "
            where += f"{one.error and one.error['code']}, {one.pieces} pieces {one.broken}"
            claims.must(len(rows) == 1, f"{where}: {len(rows)} charges")
            settled = [row for row in rows if row["state"] == "settled"]
            if one.acknowledged:
                said = text_of(len(upstream.calls[name].sent_at)) if one.done else one.text
                claims.must(len(settled) == 1 and one.text == said, f"{where}: finished, yet not charged or not whole")
            else:
                claims.must(one.error is not None and one.whole, f"{where}: neither finished nor told")
                claims.must(not settled and not any(row["taken"] for row in rows), f"{where}: charged unfinished")
            for row in settled:
                claims.must(row["taken"] == (row["prompt_tokens"] + row["completion_tokens"]) * PRICE, f"{where}: sum")
        for number, line in enumerate(stalled):  # they can't be told; what counts is that nobody waits for them
            line.leave("reset")
            rows = charges.get(f"stalled-{number}", [])
            ends = [(row["state"], row["close_reason"], row["taken"]) for row in rows]
            claims.must(len(rows) == 1 and not rows[0]["taken"], f"stalled-{number}: {ends}")
        claims.figures["charged_usd"] = (10**15 - balance) / 10**9
        await service.audit(claims, faults_max=chosen.stalled)  # the server logs each task it had to cancel


async def _open(service: Service, account: Account, name: str, told: Told, gate: asyncio.Semaphore) -> None:
    async with gate:
        body = question(name, stream="whole" not in name)
        task = asyncio.ensure_future(call(service.port, account.key, body, told, timeout_s=90, x_user_id=name))
        while "stream" in name and not (told.pieces or task.done()):  # noqa: ASYNC110 - others change it
            await asyncio.sleep(0.02)
    await task


async def _stall(service: Service, account: Account, name: str) -> Line:
    """A client that asks for a lot and reads none of it."""
    body = question(name, stream=True, max_tokens=16_384)
    return await Line.open(service.port, account.key, body, receive_bytes=4_096, x_user_id=name)


def _kind(name: str, one: Told) -> str:
    kind = name.partition("-")[0]
    if one.acknowledged:
        return f"{kind} finished"
    if one.error is not None and one.whole:
        return f"{kind} told {one.error['code']}"
    return f"{kind} broken"
