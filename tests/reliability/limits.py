"""The free plan's 20 calls a minute, hammered through several workers: exact in any 60 s, nobody refused in vain."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter

from tests.engines.upstreams import Exchange, whole
from tests.reliability.calls import Told, call, question
from tests.reliability.running import Account, Claims, Service, running

NAME = "limits"
LIMIT = 20
WINDOW_S = 60.0
FREE_AGAIN_S = 61.0


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--seconds", type=float, default=75)
    parser.add_argument("--clients", type=int, default=16)
    parser.set_defaults(workers=2)


async def _yes(exchange: Exchange) -> None:
    await exchange.answer(whole("yes"))


async def run(chosen: argparse.Namespace, claims: Claims) -> None:
    """See the module; each call is on a connection of its own, so that the workers share them."""
    async with running(chosen, _yes) as (service, _):
        account = await service.account(plan="free")
        told: list[Told] = []
        until = time.monotonic() + chosen.seconds
        await asyncio.gather(*(_client(service, account, told, until, number) for number in range(chosen.clients)))
        rows = await service.rows("SELECT count(DISTINCT worker_id) AS n FROM charge WHERE account_id = $1", account.id)
        statuses = Counter(one.status for one in told)
        admitted = sorted((one for one in told if one.status == 200), key=lambda one: one.heard_at)
        refused = [one for one in told if one.status == 429]
        claims.figures |= {
            "calls": len(told),
            "admitted": len(admitted),
            "refused": len(refused),
            "workers_that_admitted": rows[0]["n"],
            "most_in_60_s": _most(admitted),
        }
        claims.must(set(statuses) == {200, 429}, f"other answers: {statuses}")
        claims.must(len(admitted) > LIMIT, "the run was too short to see a second window")
        for first, last in zip(admitted, admitted[LIMIT:], strict=False):
            span_s = last.heard_at - first.sent_at
            claims.must(span_s >= WINDOW_S, f"{LIMIT + 1} calls were admitted within {span_s:.3f} s")
        in_vain = 0
        wrong_waits = 0
        for one in refused:
            before = [
                other
                for other in admitted
                if other.heard_at > one.sent_at - FREE_AGAIN_S and other.sent_at < one.heard_at
            ]
            in_vain += len(before) < LIMIT
            wrong_waits += not 1 <= int(one.headers.get("retry-after", "0")) <= FREE_AGAIN_S
        claims.figures |= {"refused_in_vain": in_vain, "wrong_retry_after": wrong_waits}
        claims.must(not in_vain, f"{in_vain} were refused while there was room")
        claims.must(not wrong_waits, f"{wrong_waits} were told a wrong Retry-After")
        await service.audit(claims)


def _most(admitted: list[Told]) -> int:
    """The most calls that were surely admitted within 60 s."""
    return max(
        sum(first.sent_at <= one.sent_at and one.heard_at < first.sent_at + WINDOW_S for one in admitted)
        for first in admitted
    )


async def _client(service: Service, account: Account, told: list[Told], until: float, number: int) -> None:
    await asyncio.sleep(number * 0.01)
    while time.monotonic() < until:
        told.append(await call(service.port, account.key, question("hello", max_tokens=1), timeout_s=20))
        await asyncio.sleep(0.1)
