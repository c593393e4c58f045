"""Per-minute limits: exact over processes, in replayed hours and in real time."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.accounts.accounts import Account, Accounts
from app.accounts.limits import RING_SECONDS, Limits, Window, duration, rate_headers, windows
from app.base.errors import RateLimited, Unavailable
from app.storage.engine import Database
from tests.accounts.hammer import Told, caller, hammer

START = 1_800_000_000.0


class Hand:
    """A clock that a test moves on."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
async def replayed(database: Database, clock: Hand) -> AsyncIterator[Limits]:
    """Limits in a time of the test's own."""
    opened = Limits(database, now_epoch_s=clock)
    yield opened
    await opened.close()


@pytest.fixture
async def limits(database: Database) -> AsyncIterator[Limits]:
    """Limits in the database's time."""
    opened = Limits(database)
    yield opened
    await opened.close()


async def take(limits: Limits, account: Account, limit: int, count: int = 1) -> list[Window]:
    """What `count` calls at once are told."""
    told = await asyncio.gather(*(limits.take(caller(account.id, limit), "generate") for _ in range(count)))
    return [window for window in told if window is not None]


def admitted(told: Sequence[Window]) -> int:
    """How many got a place."""
    return sum(window.free_at is None for window in told)


def check(told: Sequence[Told], limit: int) -> None:
    """The two promises of the limit, over everything that anyone was told."""
    let_in = sorted(moment for ok, moment, _ in told if ok)
    for index, moment in enumerate(let_in):
        assert index + 1 - bisect_left(let_in, moment - 60) <= limit, "never more than N admitted in any 60 s"
    for ok, moment, retry_after_s in told:
        recent = bisect_right(let_in, moment) - bisect_right(let_in, moment - 61)
        assert ok or recent >= limit, "none refused while fewer than N were admitted in the last 61 s"
        assert ok or (retry_after_s is not None and 1 <= retry_after_s <= 61)


@pytest.mark.parametrize("seed", range(3))
async def test_hours_of_bursts_and_trickles_keep_both_promises(
    replayed: Limits, clock: Hand, account: Account, seed: int
) -> None:
    chance = random.Random(seed)
    limit = chance.choice([1, 7, 20])
    told: list[Told] = []
    for _ in range(400):
        clock.now += chance.choice([0.0, chance.random(), chance.random() * 10, chance.random() * 80, 1.0, 60.0, 61.0])
        for window in await take(replayed, account, limit, chance.choice([1, 1, 2, limit, 2 * limit])):
            told.append((window.free_at is None, window.moment, window.retry_after_s))

    assert clock.now - START > 3_600
    assert 0 < sum(ok for ok, _, _ in told) < len(told)
    check(told, limit)


@pytest.mark.parametrize("seed", range(3))
async def test_retry_after_is_true_to_one_second(replayed: Limits, clock: Hand, account: Account, seed: int) -> None:
    chance = random.Random(seed)
    refused = 0
    for _ in range(150):
        clock.now += chance.random() * chance.choice([1, 10])
        (window,) = await take(replayed, account, 5)
        if window.retry_after_s is not None:
            refused += 1
            moment = clock.now
            if window.retry_after_s > 1:
                clock.now = moment + window.retry_after_s - 1.0001
                assert admitted(await take(replayed, account, 5)) == 0, "it need not have been so long"
            clock.now = moment + window.retry_after_s
            assert admitted(await take(replayed, account, 5)) == 1, "it was not long enough"
    assert refused > 10


async def test_processes_in_fast_time_keep_both_promises(fresh_url: str, account: Account) -> None:
    """Three processes for two seconds in which three minutes pass."""
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(hammer, fresh_url, account.id, 50, 2.0, 90.0) for _ in range(3)]
        told = [one for each in running for one in each.result()]

    assert sum(ok for ok, _, _ in told) >= 100
    assert sum(not ok for ok, _, _ in told) >= 50
    check(told, 50)


async def test_processes_in_real_time_let_in_exactly_the_limit(fresh_url: str, account: Account) -> None:
    with ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        running = [pool.submit(hammer, fresh_url, account.id, 50, 1.5, 1.0) for _ in range(3)]
        told = [one for each in running for one in each.result()]

    assert sum(ok for ok, _, _ in told) == 50
    assert all(retry_after_s is None or 57 <= retry_after_s <= 61 for _, _, retry_after_s in told)
    check(told, 50)


async def test_a_full_limit_opens_in_real_time_when_it_said(
    limits: Limits, database: Database, account: Account
) -> None:
    assert admitted(await take(limits, account, 5, 8)) == 5
    async with database.connection() as connection:
        await connection.execute("update rate_window set moment = moment - 59")

    (window,) = await take(limits, account, 5)
    assert window.retry_after_s in (1, 2)
    await asyncio.sleep(window.retry_after_s)

    assert admitted(await take(limits, account, 5, 8)) == 5


async def test_no_commit_of_a_limit_waits_for_the_disk_and_others_still_do(
    limits: Limits, database: Database, account: Account
) -> None:
    await take(limits, account, 5)

    connection = limits._queue._connection
    assert await connection.fetchval("show synchronous_commit") == "on", "it held for that statement only"


async def test_refused_calls_take_no_place(replayed: Limits, clock: Hand, account: Account) -> None:
    assert admitted(await take(replayed, account, 2, 100)) == 2
    for _ in range(60):
        clock.now += 1
        assert admitted(await take(replayed, account, 2, 3)) == 0
    clock.now += 1
    assert admitted(await take(replayed, account, 2, 3)) == 2


async def test_reads_have_a_bucket_of_five_times_the_figure(replayed: Limits, account: Account) -> None:
    who = caller(account.id, 2)
    reads = [await replayed.take(who, "read") for _ in range(11)]
    calls = [await replayed.take(who, "generate") for _ in range(3)]

    assert [window is not None and window.free_at is None for window in reads] == [True] * 10 + [False]
    assert [window is not None and window.free_at is None for window in calls] == [True] * 2 + [False]


async def test_one_accounts_calls_are_nothing_to_anothers(
    replayed: Limits, account: Account, database: Database
) -> None:
    other = await Accounts(database).create("Other")

    await take(replayed, account, 3, 10)

    assert admitted(await take(replayed, other, 3, 10)) == 3


async def test_a_lowered_limit_holds_at_once_and_says_when_there_is_room(
    replayed: Limits, clock: Hand, account: Account
) -> None:
    for _ in range(10):
        await take(replayed, account, 10)
        clock.now += 2

    (refused,) = await take(replayed, account, 3)
    assert refused.retry_after_s is not None
    clock.now += refused.retry_after_s - 1.5
    assert admitted(await take(replayed, account, 3)) == 0
    clock.now += 1.5
    assert admitted(await take(replayed, account, 3, 5)) == 1


async def test_a_clock_set_back_an_hour_neither_forgets_calls_nor_stops_them_for_long(
    replayed: Limits, clock: Hand, account: Account
) -> None:
    await take(replayed, account, 5, 5)
    clock.now -= 3_600

    assert admitted(await take(replayed, account, 5, 5)) == 0
    clock.now += 61
    assert admitted(await take(replayed, account, 5, 5)) == 5


async def test_a_clock_that_trembles_counts_on(replayed: Limits, clock: Hand, account: Account) -> None:
    await take(replayed, account, 5, 3)
    clock.now -= 1.2

    assert admitted(await take(replayed, account, 5, 5)) == 2


async def test_a_plan_without_a_limit_needs_no_database_and_sends_no_headers() -> None:
    limits = Limits(await Database.open("postgresql://nobody@127.0.0.1:1/nothing"))

    assert await limits.admit(caller(1_000, None), "generate") == []


async def test_without_a_database_a_limited_call_is_503() -> None:
    limits = Limits(await Database.open("postgresql://nobody@127.0.0.1:1/nothing"))

    with pytest.raises(Unavailable) as refused:
        await limits.admit(caller(1_000, 5), "generate")

    assert refused.value.code == "database_unavailable"


async def test_a_database_that_hangs_is_503_and_soon(
    limits: Limits, account: Account, fresh_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.accounts.limits.DECIDE_TIMEOUT_S", 0.2)
    other = await asyncpg.connect(fresh_url)
    async with other.transaction():
        await other.execute("lock table rate_window in access exclusive mode")
        with pytest.raises(Unavailable):
            await limits.admit(caller(account.id, 5), "generate")
    await other.close()

    assert admitted(await take(limits, account, 5)) == 1


async def test_headers_say_what_is_left_and_a_refusal_carries_them(
    replayed: Limits, clock: Hand, account: Account
) -> None:
    clock.now += 0.25
    first = dict(await replayed.admit(caller(account.id, 2), "generate"))
    clock.now += 10
    await replayed.admit(caller(account.id, 2), "generate")
    with pytest.raises(RateLimited) as refused:
        await replayed.admit(caller(account.id, 2), "generate")

    assert first == {
        b"x-ratelimit-limit": b"2",
        b"x-ratelimit-remaining": b"1",
        b"x-ratelimit-reset": b"1800000061",
        b"x-ratelimit-limit-requests": b"2",
        b"x-ratelimit-remaining-requests": b"1",
        b"x-ratelimit-reset-requests": b"1m1s",
    }
    assert refused.value.retry_after_s == 51
    assert dict(refused.value.rate_headers)[b"x-ratelimit-remaining"] == b"0"
    assert dict(refused.value.rate_headers)[b"x-ratelimit-reset"] == b"1800000061", "as Retry-After"
    assert dict(refused.value.rate_headers)[b"x-ratelimit-reset-requests"] == b"1m1s", "the whole limit"


def test_no_limit_no_headers() -> None:
    assert rate_headers(None) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.25, "250ms"), (1, "1s"), (11.2, "12s"), (60, "1m0s"), (360, "6m0s"), (3_600, "1h0m0s")],
)
def test_durations_are_written_as_openai_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@given(
    counts=st.lists(st.integers(0, 5), min_size=RING_SECONDS, max_size=RING_SECONDS),
    extra=st.integers(0, 5),
    moment=st.floats(1e9, 4e9),
)
def test_a_refused_call_is_told_the_first_second_with_room(counts: list[int], extra: int, moment: float) -> None:
    limit = max(1, sum(counts) - extra)
    if sum(counts) < limit:
        return
    (window,) = windows(limit, 1, 0, moment, counts)

    assert window.free_at is not None
    left_then = [count for age, count in enumerate(counts) if int(moment) - age + RING_SECONDS > window.free_at]
    left_before = [count for age, count in enumerate(counts) if int(moment) - age + RING_SECONDS > window.free_at - 1]
    assert sum(left_then) < limit <= sum(left_before)
    assert window.retry_after_s is not None
    assert 0 <= window.retry_after_s - (window.free_at - moment) < 1
