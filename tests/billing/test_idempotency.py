"""One Idempotency-Key, one charge: races, replays, and answers that nobody else can open."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.base.catalogue import Bill
from app.base.errors import IdempotencyInProgress, IdempotencyKeyReused, Invalid, Unavailable, WalletTooLow
from app.billing.idempotency import Claim, Replay, claim
from app.billing.ledger import Wallet
from app.storage.engine import Database
from tests.billing.conftest import FACTS, Purse, outcome, quote

PEPPER = b"pepper"
REQUEST = b"POST /v1/chat/completions {}"


def claimed(key: str = "key-1", request: bytes = REQUEST, api_key: str = "vt_key_a") -> Claim:
    return claim(key, api_key, request, PEPPER)


async def answered(purse: Purse, with_claim: Claim, answer: bytes = b"an answer") -> Bill:
    bill = await purse.hold_quote(quote(100), with_claim)
    assert isinstance(bill, Bill)
    await purse.wallet.settle(bill, outcome(sealed_answer=with_claim.seal(answer)))
    return bill


async def test_the_same_call_again_gets_the_same_answer_and_costs_nothing(purse: Purse) -> None:
    await purse.deposit(1_000)
    bill = await answered(purse, claimed())

    again = await purse.hold_quote(quote(100), claimed())

    assert again == Replay(bill.charge_id, b"an answer")
    assert await purse.balance() == (900, 0)


async def test_of_many_calls_with_one_key_at_once_one_runs(purse: Purse) -> None:
    await purse.deposit(1_000)

    outcomes = await asyncio.gather(
        *(purse.hold_quote(quote(100), claimed()) for _ in range(12)), return_exceptions=True
    )

    assert sum(isinstance(one, Bill) for one in outcomes) == 1
    refusals = [one for one in outcomes if not isinstance(one, Bill)]
    assert all(isinstance(one, IdempotencyInProgress) and one.retry_after_s for one in refusals)
    assert await purse.balance() == (1_000, 100)


async def test_the_key_with_another_request_is_refused_while_running_and_after(purse: Purse) -> None:
    await purse.deposit(1_000)
    running = await purse.hold_quote(quote(100), claimed())
    with pytest.raises(IdempotencyKeyReused):
        await purse.hold_quote(quote(100), claimed(request=b"other"))
    assert isinstance(running, Bill)
    await purse.wallet.settle(running, outcome(sealed_answer=claimed().seal(b"a")))

    with pytest.raises(IdempotencyKeyReused):
        await purse.hold_quote(quote(100), claimed(request=b"other"))


async def test_after_a_voided_call_the_key_is_free_for_any_request(purse: Purse) -> None:
    await purse.deposit(1_000)
    bill = await purse.hold_quote(quote(100), claimed())
    assert isinstance(bill, Bill)
    await purse.wallet.void(bill, outcome(reason="upstream_error", http_status=502))

    await answered(purse, claimed(request=b"other"))

    assert await purse.balance() == (900, 0)


async def test_after_an_expired_call_the_key_is_free(purse: Purse) -> None:
    await purse.deposit(1_000)
    bill = await purse.hold_quote(quote(100), claimed())
    assert isinstance(bill, Bill)
    await purse.run("UPDATE charge SET lease_until = now() - interval '11 s'")
    await purse.wallet.sweep()

    assert isinstance(await purse.hold_quote(quote(100), claimed()), Bill)


async def test_a_refused_call_leaves_the_key_free(purse: Purse) -> None:
    with pytest.raises(WalletTooLow):
        await purse.hold_quote(quote(100), claimed())
    assert await purse.run("SELECT FROM idempotency") == []

    await purse.deposit(1_000)
    assert isinstance(await purse.hold_quote(quote(100), claimed()), Bill)


async def test_a_key_is_forgotten_after_a_day(purse: Purse) -> None:
    await purse.deposit(1_000)
    await answered(purse, claimed())
    await answered(purse, claimed("key-2"))
    await purse.run("UPDATE idempotency SET expires_at = now() - interval '1 s'")

    again = await purse.hold_quote(quote(100), claimed())
    await purse.wallet.sweep()

    assert isinstance(again, Bill)
    assert len(await purse.run("SELECT FROM idempotency")) == 1


async def test_keys_of_other_accounts_are_others(purse: Purse, database: Database) -> None:
    from tests.billing.conftest import new_account

    await purse.deposit(1_000)
    await answered(purse, claimed())
    stranger = replace(purse, account_id=await new_account(database, 1_000))

    assert isinstance(await stranger.hold_quote(quote(100), claimed()), Bill)


async def test_an_answer_is_opened_only_with_the_api_key_it_was_sealed_for(purse: Purse) -> None:
    await purse.deposit(1_000)
    await answered(purse, claimed())

    with pytest.raises(IdempotencyKeyReused):
        await purse.hold_quote(quote(100), claimed(api_key="vt_key_b"))


async def test_nothing_stored_shows_key_request_or_answer(purse: Purse) -> None:
    await purse.deposit(1_000)
    await answered(purse, claimed(), b"the dog is ill")

    (row,) = await purse.run("SELECT idempotency::text FROM idempotency")

    for secret in (b"key-1", b"vt_key_a", REQUEST, b"the dog is ill"):
        assert secret.hex() not in row[0]


async def test_a_call_charged_without_a_stored_answer_is_not_run_again(purse: Purse) -> None:
    await purse.deposit(1_000)
    bill = await purse.hold_quote(quote(100), claimed())
    assert isinstance(bill, Bill)
    await purse.wallet.settle(bill, outcome(reason="client_gone"))

    with pytest.raises(IdempotencyKeyReused):
        await purse.hold_quote(quote(100), claimed())


async def test_settling_in_one_batch_seals_each_answer_for_its_own_call(purse: Purse) -> None:
    await purse.deposit(1_000)
    claims = [claimed(f"key-{n}") for n in range(4)]

    async def run(n: int, one: Claim) -> None:
        bill = await purse.hold_quote(quote(10), one)
        assert isinstance(bill, Bill)
        if n == 3:
            await purse.wallet.void(bill, outcome(reason="guard"))
        else:
            await purse.wallet.settle(bill, outcome(sealed_answer=one.seal(b"answer %d" % n)))

    await asyncio.gather(*(run(n, one) for n, one in enumerate(claims)))
    again = [await purse.hold_quote(quote(10), one) for one in claims]

    assert [one.answer for one in again[:3] if isinstance(one, Replay)] == [b"answer 0", b"answer 1", b"answer 2"]
    assert isinstance(again[3], Bill)


async def test_a_caller_who_leaves_while_its_key_is_claimed_leaves_no_money_behind(purse: Purse) -> None:
    await purse.deposit(3_000)  # what is given back may come later
    for n in range(30):
        task = asyncio.create_task(purse.hold_quote(quote(100), claimed(f"key-{n}")))
        await asyncio.sleep(0.0003 * n)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if not task.cancelled():
            bill = task.result()
            assert isinstance(bill, Bill)
            await purse.wallet.void(bill, outcome(reason="client_gone"))

    await purse.wallet.close()

    assert await purse.balance() == (3_000, 0)


async def test_without_a_database_a_claimed_call_is_503() -> None:
    nowhere = await Database.open("postgresql://nobody@127.0.0.1:9/none")
    wallet = Wallet(nowhere)
    with pytest.raises(Unavailable):
        await wallet.hold(Purse(wallet, nowhere, 7).caller, quote(5), FACTS, claimed())
    wallet._closes._queue.clear()
    await wallet.close()
    await nowhere.close()


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "é", "tab\t", "nul\x00"])
def test_a_key_is_visible_ascii(key: str) -> None:
    with pytest.raises(Invalid) as refused:
        claimed(key)
    assert refused.value.param == "Idempotency-Key"


def test_claims_differ_where_key_request_or_api_key_differ() -> None:
    one, other = claimed("a", api_key="bc"), claimed("ab", api_key="c")
    assert one.key_digest != other.key_digest
    with pytest.raises(IdempotencyKeyReused):
        replace(other, key_digest=one.key_digest).open(one.seal(b"x"))
    assert claimed().fingerprint != claimed(request=b"y").fingerprint
    assert claimed() == claimed()
    assert "sealing" not in repr(claimed())
