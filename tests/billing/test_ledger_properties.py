"""Whatever happens to calls, in any order and by any worker, the books add up."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.base.catalogue import Bill, Quote
from app.base.errors import Unavailable, WalletTooLow
from app.billing.ledger import Wallet
from app.billing.reconcile import reconcile
from app.storage.engine import Database
from tests.billing.conftest import Purse, new_account, outcome

STEP = st.one_of(
    st.tuples(st.just("hold"), st.integers(0, 3), st.integers(0, 60), st.integers(1, 40), st.booleans()),
    st.tuples(st.just("settle"), st.integers(0, 30), st.integers(0, 60), st.integers(0, 50)),
    st.tuples(st.just("void"), st.integers(0, 30)),
    st.tuples(st.just("abandon"), st.integers(0, 30)),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("deposit"), st.integers(0, 3), st.integers(1, 500)),
    st.tuples(st.just("kill")),
    st.tuples(st.just("together")),  # what came just before happens at once instead of one after the other
)


class World:
    """Two workers, three accounts, one of them also under a limit."""

    def __init__(self, database: Database, wallets: list[Wallet], purses: list[Purse]) -> None:
        self.database = database
        self.wallets = wallets
        self.purses = purses
        self.bills: list[Bill] = []
        self.turn = 0

    async def do(self, step: tuple[Any, ...]) -> None:
        self.turn += 1
        wallet = self.wallets[self.turn % 2]
        match step:
            case ("hold", who, prompt, length, flexible):
                purse = self.purses[who]
                quote = Quote(3, 7, prompt, length, min(4, length), flexible)
                try:
                    self.bills.append(await wallet.hold(purse.caller, quote, purse.facts))
                except WalletTooLow as refusal:
                    assert refusal.available_nano < quote.least_nano
                except Unavailable:
                    pass  # its line was killed; what it may have held is given back
            case ("settle", which, prompt, length) if self.bills:
                bill = self.bills[which % len(self.bills)]
                settled = await wallet.settle(bill, outcome(length, prompt_tokens=prompt))
                assert settled.charged_nano <= bill.hold_nano
            case ("void", which) if self.bills:
                bill = self.bills[which % len(self.bills)]
                await wallet.void(bill, outcome(reason="client_gone" if which % 2 else "guard"))
            case ("abandon", which) if self.bills:
                bill = self.bills[which % len(self.bills)]
                async with self.database.connection() as connection:
                    await connection.execute(
                        "UPDATE charge SET lease_until = now() - interval '11 s' "
                        "WHERE id = $1 AND state = 'authorized'",
                        bill.charge_id,
                    )
            case ("sweep",):
                await wallet.sweep()
            case ("deposit", who, nano):
                await wallet.deposit(self.purses[who].account_id, nano)
            case ("kill",):
                # The lines of both workers break, mid-statement if one is running.
                async with self.database.connection() as connection:
                    await connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                        "AND pid <> pg_backend_pid() AND query LIKE '%WITH r AS%' AND query NOT LIKE '%terminate%'"
                    )


@given(st.lists(STEP, min_size=5, max_size=30))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_interleaving_keeps_every_invariant(fresh_url: str, steps: list[tuple[Any, ...]]) -> None:
    asyncio.run(interleaved(fresh_url, steps))


async def interleaved(url: str, steps: list[tuple[Any, ...]]) -> None:
    database = await Database.open(url)
    wallets = [Wallet(database), Wallet(database)]
    try:
        purses = [Purse(wallets[0], database, await new_account(database)) for _ in range(3)]
        for purse in purses:
            await purse.deposit(300)
        world = World(database, wallets, [*purses, await purses[0].limit(200, "daily")])
        waiting: list[tuple[Any, ...]] = []
        for step in [*steps, ("together",)]:
            if step[0] != "together":
                waiting.append(step)
            if step[0] == "together":
                await asyncio.gather(*(world.do(one) for one in waiting))
                waiting = []
            elif len(waiting) == 6:
                for one in waiting:
                    await world.do(one)
                waiting = []
    finally:
        for wallet in wallets:
            await wallet.close()
        broken = await reconcile(database)
        await database.close()
    assert broken == []
