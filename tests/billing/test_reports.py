"""Reports: roll-ups say exactly what the single calls say, in every zone and at clock changes."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from app.base.errors import NotFound
from app.billing import statements
from app.billing.reconcile import reconcile
from app.billing.usage import (
    GROUP_KEYS,
    CallsQuestion,
    Credits,
    Filters,
    GroupKey,
    Question,
    Reports,
    Sums,
    quantile,
)
from app.storage.engine import Database
from app.storage.rollup import FIRST_TOKEN_COLUMNS, FIRST_TOKEN_EDGES_MS
from tests.billing.conftest import Purse, outcome
from tests.conftest import administer, with_database

START = datetime(2026, 9, 20, 3, 7, 11, tzinfo=UTC)
SPAN = timedelta(days=45)  # over the clock changes of Lord Howe, Vienna and St. John's
ACCOUNT = 6_000

# Moves closed charges to where the test wants them, with everything that a settlement writes.
LOAD = f"""
WITH r AS (
  SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
    $8::text[], $9::int[], $10::text[])
    AS r(id, at, state, model, engine, api_key_id, user_id, species, first_ms, reason)),
c AS (
  INSERT INTO charge (id, account_id, state, worker_id, price_in_nano, price_out_nano, hold_nano, prompt_tokens,
    completion_tokens, charged_nano, model, engine, api_key_id, user_id, app_source, species, close_reason,
    first_token_ms, interventions, image_tokens, num_images, lease_until, created_at, closed_at)
  SELECT id, {ACCOUNT}, state::charge_state, 'w', 7, 11, 10000, 31, 17, CASE WHEN state = 'settled' THEN 404 ELSE 0 END,
    model, engine, api_key_id, user_id, 'app', species, reason, first_ms, 1, 3, 2, at, at, at FROM r RETURNING *),
e AS (
  INSERT INTO entry (debit_account, credit_account, amount_nano, kind, charge_id, created_at)
  SELECT account_id, 2, charged_nano, 'charge', id, closed_at FROM c WHERE state = 'settled'),
w AS (
  UPDATE account SET balance_nano = balance_nano - (SELECT sum(charged_nano) FROM c) WHERE id = {ACCOUNT}),
v AS (
  INSERT INTO usage_event (charge_id, account_id, occurred_at, model, engine, api_key_id, user_id, app_source, species,
    prompt_tokens, completion_tokens, image_tokens, num_images, interventions, aborted, first_token_ms, cost_nano)
  SELECT id, account_id, closed_at, model, engine, api_key_id, user_id, app_source, species, prompt_tokens,
    completion_tokens, image_tokens, num_images, interventions, close_reason = 'client_gone', first_token_ms,
    charged_nano FROM c WHERE state = 'settled'),
{statements.ROLL_UP}
SELECT count(*) FROM c
"""


class Shelf:
    """Calls as the test knows them, and the reports on them."""

    def __init__(self, database: Database, calls: list[dict[str, Any]]) -> None:
        self.calls = calls
        self.reports = Reports(database)

    def expected(self, start: datetime, end: datetime, **only: Any) -> tuple[int, int, int, int]:
        """Requests, aborted, failed and nano-dollars in a range."""
        found = Counter[str]()
        for call in self.calls:
            if start <= call["at"] < end and all(call[key] == value for key, value in only.items()):
                gone = call["reason"] == "client_gone"
                found["requests"] += call["state"] == "settled"
                found["aborted"] += gone
                found["failed"] += call["state"] != "settled" and not gone
        return found["requests"], found["aborted"], found["failed"], found["requests"] * 404


def four(sums: Sums) -> tuple[int, int, int, int]:
    return sums.requests, sums.aborted, sums.failed, sums.cost_nano


def some_calls() -> list[dict[str, Any]]:
    """1,500 calls, the same every time."""
    dice = random.Random(7)
    calls = []
    for _ in range(1_500):
        at = START - timedelta(days=2) + dice.random() * (SPAN + timedelta(days=4))
        if dice.random() < 0.2:  # many on a boundary, where it matters
            at = at.replace(minute=dice.choice([0, 15, 30, 45]), second=0, microsecond=0)
        state = dice.choice(["settled"] * 8 + ["voided", "expired"])
        reason = "lease_lost" if state == "expired" else dice.choice(["stop", "length", "client_gone"])
        calls.append(
            {
                "id": UUID(int=dice.getrandbits(128), version=4),
                "at": at,
                "state": state,
                "model": dice.choice(["vetx-23", "other"]),
                "engine": "builtin",
                "api_key_id": dice.choice([1, 2, None]),
                "user_id": dice.choice(["ann", "bob", None]),
                "species": dice.choice(["dog", "cat", None]),
                "first_ms": dice.choice([None, dice.randrange(1, 90_000)]),
                "reason": reason,
            }
        )
    return calls


async def load(url: str, calls: list[dict[str, Any]]) -> None:
    database = await Database.open(url)
    async with database.connection() as connection:
        await connection.execute(f"INSERT INTO account (id, balance_nano) VALUES ({ACCOUNT}, 1000000000)")
        await connection.execute(
            "INSERT INTO entry (debit_account, credit_account, amount_nano, kind, created_at) "
            f"VALUES (1, {ACCOUNT}, 1000000000, 'topup', '2026-01-01Z')"
        )
        loaded = await connection.fetchval(LOAD, *([call[key] for call in calls] for key in calls[0]))
    assert loaded == len(calls)
    assert await reconcile(database) == []
    await database.close()


@pytest.fixture(scope="module")
def shelf_url(database_url: str, template: str) -> Iterator[str]:
    """A database with those calls, which no test changes."""
    name = f"vetx_shelf_{os.getpid()}"
    asyncio.run(administer(database_url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    url = with_database(database_url, name)
    asyncio.run(load(url, some_calls()))
    yield url
    asyncio.run(administer(database_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def shelf(shelf_url: str) -> AsyncIterator[Shelf]:
    database = await Database.open(shelf_url)
    yield Shelf(database, some_calls())
    await database.close()


ZONES = ["UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Europe/Vienna", "Africa/Monrovia"]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("width", ["1h", "1d", "1mo"])
async def test_every_bucket_is_the_sum_of_its_calls(shelf: Shelf, zone: str, width: Any) -> None:
    question = Question(START, START + SPAN, ZoneInfo(zone), width, buckets_max=1_000)

    pages = [await shelf.reports.usage(ACCOUNT, question)]
    while pages[-1].next_page is not None:
        pages.append(await shelf.reports.usage(ACCOUNT, replace(question, page=pages[-1].next_page)))

    buckets = [bucket for page in pages for bucket in page.buckets]
    assert buckets[0].start == START
    assert buckets[-1].end == START + SPAN
    for bucket in buckets:
        sums = bucket.results[0][1] if bucket.results else Sums()
        assert four(sums) == shelf.expected(bucket.start, bucket.end)
    assert all(four(page.totals) == shelf.expected(START, START + SPAN) for page in pages)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu"])
@pytest.mark.parametrize("group_by", [("model",), ("user_id",), ("species", "api_key_id"), GROUP_KEYS])
async def test_groups_are_parts_of_the_whole(shelf: Shelf, zone: str, group_by: tuple[GroupKey, ...]) -> None:
    question = Question(START, START + SPAN, ZoneInfo(zone), "1d", group_by, buckets_max=1_000)

    report = await shelf.reports.usage(ACCOUNT, question)

    for bucket in report.buckets:
        for keys, sums in bucket.results:
            only = {key: value for key, value in keys.items() if key != "app_source"}
            assert four(sums) == shelf.expected(bucket.start, bucket.end, **only)
    assert sum(sums.cost_nano for bucket in report.buckets for _, sums in bucket.results) == report.totals.cost_nano


@pytest.mark.parametrize(
    ("filters", "only"),
    [
        (Filters(model=("other",)), {"model": "other"}),
        (Filters(user_id=("ann",)), {"user_id": "ann"}),
        (Filters(api_key_id=(2,), species=("cat",)), {"api_key_id": 2, "species": "cat"}),
        (Filters(app_source=("app",)), {}),
        (Filters(app_source=("none",)), {"model": "none"}),
    ],
)
async def test_filters_count_what_they_name(shelf: Shelf, filters: Filters, only: dict[str, Any]) -> None:
    report = await shelf.reports.usage(ACCOUNT, Question(START, START + SPAN, filters=filters))

    assert four(report.totals) == shelf.expected(START, START + SPAN, **only)
    calls, _ = await shelf.reports.calls(ACCOUNT, CallsQuestion(START, START + SPAN, filters=filters, limit=5_000))
    assert Counter(call.state for call in calls)["settled"] == shelf.expected(START, START + SPAN, **only)[0]


async def test_the_smallest_ranges_are_read_call_by_call(shelf: Shelf) -> None:
    at = shelf.calls[0]["at"]
    for start, end in ((at, at + timedelta(microseconds=1)), (at - timedelta(minutes=20), at + timedelta(minutes=1))):
        report = await shelf.reports.usage(ACCOUNT, Question(start, end))
        assert four(report.totals) == shelf.expected(start, end)


async def test_empty_buckets_are_present_and_empty(shelf: Shelf) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)

    report = await shelf.reports.usage(ACCOUNT, Question(start, start + timedelta(days=40)))

    assert len(report.buckets) == 31
    assert all(bucket.results == [] for bucket in report.buckets)
    assert report.totals == Sums()
    assert report.next_page == start + timedelta(days=31)


async def test_another_account_sees_nothing(shelf: Shelf) -> None:
    report = await shelf.reports.usage(1_234, Question(START, START + SPAN))
    calls = await shelf.reports.calls(1_234, CallsQuestion(START, START + SPAN))

    assert report.totals == Sums()
    assert calls == ([], False)
    with pytest.raises(NotFound):
        await shelf.reports.call(1_234, shelf.calls[0]["id"])
    with pytest.raises(NotFound):
        await shelf.reports.credits(1_234)


async def test_calls_are_listed_newest_first_page_by_page(shelf: Shelf) -> None:
    seen = []
    question = CallsQuestion(START, START + SPAN, limit=100)
    while True:
        calls, more = await shelf.reports.calls(ACCOUNT, question)
        seen += calls
        if not more:
            break
        question = replace(question, before=(calls[-1].created_at, calls[-1].id))

    inside = [call for call in shelf.calls if START <= call["at"] < START + SPAN]
    assert {call.id for call in seen} == {call["id"] for call in inside}
    assert len(seen) == len(inside)
    assert [call.created_at for call in seen] == sorted((call["at"] for call in inside), reverse=True)
    voided, _ = await shelf.reports.calls(ACCOUNT, replace(question, before=None, limit=5_000, state="voided"))
    assert {call.id for call in voided} == {call["id"] for call in inside if call["state"] == "voided"}


async def test_credits_and_the_ledger_agree(shelf: Shelf) -> None:
    wallet = await shelf.reports.credits(ACCOUNT)
    used = sum(call["state"] == "settled" for call in shelf.calls) * 404
    far = datetime(2100, 1, 1, tzinfo=UTC)
    rows, more = await shelf.reports.transactions(ACCOUNT, datetime(2000, 1, 1, tzinfo=UTC), far, limit=5_000)

    assert wallet == Credits(1_000_000_000 - used, 0, None, 1_000_000_000, used)
    assert not more
    assert sum(row.amount_nano for row in rows) == wallet.balance_nano
    assert [row.created_at for row in rows] == sorted((row.created_at for row in rows), reverse=True)


async def test_the_ledger_is_listed_page_by_page_and_by_kind(shelf: Shelf) -> None:
    since, until = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    seen: list[int] = []
    before = None
    while True:
        rows, more = await shelf.reports.transactions(ACCOUNT, since, until, limit=400, before=before)
        seen += (row.id for row in rows)
        if not more:
            break
        before = (rows[-1].created_at, rows[-1].id)
    topups, _ = await shelf.reports.transactions(ACCOUNT, since, until, kind="topup")

    assert len(seen) == len(set(seen)) == 1 + sum(call["state"] == "settled" for call in shelf.calls)
    assert [row.amount_nano for row in topups] == [1_000_000_000]


async def test_what_settling_writes_is_what_the_reports_show(purse: Purse) -> None:
    await purse.deposit(100_000)
    reports = Reports(purse.database)
    since = await reports.now()
    settled = await purse.hold(100)
    await purse.wallet.settle(settled, outcome(7, rules=("r1", "r2"), interventions=2, first_token_ms=317))
    gone = await purse.hold(100)
    await purse.wallet.void(gone, outcome(reason="client_gone", http_status=499))
    failed = await purse.hold(100)
    await purse.wallet.void(failed, outcome(reason="upstream_error", http_status=502))
    await purse.hold(100)

    until = await reports.now()
    totals = (await reports.usage(purse.account_id, Question(since, until))).totals
    call = await reports.call(purse.account_id, settled.charge_id)
    calls, _ = await reports.calls(purse.account_id, CallsQuestion(since, until))

    assert four(totals) == (1, 1, 1, 100)
    assert (totals.interventions, totals.p50_first_token_ms, totals.p95_first_token_ms) == (2, 317, 317)
    assert (call.state, call.rules, call.charged_nano, call.overrun_nano) == ("settled", ["r1", "r2"], 100, 600)
    assert [one.id for one in calls] == [failed.charge_id, gone.charge_id, settled.charge_id]
    with pytest.raises(NotFound):
        await reports.call(purse.account_id, UUID(int=5))


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("spread", [1.0, 0.3])
def test_quantiles_are_right_to_a_fifth(share: float, spread: float) -> None:
    dice = random.Random(3)
    values = sorted(round(dice.lognormvariate(6, spread)) for _ in range(2_000))
    counts = [0] * len(FIRST_TOKEN_COLUMNS)
    for value in values:
        counts[sum(value >= edge for edge in FIRST_TOKEN_EDGES_MS)] += 1

    found = quantile(counts, values[0], values[-1], share)

    assert found == pytest.approx(values[int(share * len(values))], rel=0.2)


def test_quantiles_of_few_and_of_extreme_values() -> None:
    bins = [0] * len(FIRST_TOKEN_COLUMNS)

    def of(place: int, low: int, high: int, count: int = 1) -> int | None:
        return quantile([*bins[:place], count, *bins[place + 1 :]], low, high, 0.5)

    assert quantile(bins, None, None, 0.5) is None
    assert of(0, 3, 3) == 3
    assert of(23, 600_000, 600_000) == 600_000
    assert of(6, 80, 100, 2) == 90
