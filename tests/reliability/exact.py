"""One wallet, 64 clients, money for exactly so many calls whose hold is their charge: so many are answered."""

from __future__ import annotations

import argparse
import asyncio
from collections import Counter

import asyncpg

from tests.engines.upstreams import Exchange, whole
from tests.reliability.calls import Told, call, question
from tests.reliability.running import PRICE, Account, Claims, Service, running

NAME = "exact"
HALF_HOLD_TOKENS = 1 + 8
HALF_CHARGE_TOKENS = 1 + 4


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--calls", type=int, default=1_000, help="Calls that the wallet pays for.")
    parser.add_argument("--clients", type=int, default=64)
    parser.set_defaults(workers=2)


async def one_token(exchange: Exchange) -> None:
    """One token where one was asked for, else four."""
    await exchange.answer(whole("yes" if exchange.json["max_tokens"] == 1 else "yes yes yes yes"))


async def run(chosen: argparse.Namespace, claims: Claims) -> None:
    """See the module."""
    async with running(chosen, one_token) as (service, _):
        await _hold_is_charge(service, chosen, claims)
        await _half_used(service, chosen, claims)
        await service.audit(claims)


async def _hold_is_charge(service: Service, chosen: argparse.Namespace, claims: Claims) -> None:
    account = await service.account(nano=chosen.calls * 2 * PRICE)
    tries = chosen.calls * 5 // 4 // chosen.clients + 1
    told: list[Told] = []

    async def client() -> None:
        for _ in range(tries):
            told.append(await call(service.port, account.key, question("hello", max_tokens=1)))

    watch = asyncio.ensure_future(_lowest(service, account))
    await asyncio.gather(*(client() for _ in range(chosen.clients)))
    balance, held = await service.wallet(account)
    watch.cancel()
    (lowest,) = await asyncio.gather(watch, return_exceptions=True)
    statuses = Counter(one.status for one in told)
    claims.figures |= {
        "calls": len(told),
        "answered": statuses[200],
        "refused_402": statuses[402],
        "balance": balance,
        "held": held,
        "lowest_seen": lowest,
    }
    claims.must(statuses[200] == chosen.calls, f"{statuses[200]} answered instead of {chosen.calls}")
    claims.must(set(statuses) <= {200, 402}, f"other answers: {dict(statuses)} {_others(told)}")
    claims.must((balance, held) == (0, 0), f"balance {balance}, held {held}")
    claims.must(isinstance(lowest, int) and lowest >= 0, f"the balance went down to {lowest}")
    rows = await service.rows(
        "SELECT count(*) AS n, count(DISTINCT worker_id) AS workers FROM charge"
        " WHERE account_id = $1 AND state = 'settled' AND charged_nano = $2 AND hold_nano = $2",
        account.id,
        2 * PRICE,
    )
    claims.figures["workers"] = rows[0]["workers"]
    claims.must(rows[0]["n"] == chosen.calls, f"{rows[0]['n']} settled charges of the right amount")


async def _half_used(service: Service, chosen: argparse.Namespace, claims: Claims) -> None:
    """Clients obey Retry-After and stop when a 402 has none: then less than one hold is left."""
    money = max(64, chosen.calls // 4) * HALF_CHARGE_TOKENS * PRICE + 3 * PRICE
    account = await service.account(nano=money)
    answered: list[Told] = []
    others: list[Told] = []

    async def client() -> None:
        while True:
            told = await call(service.port, account.key, question("hello", max_tokens=8))
            if told.status == 200:
                answered.append(told)
            elif told.status == 402 and "retry-after" in told.headers:
                await asyncio.sleep(float(told.headers["retry-after"]))
            else:
                if told.status != 402:
                    others.append(told)
                return

    async with asyncio.timeout(120):
        await asyncio.gather(*(client() for _ in range(chosen.clients)))
    balance, held = await service.wallet(account)
    claims.figures |= {"half_answered": len(answered), "half_left_tokens": balance / PRICE}
    claims.must(0 <= balance < HALF_HOLD_TOKENS * PRICE and held == 0, f"half used: {balance} left, {held} held")
    claims.must(balance == money - len(answered) * HALF_CHARGE_TOKENS * PRICE, "half used: the sum is wrong")
    claims.must(not others, f"half used: other answers {_others(others)}")


def _others(told: list[Told]) -> list[object]:
    return [(one.status, one.error, one.broken) for one in told if one.status not in (200, 402)][:3]


async def _lowest(service: Service, account: Account) -> int:
    """The lowest free balance seen until cancelled [nano-USD]."""
    connection = await asyncpg.connect(service.database_url)
    lowest: int | None = None
    try:
        while True:
            free = await connection.fetchval("SELECT balance_nano - held_nano FROM account WHERE id = $1", account.id)
            lowest = free if lowest is None else min(lowest, free)
            await asyncio.sleep(0.01)
    except asyncio.CancelledError:
        assert lowest is not None
        return lowest
    finally:
        await connection.close()
