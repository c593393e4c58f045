"""An upstream that misbehaves in hundreds of ways: what wasn't whole is free, everyone is told, nothing is leaked."""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from tests.engines.upstreams import Exchange
from tests.reliability.calls import Told, call, question
from tests.reliability.misbehaving import CATALOGUE, SECRET, Case, answer, table
from tests.reliability.running import PRICE, Claims, Service, running

NAME = "upstream"
STATUSES = {400, 502, 503, 504}
TOGETHER = 12


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--only", default="", help="Cases whose name contains this.")


@contextmanager
def unreachable() -> Iterator[tuple[int, int]]:
    """A port that refuses connections, and one whose queue is full, so that nobody answers there."""
    with socket.socket() as closed, socket.socket() as full:
        closed.bind(("127.0.0.1", 0))  # bound and not listened on: refused, and nobody else can take it
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(full.getsockname())
            waiting.append(one)
        time.sleep(0.1)
        try:
            yield closed.getsockname()[1], full.getsockname()[1]
        finally:
            for one in waiting:
                one.close()


async def run(chosen: argparse.Namespace, claims: Claims) -> None:
    """See the module."""
    by_name = table()
    kept = [case for case in by_name.values() if chosen.only in case.name]
    busy: dict[str, int] = {}

    async def behave(exchange: Exchange) -> None:
        name = str(exchange.json["messages"][-1]["content"])
        busy[name] = busy.get(name, 0) + 1
        try:
            await answer(by_name, exchange)
        finally:
            busy[name] -= 1

    with unreachable() as (closed, full):
        catalogue = CATALOGUE.replace("CLOSED", str(closed)).replace("FULL", str(full))
        async with running(chosen, behave, catalogue=catalogue) as (service, upstream):
            account = await service.account()
            gate = asyncio.Semaphore(TOGETHER)

            async def one(case: Case) -> Told:
                async with gate:
                    body = question(case.name, stream=case.stream) | {"model": case.model}
                    return await call(service.port, account.key, body, timeout_s=30, x_user_id=_user(case))

            told = await asyncio.gather(*(one(case) for case in kept))
            held_s = await service.nothing_held(account, 5)
            charges = await service.charges(account)
            for case, heard in zip(kept, told, strict=True):
                _judge(case, heard, charges.get(_user(case), []), claims)
            await asyncio.sleep(0.5)
            leaked = [name for name, count in busy.items() if count]
            in_flight = _in_flight(service)
            well = await call(service.port, account.key, question("are you well?", stream=True))
            kinds = Counter(_kind(heard) for heard in told)
            claims.figures |= {
                "cases": len(kept),
                **dict(sorted(kinds.items())),
                "leaked": len(leaked),
                "in_flight": in_flight,
                "idle_connections": upstream.open_connections,
                "held": "nothing" if held_s is not None else "money",
            }
            claims.must(held_s is not None, "money is still held")
            claims.must(not leaked, f"upstream calls still open: {leaked[:5]}")
            claims.must(in_flight == 0, f"{in_flight} upstream calls in flight")
            claims.must(well.acknowledged, f"afterwards a good call is told {well.status} {well.error} {well.broken}")
            await service.audit(claims)


def _user(case: Case) -> str:
    return case.name.replace(" ", "-").replace("/", "-")


def _judge(case: Case, heard: Told, rows: list[asyncpg.Record], claims: Claims) -> None:
    found = [(row["state"], row["close_reason"], row["taken"]) for row in rows]
    where = f"{case.name}: told {heard.status} {heard.error} done {heard.done} {heard.broken}; {found}"
    everything = json.dumps([heard.text, heard.error, heard.headers]) + heard.raw.decode("utf-8", "replace")
    claims.must(SECRET not in everything, f"{where}: the upstream's words are shown")
    claims.must(heard.whole and not heard.broken, f"{where}: the answer broke off")
    understood = heard.acknowledged or _is_envelope(heard.error)
    claims.must(understood and not (heard.done and heard.error), f"{where}: not something a client understands")
    claims.must(heard.status == 200 or heard.status in STATUSES, f"{where}: a strange status")
    settled = [row for row in rows if row["state"] == "settled"]
    claims.must(len(rows) == 1 and rows[0]["state"] in ("settled", "voided"), f"{where}: not one closed charge")
    claims.must(len(settled) == int(heard.acknowledged), f"{where}: charged and told differ")
    for row in rows:
        cost = (row["prompt_tokens"] + row["completion_tokens"]) * PRICE if row["state"] == "settled" else 0
        claims.must(row["taken"] == cost and row["entries"] <= 1, f"{where}: the wrong amount")
    if case.ending == "whole":
        claims.must(heard.acknowledged, f"{where}: a whole answer was refused")
    elif case.ending == "nothing":
        claims.must(not heard.acknowledged, f"{where}: an answer that was not whole was charged")


def _is_envelope(error: Any) -> bool:
    return isinstance(error, dict) and {"message", "type", "param", "code"} <= error.keys() and bool(error["message"])


def _kind(heard: Told) -> str:
    if heard.acknowledged:
        return "answered"
    if heard.error is not None:
        return f"{'event' if heard.status == 200 else heard.status}_{heard.error.get('code')}"
    return "broken"


def _in_flight(service: Service) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/health/ready", timeout=10) as answered:
        ready = json.load(answered)
    return sum(one["in_flight"] for one in ready["upstreams"])
