"""Money: held before, settled after, exact for everyone at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest

from app.base.catalogue import Bill, Quote, Settled
from app.base.errors import IdempotencyKeyReused, NotFound, Unavailable, UpstreamTimeout, WalletTooLow
from app.billing import ledger
from app.billing.ledger import Wallet
from app.storage.engine import Database
from tests.billing.conftest import FACTS, Purse, new_account, outcome, quote


async def test_a_hold_is_set_aside_and_its_settlement_takes_only_what_was_used(purse: Purse) -> None:
    await purse.deposit(1_000_000)
    bill = await purse.hold_quote(Quote(10, 20, 100, 400))
    held = await purse.balance()

    settled = await purse.wallet.settle(bill, outcome(50, prompt_tokens=100))

    assert held == (1_000_000, 9_000)
    assert (await purse.wallet.balance(purse.account_id)).available_nano == 998_000
    assert settled == Settled("settled", 2_000, 998_000)
    assert await purse.balance() == (998_000, 0)


async def test_a_wallet_for_exactly_1000_holds_grants_exactly_1000_to_64_clients(purse: Purse) -> None:
    """The hold is the charge here, so the wallet ends at 0."""
    await purse.deposit(1_000 * 300)
    answered = 0

    async def client() -> None:
        nonlocal answered
        while (bill := await purse.try_hold(300)) is not None:
            await purse.wallet.settle(bill, outcome())
            answered += 1

    await asyncio.gather(*(client() for _ in range(64)))

    assert answered == 1_000
    assert await purse.balance() == (0, 0)


async def test_64_at_once_with_money_for_37_are_37(purse: Purse) -> None:
    await purse.deposit(37 * 300 + 299)

    bills = await asyncio.gather(*(purse.try_hold(300) for _ in range(64)))

    assert sum(bill is not None for bill in bills) == 37
    assert await purse.balance() == (37 * 300 + 299, 37 * 300)


async def test_a_large_call_that_does_not_fit_keeps_no_small_one_out(purse: Purse) -> None:
    await purse.deposit(1_000)

    bills = await asyncio.gather(*(purse.try_hold(nano) for nano in (5_000, 700, 600, 300, 0)))

    assert [bill.hold_nano if bill else None for bill in bills] == [None, 700, None, 300, 0]


async def test_two_workers_share_one_wallet_exactly(purse: Purse, fresh_url: str) -> None:
    """Each has connections of its own, as two replicas have."""
    second_database = await Database.open(fresh_url)
    second = Purse(Wallet(second_database), second_database, purse.account_id)
    await purse.deposit(100 * 300)

    bills = await asyncio.gather(*((purse, second)[n % 2].try_hold(300) for n in range(300)))
    granted = [bill for bill in bills if bill is not None]
    # Either worker may close what the other opened.
    settled = await asyncio.gather(*(second.wallet.settle(bill, outcome()) for bill in granted))

    assert len(granted) == 100
    assert {one.state for one in settled} == {"settled"}
    assert await purse.balance() == (0, 0)
    await second.wallet.close()
    await second_database.close()


async def test_many_accounts_in_one_batch_stay_apart(purse: Purse) -> None:
    purses = [Purse(purse.wallet, purse.database, await new_account(purse.database, 250)) for _ in range(12)]

    bills = await asyncio.gather(*(one.try_hold(100) for one in purses * 4))
    await asyncio.gather(*(purse.wallet.void(bill, outcome(reason="guard")) for bill in bills if bill))

    assert sum(bill is not None for bill in bills) == 24
    assert [await one.balance() for one in purses] == [(250, 0)] * 12


async def test_settling_again_charges_nothing_more(purse: Purse) -> None:
    await purse.deposit(1_000)
    bill = await purse.hold(100)

    first, *others = await asyncio.gather(*(purse.wallet.settle(bill, outcome()) for _ in range(5)))
    last = await purse.wallet.settle(bill, outcome())

    assert {one.charged_nano for one in (first, *others, last)} == {100}
    assert await purse.balance() == (900, 0)


async def test_a_voided_call_is_free_and_stays_so(purse: Purse) -> None:
    await purse.deposit(1_000)
    bill = await purse.hold(100)

    voided = await purse.wallet.void(bill, outcome(reason="guard", http_status=502))
    settled = await purse.wallet.settle(bill, outcome())

    assert voided == Settled("voided", 0, 1_000)
    assert settled == Settled("voided", 0)
    assert await purse.balance() == (1_000, 0)


async def test_a_settled_call_cannot_be_voided(purse: Purse) -> None:
    await purse.deposit(1_000)
    bill = await purse.hold(100)
    await purse.wallet.settle(bill, outcome())

    assert await purse.wallet.void(bill, outcome(reason="drain")) == Settled("settled", 100)


async def test_usage_above_the_hold_is_ours_to_bear(purse: Purse) -> None:
    await purse.deposit(1_000)
    bill = await purse.hold(100)

    settled = await purse.wallet.settle(bill, outcome(3))

    assert settled.charged_nano == 100
    assert [tuple(row) for row in await purse.run("SELECT overrun_nano FROM charge")] == [(200,)]


async def test_a_free_model_has_charges_too(purse: Purse) -> None:
    bill = await purse.hold_quote(Quote(0, 0, 50, 400, 256, True))

    settled = await purse.wallet.settle(bill, outcome(400, prompt_tokens=50))

    assert isinstance(bill, Bill)
    assert (bill.output_tokens, bill.hold_nano, bill.limited_by) == (400, 0, None)
    assert settled.charged_nano == 0
    assert len(await purse.run("SELECT FROM usage_event")) == 1


async def test_an_unnamed_length_takes_what_the_wallet_affords_but_not_below_its_floor(purse: Purse) -> None:
    await purse.deposit(100 + 300 * 10 + 7)
    flexible = Quote(1, 10, 100, 4_096, 256, True)

    bill = await purse.hold_quote(flexible)
    with pytest.raises(WalletTooLow):
        await purse.hold_quote(flexible)

    assert isinstance(bill, Bill)
    assert (bill.output_tokens, bill.hold_nano, bill.limited_by) == (300, 3_100, "balance")
    await purse.deposit(1_000_000)
    rich = await purse.hold_quote(flexible)
    assert isinstance(rich, Bill)
    assert (rich.output_tokens, rich.limited_by) == (4_096, None)


async def test_of_many_unnamed_lengths_at_once_some_are_shortened_and_the_wallet_is_never_overdrawn(
    purse: Purse,
) -> None:
    await purse.deposit(3_000)

    async def call() -> int | None:
        with suppress(WalletTooLow):
            bill = await purse.hold_quote(Quote(1, 1, 0, 800, 256, True))
            assert isinstance(bill, Bill)
            return bill.output_tokens
        return None

    lengths = [length for length in await asyncio.gather(*(call() for _ in range(16))) if length is not None]

    assert sorted(lengths) == [600, 800, 800, 800]


async def test_a_refusal_says_what_is_there_what_is_needed_and_what_would_fit(purse: Purse) -> None:
    await purse.deposit(1_000)

    with pytest.raises(WalletTooLow) as refused:
        await purse.hold_quote(Quote(10, 20, 40, 100))

    assert refused.value.metadata == {
        "limit_source": "account",
        "available": "0.000001000",
        "required": "0.000002400",
        "affordable_max_tokens": 30,
    }
    assert refused.value.retry_after_s is None


async def test_own_calls_in_flight_are_worth_waiting_for(purse: Purse) -> None:
    await purse.deposit(1_000)
    await purse.hold(900)

    with pytest.raises(WalletTooLow) as refused:
        await purse.hold(800)

    assert refused.value.retry_after_s == 5


async def test_an_account_that_is_not_there_has_nothing(purse: Purse) -> None:
    with pytest.raises(WalletTooLow):
        await replace(purse, account_id=99).hold(0)
    with pytest.raises(NotFound):
        await purse.wallet.balance(99)
    with pytest.raises(NotFound):
        await purse.wallet.deposit(99, 5)
    with pytest.raises(NotFound):
        await purse.wallet.deposit(2, 5)


async def test_a_payment_counts_once(purse: Purse) -> None:
    deposits = await asyncio.gather(*(purse.wallet.deposit(purse.account_id, 500, "payment-1") for _ in range(6)))

    assert sorted(deposit.added for deposit in deposits) == [False] * 5 + [True]
    assert len({deposit.entry_id for deposit in deposits}) == 1
    assert await purse.balance() == (500, 0)
    for account, nano in ((purse.account_id, 501), (await new_account(purse.database), 500)):
        with pytest.raises(IdempotencyKeyReused):
            await purse.wallet.deposit(account, nano, "payment-1")


# Limits of keys and users.


async def test_a_key_with_a_limit_grants_exactly_that_in_a_full_wallet(purse: Purse) -> None:
    await purse.deposit(100_000)
    key = await purse.limit(1_000)

    bills = await asyncio.gather(*(key.try_hold(300) for _ in range(20)))
    granted = [bill for bill in bills if bill is not None]
    for bill in granted:
        await key.wallet.settle(bill, outcome())

    assert len(granted) == 3
    with pytest.raises(WalletTooLow) as refused:
        await key.hold(300)
    assert refused.value.code == "key_limit_reached"
    assert refused.value.available_nano == 100
    assert refused.value.retry_after_s is None
    assert await purse.try_hold(300) is not None


async def test_a_limit_shortens_an_answer_of_unnamed_length(purse: Purse) -> None:
    await purse.deposit(100_000)
    key = await purse.limit(500)

    bill = await key.hold_quote(Quote(1, 1, 0, 4_096, 256, True))

    assert isinstance(bill, Bill)
    assert (bill.output_tokens, bill.limited_by) == (500, "balance")


async def test_holds_under_a_limit_come_back_when_voided_or_expired(purse: Purse) -> None:
    await purse.deposit(100_000)
    key = await purse.limit(500, kind="user")
    bill = await key.hold(400)
    with pytest.raises(WalletTooLow) as refused:
        await key.hold(400)

    await key.wallet.void(bill, outcome(reason="guard"))
    vanished = await key.hold(400)
    await purse.run("UPDATE charge SET lease_until = now() - interval '11 s' WHERE id = $1", vanished.charge_id)
    await key.wallet.sweep()

    assert refused.value.code == "user_limit_reached"
    assert refused.value.retry_after_s == 5
    assert [tuple(row) for row in await purse.run("SELECT held_nano, spent_nano FROM allowance")] == [(0, 0)]


@pytest.mark.parametrize(("reset", "ago"), [("daily", "1 day"), ("weekly", "7 days"), ("monthly", "1 month")])
async def test_a_limit_begins_anew_with_its_period(purse: Purse, reset: str, ago: str) -> None:
    await purse.deposit(100_000)
    key = await purse.limit(500, reset)
    across = await key.hold(100)
    await key.spend(400)
    assert await key.try_hold(1) is None

    await purse.run(f"UPDATE allowance SET period_start = now() - interval '{ago}'")
    fresh = await key.hold(400)
    await key.wallet.settle(across, outcome())

    assert fresh.hold_nano == 400
    assert [tuple(row) for row in await purse.run("SELECT held_nano, spent_nano FROM allowance")] == [(400, 100)]


async def test_a_limit_without_a_reset_never_begins_anew(purse: Purse) -> None:
    await purse.deposit(100_000)
    key = await purse.limit(500)
    await key.spend(400)
    await purse.run("UPDATE allowance SET period_start = now() - interval '5 years'")

    assert await key.try_hold(400) is None


async def test_another_accounts_allowance_bounds_nobody(purse: Purse) -> None:
    key = await purse.limit(0)
    stranger = Purse(purse.wallet, purse.database, await new_account(purse.database, 500), key.allowance_id)

    bill = await stranger.hold(100)
    await stranger.wallet.settle(bill, outcome())

    assert await stranger.balance() == (400, 0)


# Leases.


async def test_money_of_a_vanished_worker_comes_back_and_its_calls_cost_nothing(purse: Purse) -> None:
    await purse.deposit(1_000)
    bills = [await purse.hold(100) for _ in range(3)]
    await purse.run("UPDATE charge SET lease_until = now() - interval '11 s' WHERE id <> $1", bills[0].charge_id)

    swept = await purse.wallet.sweep()
    late = await purse.wallet.settle(bills[1], outcome())

    assert swept == 2
    assert late == Settled("expired", 0)
    assert await purse.balance() == (1_000, 100)


async def test_a_lease_just_over_has_ten_seconds_of_grace(purse: Purse) -> None:
    await purse.deposit(1_000)
    await purse.hold(100)
    await purse.run("UPDATE charge SET lease_until = now() - interval '9 s'")

    assert await purse.wallet.sweep() == 0


async def test_a_sweep_goes_on_until_all_is_swept(purse: Purse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "SWEEP_SIZE", 3)
    await purse.deposit(1_000)
    for _ in range(7):
        await purse.hold(100)
    await purse.run("UPDATE charge SET lease_until = now() - interval '1 h'")

    assert await purse.wallet.sweep() == 7


async def test_only_one_worker_sweeps_at_a_time(purse: Purse) -> None:
    await purse.deposit(1_000)
    await purse.hold(100)
    await purse.run("UPDATE charge SET lease_until = now() - interval '1 h'")
    async with purse.database.connection() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(7711)")
        assert await purse.wallet.sweep() == 0

    assert await purse.wallet.sweep() == 1


async def test_running_calls_keep_their_lease_and_forgotten_ones_do_not(
    purse: Purse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await purse.deposit(1_000)
    await purse.wallet.renew()
    running, closed, forgotten = [await purse.hold(100) for _ in range(3)]
    await purse.wallet.settle(closed, outcome())
    purse.wallet._open[forgotten.charge_id] -= ledger.OPEN_S_MAX + 1
    await purse.run("UPDATE charge SET lease_until = now() - interval '1 min' WHERE state = 'authorized'")

    await purse.wallet.renew()

    rows = await purse.run("SELECT id FROM charge WHERE state = 'authorized' AND lease_until > now() + interval '50 s'")
    assert [row["id"] for row in rows] == [running.charge_id]
    await purse.wallet.sweep()


async def test_the_worker_sweeps_and_renews_by_itself(purse: Purse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "RENEW_EVERY_S", 0.05)
    monkeypatch.setattr(ledger, "SWEEP_EVERY_S", 0.05)
    await purse.deposit(1_000)
    elsewhere = Wallet(purse.database)
    await elsewhere.hold(purse.caller, quote(100), FACTS)
    await purse.run("UPDATE charge SET lease_until = now() - interval '1 h'")
    running = await purse.hold(50)
    await purse.run("UPDATE charge SET lease_until = now() WHERE id = $1", running.charge_id)
    purse.wallet.start()

    for _ in range(100):
        await asyncio.sleep(0.05)
        rows = await purse.run(
            "SELECT state::text, lease_until > now() + interval '50 s' AS kept FROM charge ORDER BY 1"
        )
        if [tuple(row) for row in rows] == [("authorized", True), ("expired", False)]:
            break
    else:
        pytest.fail("the worker did not sweep and renew")
    await elsewhere.close()


async def test_upkeep_survives_whatever_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    async def job() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise Unavailable("no database")
        if calls == 2:
            raise RuntimeError("a bug")
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await ledger._repeat(job, 0.001)
    assert calls == 3


# Callers who leave, and rows that are refused.


async def test_a_caller_who_leaves_while_its_hold_is_made_leaves_no_money_behind(purse: Purse) -> None:
    await purse.deposit(1_000)
    for _ in range(10):
        task = asyncio.create_task(purse.hold(100))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    await purse.wallet._holds.close()
    await purse.wallet._closes.close()

    assert await purse.balance() == (1_000, 0)


async def test_a_refusal_that_nobody_waits_for_needs_no_undoing(purse: Purse) -> None:
    task = asyncio.create_task(purse.hold(100))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await purse.wallet._holds.close()

    assert await purse.run("SELECT FROM charge") == []


async def test_a_caller_who_leaves_while_it_is_settled_is_charged_all_the_same(purse: Purse) -> None:
    await purse.deposit(1_000)
    bill = await purse.hold(100)
    task = asyncio.create_task(purse.wallet.settle(bill, outcome()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert (await purse.wallet.settle(bill, outcome())).charged_nano == 100
    assert await purse.balance() == (900, 0)


async def test_a_row_that_the_database_refuses_fails_alone(purse: Purse) -> None:
    await purse.deposit(1_000)
    bad = replace(purse, facts=replace(FACTS, user_id="nul \x00"))

    outcomes = await asyncio.gather(bad.hold(10), *(purse.hold(10) for _ in range(20)), return_exceptions=True)

    assert isinstance(outcomes[0], asyncpg.PostgresError)
    assert all(isinstance(bill, Bill) for bill in outcomes[1:])


async def test_a_charge_that_is_not_there_was_not_paid(purse: Purse) -> None:
    bill = Bill(uuid4(), purse.account_id, quote(5), 5, 1)

    assert await purse.wallet.settle(bill, outcome()) == Settled("expired", 0)


async def test_without_a_database_a_hold_is_refused_at_once_and_a_settlement_gives_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger, "INSIST_S", 0.3)
    nowhere = await Database.open("postgresql://nobody@127.0.0.1:9/none")
    wallet = Wallet(nowhere)
    purse = Purse(wallet, nowhere, 7)
    bill = Bill(uuid4(), 7, quote(5), 5, 1)

    with pytest.raises(Unavailable) as refused:
        await purse.hold(5)
    with pytest.raises(UpstreamTimeout):
        await wallet.settle(bill, outcome())
    assert await wallet.void(bill, outcome(reason="drain")) == Settled("authorized", 0)
    with pytest.raises(Unavailable):
        await wallet.balance(7)
    assert (refused.value.code, refused.value.status) == ("database_unavailable", 503)
    await wallet.close()
    await nowhere.close()
