"""Clients leave a paced stream at every chunk: each pays for what it was given, and the upstream is closed at once."""

from __future__ import annotations

import argparse
import asyncio
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field

import asyncpg

from app.billing.tokens import Tokens
from tests.reliability.calls import Line, Told, question
from tests.reliability.running import PRICE, Account, Claims, Service, running
from tests.reliability.speaking import Paced, Spoken, text_of

NAME = "leave"
WORDS = 450
PACE_S = 0.004
CLOSED_S_MAX = 1.0
BYTES_MORE_MAX = 64 * 1024
EARLY = 10


def options(parser: argparse.ArgumentParser) -> None:
    """What can be chosen."""
    parser.add_argument("--last", type=int, default=200, help="The last chunk to leave at.")
    parser.add_argument("--step", type=int, default=1)
    parser.add_argument("--stalled", type=int, default=4, help="Further clients that read nothing before they leave.")
    parser.add_argument("--together", type=int, default=8, help="Streams open at once.")


@dataclass(slots=True)
class Left:
    """One client that left."""

    name: str
    told: Told = field(default_factory=Told)
    at: float = 0.0


async def run(chosen: argparse.Namespace, claims: Claims) -> None:
    """See the module."""
    upstream = Paced(lambda name: (WORDS, PACE_S) if "stalled" not in name else (100_000, 0))
    tokens = Tokens.load()
    async with running(chosen, upstream) as (service, _):
        account = await service.account()
        gate = asyncio.Semaphore(chosen.together)
        early = [_leave_early(service, account, f"early {number}", 0.01 * number, gate) for number in range(EARLY)]
        chunks = range(0, chosen.last + 1, chosen.step)
        left = await asyncio.gather(*(_leave(service, account, chunk, gate) for chunk in chunks), *early)
        stalled = [_leave_unread(service, account, number) for number in range(chosen.stalled)]
        at = await asyncio.gather(*stalled)
        held_s = await service.nothing_held(account, 5)
        charges = await service.charges(account)
        closed_s = [_judge(one, upstream.calls.get(one.name), charges, tokens, claims) for one in left]
        states = Counter(row["state"] for rows in charges.values() for row in rows)
        more = [
            row["completion_tokens"] - tokens.count(one.told.text)
            for one in left
            for row in charges.get(one.name.replace(" ", "-"), ())
            if row["state"] == "settled"
        ]
        unread = [_unread_bytes(charges[f"stalled-{number}"], tokens) for number in range(chosen.stalled)]
        outlived = [
            (upstream.calls[f"stalled {number}"].closed_at or 1e9) - at[number] for number in range(chosen.stalled)
        ]
        claims.must(max(unread, default=0) <= BYTES_MORE_MAX, f"charged unread: {unread} bytes")
        claims.must(max(outlived, default=0) <= CLOSED_S_MAX, f"the upstream outlived stalled clients by {outlived} s")
        claims.figures |= {
            "unread_bytes_max": max(unread, default=0),
            "left": len(left),
            "settled": states["settled"],
            "voided": states["voided"],
            "closed_s_max": max(filter(None, closed_s), default=0.0),
            "tokens_more_max": max(more, default=0),
            "held": "nothing" if held_s is not None else "money",
        }
        claims.must(held_s is not None, "money is still held 5 s after the last one left")
        claims.must(not upstream.open, f"{len(upstream.open)} upstream calls are still open")
        await service.audit(claims)


async def _leave(service: Service, account: Account, chunk: int, gate: asyncio.Semaphore) -> Left:
    """Read until `chunk` content events have come, and hang up: with a reset every other time."""
    one = Left(f"chunk {chunk}")
    async with gate, asyncio.timeout(30):
        line = await Line.open(
            service.port, account.key, question(one.name, stream=True), one.told, x_user_id=one.name.replace(" ", "-")
        )
        await line.head()
        if chunk:
            async for _ in line.events():
                if one.told.pieces >= chunk:
                    break
        one.at = line.leave("reset" if chunk % 2 else "close")
        await asyncio.sleep(CLOSED_S_MAX + 0.2)
    return one


async def _leave_early(service: Service, account: Account, name: str, wait_s: float, gate: asyncio.Semaphore) -> Left:
    """Hang up without having looked at the answer."""
    one = Left(name)
    async with gate, asyncio.timeout(30):
        line = await Line.open(
            service.port, account.key, question(name, stream=True), one.told, x_user_id=name.replace(" ", "-")
        )
        await asyncio.sleep(wait_s)
        one.at = line.leave("reset")
        await asyncio.sleep(CLOSED_S_MAX + 0.2)
    return one


async def _leave_unread(service: Service, account: Account, number: int) -> float:
    """Ask for a lot, read nothing, leave; the moment [monotonic s]."""
    body = question(f"stalled {number}", stream=True, max_tokens=16_384)
    line = await Line.open(service.port, account.key, body, receive_bytes=4_096, x_user_id=f"stalled-{number}")
    await asyncio.sleep(3)
    at = line.leave("reset")
    await asyncio.sleep(CLOSED_S_MAX + 0.2)
    return at


def _unread_bytes(rows: list[asyncpg.Record], tokens: Tokens) -> int:
    """How long the text is that a client who read nothing was charged for."""
    (row,) = rows
    return len(text_of(row["completion_tokens"] // 2)) if row["state"] == "settled" else 0


def _judge(
    one: Left, spoken: Spoken | None, charges: dict[str, list[asyncpg.Record]], tokens: Tokens, claims: Claims
) -> float | None:
    """Whether its charge is right; how long the upstream's line outlived the client [s]."""
    rows = charges.get(one.name.replace(" ", "-"), [])
    if one.name.startswith("early") and not rows:
        return None  # it had gone before its request was read
    if len(rows) != 1 or (spoken is None and rows[0]["state"] != "voided"):
        claims.must(False, f"{one.name}: {len(rows)} charges, upstream asked: {spoken is not None}")
        return None
    (row,) = rows
    read = tokens.count(one.told.text)
    sent = spoken.sent_at if spoken is not None else []
    said = bisect_right(sent, one.at + CLOSED_S_MAX)
    said = min(said, len(one.told.text.split()) + BYTES_MORE_MAX // len(" word100"))
    cost = (row["prompt_tokens"] + row["completion_tokens"]) * PRICE
    where = (
        f"{one.name}: read {read}, charged {row['completion_tokens']} tokens ({row['state']}), {said} words were said"
    )
    if row["state"] == "settled":
        text = text_of(
            said
        )  # the guard may hold the last characters back, so any of its beginnings can be what was given
        beginnings = (text[:end] for end in range(len(one.told.text), len(text) + 1))
        delivered = any(tokens.count(beginning) == row["completion_tokens"] for beginning in beginnings)
        claims.must(delivered and text.startswith(one.told.text), f"{where}: not what was delivered")
        claims.must(row["charged_nano"] == row["taken"] == cost, f"{where}: not tokens times price")
        claims.must(row["prompt_tokens"] == tokens.count(one.name), f"{where}: prompt of {row['prompt_tokens']}")
        claims.must(row["close_reason"] == "client_gone", f"{where}: closed for {row['close_reason']}")
    else:
        claims.must(row["state"] == "voided" and row["taken"] == 0 and not one.told.text, f"{where}: not charged")
    if spoken is None or spoken.closed_at is None:
        claims.must(spoken is None, f"{where}: the upstream's line stayed open")
        return None
    closed_s = spoken.closed_at - one.at
    claims.must(closed_s <= CLOSED_S_MAX, f"{where}: the upstream was closed after {closed_s:.2f} s")
    return closed_s
