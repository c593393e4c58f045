"""A wallet over a real database; after every test that used it the books must add up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from app.base.catalogue import Bill, CallFacts, Outcome, Quote, Settled
from app.base.errors import WalletTooLow
from app.base.messages import Caller
from app.billing.idempotency import Claim, Replay
from app.billing.ledger import Wallet
from app.billing.reconcile import reconcile
from app.storage.engine import Database

FACTS = CallFacts("vetx-23", "builtin", None, 1, "7", "account", "tests", "dog")


def quote(nano: int) -> Quote:
    """A call of one token that costs so much."""
    return Quote(1, nano, 0, 1)


def outcome(tokens: int = 1, reason: str = "stop", **further: Any) -> Outcome:
    """An answer of so many tokens."""
    fields = {"http_status": 200, "first_token_ms": 120, "duration_ms": 900, **further}
    return Outcome(fields.pop("prompt_tokens", 0), tokens, "counted", reason, **fields)


@dataclass
class Purse:
    """One account, through one worker's wallet."""

    wallet: Wallet
    database: Database
    account_id: int
    allowance_id: int | None = None
    facts: CallFacts = field(default=FACTS)

    @property
    def caller(self) -> Caller:
        return Caller(self.account_id, 1, "free", frozenset(), frozenset(), "7", "account", "tests", self.allowance_id)

    async def deposit(self, nano: int) -> None:
        await self.wallet.deposit(self.account_id, nano)

    async def hold(self, nano: int) -> Bill:
        return await self.wallet.hold(self.caller, quote(nano), self.facts)

    async def try_hold(self, nano: int) -> Bill | None:
        try:
            return await self.hold(nano)
        except WalletTooLow:
            return None

    async def hold_quote(self, quote: Quote, claim: Claim | None = None) -> Bill | Replay:
        return await self.wallet.hold(self.caller, quote, self.facts, claim)

    async def spend(self, nano: int, **further: Any) -> Settled:
        return await self.wallet.settle(await self.hold(nano), outcome(**further))

    async def balance(self) -> tuple[int, int]:
        found = await self.wallet.balance(self.account_id)
        return found.balance_nano, found.held_nano

    async def run(self, statement: str, *arguments: Any) -> Any:
        async with self.database.connection() as connection:
            return await connection.fetch(statement, *arguments)

    async def limit(self, nano: int | None, reset: str | None = None, kind: str = "key") -> Purse:
        """The same account under an allowance."""
        rows = await self.run(
            "INSERT INTO allowance (account_id, kind, subject, limit_nano, reset) VALUES ($1, $2, 'k', $3, $4) "
            "RETURNING id",
            self.account_id,
            kind,
            nano,
            reset,
        )
        return Purse(self.wallet, self.database, self.account_id, rows[0]["id"])


_accounts = count(5_000)


async def new_account(database: Database, balance_nano: int = 0) -> int:
    number = next(_accounts)
    async with database.connection() as connection:
        await connection.execute("INSERT INTO account (id, name) VALUES ($1, 'test')", number)
    if balance_nano:
        opened = Wallet(database)
        await opened.deposit(number, balance_nano)
        await opened.close()
    return number


@pytest.fixture
async def wallet(database: Database) -> AsyncIterator[Wallet]:
    opened = Wallet(database)
    yield opened
    await opened.close()
    assert await reconcile(database) == []


@pytest.fixture
async def purse(wallet: Wallet, database: Database) -> Purse:
    """An empty account."""
    return Purse(wallet, database, await new_account(database))
