"""Per-minute limits, exact over all workers and replicas: who gets a place now, and when the next one is free.

One row an account and bucket counts the admitted calls of the current second and of the 60 before it, by the database's
clock. A call is admitted while those 61 counters hold fewer than the limit. The counters reach back at least 60 s, so
no 60 s ever hold more than the limit, and less than 61 s, so nobody is refused while fewer were admitted in the
last 61 s.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from app.base.errors import RateLimited
from app.base.messages import Caller
from app.base.record import record
from app.storage.engine import Database
from app.storage.group_commit import GroupCommit

Bucket = Literal["generate", "read"]
Headers = list[tuple[bytes, bytes]]
RING_SECONDS = 61
DECIDE_TIMEOUT_S = 5.0
"""A database that doesn't decide in this time counts as away."""
READS_PER_GENERATING_CALL = 5
"""The second bucket (GETs, /v1/estimate, /v1/clinic/*) holds this many times the plan's figure."""

_ADMIT = """
with quick as materialized (select set_config('synchronous_commit', 'off', true)),
asked as (
    select a.account_id, a.bucket, a.wanted, a.places,
        coalesce($5::float8, extract(epoch from clock_timestamp())::float8 * $6::float8) as moment
    from quick, unnest($1::bigint[], $2::text[], $3::int[], $4::int[]) as a (account_id, bucket, wanted, places)
)
insert into rate_window as w (account_id, bucket, moment, places, granted, counts)
select account_id, bucket, moment, places, least(wanted, places),
    array[least(wanted, places)] || array_fill(0, array[60])
from asked
on conflict (account_id, bucket) do update set (moment, places, granted, counts) = (
    select aged.moment, excluded.places, room.granted,
        array[aged.counts[1] + room.granted] || aged.counts[2:61]
    from (
        select coalesce($5::float8, extract(epoch from clock_timestamp())::float8 * $6::float8) as moment offset 0
    ) as clock,
    lateral (
        select clock.moment < w.moment - 2 as set_back,
            least(61, floor(greatest(clock.moment, w.moment)) - floor(w.moment))::int as elapsed offset 0
    ) as since,
    lateral (
        select
            case when since.set_back then clock.moment else greatest(clock.moment, w.moment) end as moment,
            case
                when since.set_back
                    then array[(select sum(c) from unnest(w.counts) as c)::int] || array_fill(0, array[60])
                when since.elapsed = 0 then w.counts
                else array_fill(0, array[since.elapsed]) || w.counts[1:61 - since.elapsed]
            end as counts
        offset 0
    ) as aged,
    lateral (
        select greatest(0, least(
            excluded.granted, excluded.places - (select sum(c) from unnest(aged.counts) as c)
        ))::int as granted offset 0
    ) as room
)
returning w.account_id, w.bucket, w.granted, w.moment, w.counts
"""
# The sub-select runs after the row's lock is held, so its clock is that of the decision, not of the wait for it.
# A clock that was set back (another host took over) keeps every call it knows, as if all came now: 61 s later all is
# well again. A crash of PostgreSQL can forget the last fraction of a second, the price of not waiting for the disk.


@record(frozen=True, slots=True)
class Window:
    """What a limit said to one call.

    Attributes:
        limit: calls a minute.
        remaining: places left after this call.
        moment: of the decision, by the database's clock [epoch s].
        whole_at: when the whole limit is free again, if nobody calls [epoch s].
        free_at: of a refused call: when the next place is free [epoch s]; None for an admitted one.
    """

    limit: int
    remaining: int
    moment: float
    whole_at: int
    free_at: int | None = None

    @property
    def retry_after_s(self) -> int | None:
        """Whole seconds until the next place is free, true to 1 s; None for an admitted call."""
        return None if self.free_at is None else max(1, math.ceil(self.free_at - self.moment))


def windows(limit: int, wanted: int, granted: int, moment: float, counts: Sequence[int]) -> list[Window]:
    """What each of `wanted` calls that came together is told, the `granted` ones first.

    Args:
        moment: of the decision [epoch s].
        counts: admitted calls by second, the current one first, these ones counted.
    """
    assert len(counts) == RING_SECONDS
    assert 0 <= granted <= wanted
    second = math.floor(moment)
    before = sum(counts) - granted
    newest = next((age for age, count in enumerate(counts) if count), 0)
    whole_at = second - newest + RING_SECONDS
    answers = [Window(limit, max(0, limit - before - place), moment, whole_at) for place in range(1, granted + 1)]
    if granted < wanted:
        free_at = second - _age_in_the_way(limit, counts) + RING_SECONDS
        answers.extend([Window(limit, 0, moment, whole_at, free_at)] * (wanted - granted))
    return answers


def _age_in_the_way(limit: int, counts: Sequence[int]) -> int:
    """The age of the counter that must leave the ring before one more call fits [s]."""
    total = 0
    for age, count in enumerate(counts):
        total += count
        if total >= limit:
            return age
    raise AssertionError("refused although there was room")


def duration(seconds: float) -> str:
    """As OpenAI writes it: `6m0s`, `1h0m0s`, `12s`, `250ms`; rounded up."""
    if 0 < seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"


def rate_headers(window: Window | None) -> Headers:
    """The headers of every response after authentication; none for a plan without a limit."""
    if window is None:
        return []
    limit, remaining = str(window.limit).encode(), str(window.remaining).encode()
    reset_at = window.whole_at if window.free_at is None else window.free_at  # when waiting is over, either way
    return [
        (b"x-ratelimit-limit", limit),
        (b"x-ratelimit-remaining", remaining),
        (b"x-ratelimit-reset", str(reset_at).encode()),
        (b"x-ratelimit-limit-requests", limit),
        (b"x-ratelimit-remaining-requests", remaining),
        (b"x-ratelimit-reset-requests", duration(window.whole_at - window.moment).encode()),
    ]


class Limits:
    """The limits of all accounts; what waits in this worker is decided in one statement."""

    def __init__(
        self, database: Database, *, now_epoch_s: Callable[[], float] | None = None, pace: float = 1.0
    ) -> None:
        """Both are for tests, which have no hours to wait.

        Args:
            now_epoch_s: a clock in the place of the database's.
            pace: how many seconds the database's clock counts in one.
        """
        self._now_epoch_s = now_epoch_s
        self._pace = pace
        self._queue: GroupCommit[_Asked, Window] = GroupCommit(database, self._decide)

    async def admit(self, caller: Caller, bucket: Bucket) -> Headers:
        """Take a place in the caller's limit; gives the headers of the response, none for a plan without a limit.

        Raises:
            RateLimited: carries the same headers as `rate_headers`.
            Unavailable: database_unavailable.
        """
        window = await self.take(caller, bucket)
        if window is None:
            return []
        headers = rate_headers(window)
        if window.retry_after_s is not None:
            raise RateLimited(
                f"Your plan allows {window.limit} of these calls a minute; wait {window.retry_after_s} s, "
                "or ask for a larger plan.",
                retry_after_s=window.retry_after_s,
                rate_headers=headers,
            )
        return headers

    async def take(self, caller: Caller, bucket: Bucket) -> Window | None:
        """What the limit says to one call; an admitted call has taken its place. None: the plan has no limit."""
        if caller.requests_per_min is None:
            return None
        limit = caller.requests_per_min * (READS_PER_GENERATING_CALL if bucket == "read" else 1)
        return await self._queue.submit(_Asked(caller.account_id, bucket, limit))

    async def close(self) -> None:
        """Decide what waits, and hang up."""
        await self._queue.close()

    async def _decide(self, connection: Any, asked: list[_Asked]) -> list[Window]:
        limits: dict[tuple[int, str], int] = {}
        for one in asked:
            line = (one.account_id, one.bucket)
            limits[line] = min(limits.get(line, one.limit), one.limit)
        wanted = Counter((one.account_id, one.bucket) for one in asked)
        lines = sorted(limits)  # every worker locks in the same order
        rows = await connection.fetch(
            _ADMIT,
            [account_id for account_id, _ in lines],
            [bucket for _, bucket in lines],
            [wanted[line] for line in lines],
            [limits[line] for line in lines],
            None if self._now_epoch_s is None else self._now_epoch_s(),
            self._pace,
            timeout=DECIDE_TIMEOUT_S,
        )
        answers: dict[tuple[int, str], Iterator[Window]] = {}
        for row in rows:
            line = (row["account_id"], row["bucket"])
            answers[line] = iter(windows(limits[line], wanted[line], row["granted"], row["moment"], row["counts"]))
        return [next(answers[one.account_id, one.bucket]) for one in asked]


@record(frozen=True, slots=True)
class _Asked:
    account_id: int
    bucket: str
    limit: int
