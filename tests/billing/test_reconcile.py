"""The invariants find each kind of broken book."""

from __future__ import annotations

import pytest

from app.billing.ledger import Wallet
from app.billing.reconcile import INVARIANTS, reconcile
from app.storage.engine import Database
from tests.billing.conftest import Purse, new_account, outcome

# What a fault, or somebody with a console, could do; the table's own checks and triggers are switched off for it.
FAULTS = {
    "I1 balance": "UPDATE account SET balance_nano = balance_nano + 1 WHERE kind = 'customer'",
    "I2 held": "UPDATE account SET held_nano = held_nano + 1 WHERE kind = 'customer'",
    "I2 held by an allowance": "UPDATE allowance SET held_nano = held_nano + 1",
    "I3 never negative": "UPDATE account SET held_nano = balance_nano + 1 WHERE kind = 'customer'",
    "I4 settled once, exact": "UPDATE charge SET charged_nano = charged_nano - 1 WHERE state = 'settled'",
    "I5 unsettled is free": "UPDATE charge SET state = 'voided', charged_nano = 0 WHERE state = 'settled'",
    "I6 stale holds": "UPDATE charge SET lease_until = now() - interval '31 s' WHERE state = 'authorized'",
    "I7 reports = ledger": "UPDATE usage_event SET cost_nano = cost_nano - 1",
    "I8 roll-ups = usage": "UPDATE usage_rollup SET first_token_3 = first_token_3 + 1",
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_broken_book_is_found(database: Database, name: str) -> None:
    wallet = Wallet(database)
    purse = Purse(wallet, database, await new_account(database, 1_000))
    key = await purse.limit(800)
    await key.spend(100)
    await key.wallet.void(await key.hold(50), outcome(reason="guard"))
    await key.hold(70)
    await wallet.close()
    assert await reconcile(database) == []

    async with database.connection() as connection:
        for table in ("entry", "usage_event", "charge"):
            await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await connection.execute("ALTER TABLE account DROP CONSTRAINT account_money_check")
        await connection.execute(FAULTS[name])

    broken = {row["invariant"] for row in await reconcile(database)}
    assert name in broken


def test_every_invariant_has_its_fault() -> None:
    assert set(INVARIANTS) == set(FAULTS)
