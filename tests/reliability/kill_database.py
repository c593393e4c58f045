"""kill -9 of the embedded PostgreSQL under load, again and again: no acknowledged charge is lost, and it comes back."""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections import Counter
from contextlib import suppress

import psutil

from tests.reliability.calls import Told, call, question
from tests.reliability.running import PRICE, Account, Claims, Service, running
from tests.reliability.speaking import Paced

NAME = "kill-database"
BACK_S_MAX = 5.0
WORDS = 10
PACE_S = 0.05


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--cycles", type=int, default=5, help="20 for the goal.")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--freeze", type=float, default=0, help="Stop it for so many seconds instead of killing it.")


async def run(chosen: argparse.Namespace, claims: Claims) -> None:
    """See the module; every other cycle all of PostgreSQL's processes are killed, not only the first."""
    assert chosen.database is None, "the embedded database is what is killed"
    chance = random.Random(chosen.cycles)
    async with running(chosen, Paced(lambda name: (WORDS, PACE_S if "slow" in name else 0))) as (service, _):
        account = await service.account(nano=10**15)
        told: dict[str, Told] = {}
        stop = asyncio.Event()
        clients = [
            asyncio.ensure_future(_client(service, account, number, told, stop)) for number in range(chosen.clients)
        ]
        back: list[float] = []
        for cycle in range(chosen.cycles):
            await asyncio.sleep(2 + chance.random())
            if chosen.freeze:
                await asyncio.to_thread(_freeze, service, chosen.freeze)
            else:
                await asyncio.to_thread(_kill, service, everything=bool(cycle % 2))
            back.append(await _answered_again(told, time.time()))
        await asyncio.sleep(1)
        stop.set()
        await asyncio.gather(*clients)
        held_s = await service.nothing_held(account, 90)
        charges = await service.charges(account)
        for name, one in told.items():
            rows = charges.get(name, [])
            settled = [row for row in rows if row["state"] == "settled"]
            states = [(row["state"], row["close_reason"]) for row in rows]
            where = f"{name}: {states}, told {one.status} {one.error} {one.broken}"
            claims.must(len(settled) <= 1 and all(row["entries"] <= 1 for row in rows), f"{where}: charged twice")
            claims.must(not one.acknowledged or len(settled) == 1, f"{where}: an acknowledged charge is lost")
            for row in settled:
                cost = (row["prompt_tokens"] + row["completion_tokens"]) * PRICE
                claims.must(row["taken"] == cost, f"{where}: the wrong amount")
        kinds = Counter(_kind(one) for one in told.values())
        settled_unseen = sum(
            not one.acknowledged and any(row["state"] == "settled" for row in charges.get(name, ()))
            for name, one in told.items()
        )
        claims.figures |= {
            "cycles": chosen.cycles,
            "calls": len(told),
            "acknowledged": sum(one.acknowledged for one in told.values()),
            "charged_without_end": settled_unseen,
            "back_s_max": max(back),
            "back_s_mean": sum(back) / len(back),
            "money_free": held_s is not None,
            **{kind.replace(" ", "_"): count for kind, count in sorted(kinds.items())},
        }
        allowed = {"answered", "503 database_unavailable", "504 upstream_timeout", "event upstream_timeout"}
        strange = {kind: count for kind, count in kinds.items() if kind not in allowed}
        claims.must(not strange, f"calls were told {strange}")
        claims.must(max(back) <= BACK_S_MAX, f"it took {max(back):.1f} s to serve again")
        claims.must(held_s is not None, "money is held for ever")
        await service.audit(claims)


async def _client(service: Service, account: Account, number: int, told: dict[str, Told], stop: asyncio.Event) -> None:
    """Call again and again: streams, slow streams and whole answers in turn."""
    for turn in range(100_000):
        if stop.is_set():
            return
        name = f"{('fast', 'slow', 'whole')[turn % 3]}-{number}-{turn}"
        one = told[name] = Told()
        body = question(name, stream="whole" not in name, max_tokens=50)
        await call(service.port, account.key, body, one, timeout_s=30, x_user_id=name)
        await asyncio.sleep(0.02 if one.status == 200 else 0.1)


async def _answered_again(told: dict[str, Told], since: float) -> float:
    """Seconds from the kill to the first answer to a call that was begun after it."""
    while time.time() - since < 60:
        first = min(
            (one.heard_at for one in told.values() if one.sent_at > since + 0.05 and one.status == 200), default=None
        )
        if first is not None:
            return first - since
        await asyncio.sleep(0.02)
    return time.time() - since


def _postmaster(service: Service) -> psutil.Process:
    pid_file = service.data / "postgres" / "cluster" / "postmaster.pid"
    return psutil.Process(int(pid_file.read_text(encoding="utf-8").split("\n", 1)[0]))


def _kill(service: Service, *, everything: bool) -> None:
    postmaster = _postmaster(service)
    children = postmaster.children(recursive=True) if everything else []
    postmaster.kill()
    for child in children:
        with suppress(psutil.Error):
            child.kill()


def _freeze(service: Service, seconds: float) -> None:
    """Let every process of it stand still for a while: the line is there, and nobody answers."""
    postmaster = _postmaster(service)
    processes = [postmaster, *postmaster.children(recursive=True)]
    for process in processes:
        with suppress(psutil.Error):
            process.suspend()
    try:
        time.sleep(seconds)
    finally:
        for process in processes:
            with suppress(psutil.Error):
                process.resume()


def _kind(one: Told) -> str:
    """What a call was told, in a word."""
    if one.acknowledged:
        return "answered"
    if one.error is not None:
        return f"{one.status if one.status != 200 else 'event'} {one.error.get('code')}"
    return f"broken {one.status} {one.broken.partition(':')[0]}"
