"""What was used and what it cost: sums for dashboards from the roll-ups, single calls, and the wallet's ledger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from app.base.errors import NotFound
from app.billing.calendar import Width, edges
from app.storage.engine import Database
from app.storage.rollup import FIRST_TOKEN_COLUMNS, FIRST_TOKEN_EDGES_MS, ROLLUP_SUMS

GroupKey = Literal["model", "api_key_id", "user_id", "app_source", "species", "engine"]
GROUP_KEYS: tuple[GroupKey, ...] = ("model", "api_key_id", "user_id", "app_source", "species", "engine")
State = Literal["settled", "voided", "expired"]
EntryKind = Literal["topup", "charge", "refund", "adjust"]

UTC_ZONE = ZoneInfo("UTC")
_QUARTER = timedelta(minutes=15)
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SUMS = (*ROLLUP_SUMS, *FIRST_TOKEN_COLUMNS)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which calls count; an empty filter lets all through."""

    model: tuple[str, ...] = ()
    api_key_id: tuple[int, ...] = ()
    user_id: tuple[str, ...] = ()
    app_source: tuple[str, ...] = ()
    species: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What a dashboard asks.

    Attributes:
        start, end: half-open; a call belongs to the moment it settled.
        buckets_max: how many buckets to give at once.
        page: where they begin: `start`, or the `next_page` of the answer before.
    """

    start: datetime
    end: datetime
    zone: ZoneInfo = UTC_ZONE
    width: Width = "1d"
    group_by: tuple[GroupKey, ...] = ()
    filters: Filters = Filters()
    buckets_max: int = 31
    page: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """What calls add up to.

    Attributes:
        requests: settled ones; `aborted` those whose client left, settled or not; `failed` those we or an upstream
            ended, and those whose worker vanished.
        p50_first_token_ms, p95_first_token_ms: from a histogram whose bins are half as wide again each: right to a
            fifth, exact for a single call.
    """

    requests: int = 0
    aborted: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    image_tokens: int = 0
    num_images: int = 0
    units: int = 0
    interventions: int = 0
    cost_nano: int = 0
    p50_first_token_ms: int | None = None
    p95_first_token_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """One hour, day or month, or the part of it inside the range."""

    start: datetime
    end: datetime
    results: list[tuple[dict[GroupKey, Any], Sums]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """Buckets, oldest first, empty ones too; totals of the whole range; where the next page begins, if there is one."""

    buckets: list[Bucket]
    totals: Sums
    next_page: datetime | None


@dataclass(frozen=True, slots=True)
class Call:
    """A closed call: metadata, never content."""

    id: UUID
    created_at: datetime
    closed_at: datetime
    state: State
    http_status: int | None
    close_reason: str | None
    model: str
    engine: str
    upstream: str | None
    api_key_id: int | None
    user_id: str | None
    user_id_source: str | None
    app_source: str | None
    species: str | None
    prompt_tokens: int
    completion_tokens: int
    image_tokens: int
    units: int
    first_token_ms: int | None
    duration_ms: int | None
    rules: list[str]
    usage_source: str | None
    price_in_nano: int
    price_out_nano: int
    price_unit_nano: int
    hold_nano: int
    charged_nano: int
    overrun_nano: int


@dataclass(frozen=True, slots=True)
class CallsQuestion:
    """Which single calls, newest first.

    Attributes:
        before: moment and id of the last one of the page before.
    """

    start: datetime
    end: datetime
    state: State | None = None
    filters: Filters = Filters()
    limit: int = 100
    before: tuple[datetime, UUID] | None = None


@dataclass(frozen=True, slots=True)
class Credits:
    """What came into a wallet, what left it, and what is there."""

    balance_nano: int
    held_nano: int
    low_balance_threshold_nano: int | None
    total_credits_nano: int
    total_used_nano: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """A row of the ledger, from the account's side: positive is money in."""

    id: int
    kind: EntryKind
    amount_nano: int
    charge_id: UUID | None
    external_ref: str | None
    created_at: datetime


class Reports:
    """Reads what the ledger and the roll-ups hold of one account at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """The database's clock, which the ledger goes by."""
        async with self._database.connection() as connection:
            moment: datetime = await connection.fetchval("SELECT clock_timestamp()")
        return moment

    async def usage(self, account_id: int, question: Question) -> Report:
        """What an account used, by bucket and group; buckets and totals are of one moment."""
        start, end = question.start.astimezone(UTC), question.end.astimezone(UTC)
        begins = list(
            islice(
                edges(question.page or start, end, question.zone, question.width),
                question.buckets_max + 1,
            )
        )
        more = len(begins) > question.buckets_max
        ends = [*begins[1:], end]
        shown = [Bucket(*both) for both in zip(begins, ends, strict=True)][: question.buckets_max]
        async with (
            self._database.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            rows = await _sums(connection, account_id, [(b.start, b.end) for b in shown], question)
            whole = await _sums(connection, account_id, [(start, end)], replace(question, group_by=()))
        for row in rows:
            keys = {key: row[key] for key in question.group_by}
            shown[row["bucket"] - 1].results.append((keys, _sums_of(row)))
        totals = _sums_of(whole[0]) if whole else Sums()
        return Report(shown, totals, begins[-1] if more else None)

    async def calls(self, account_id: int, question: CallsQuestion) -> tuple[list[Call], bool]:
        """Closed calls, newest first, and whether there are more."""
        arguments: list[Any] = [account_id, question.start, question.end, question.limit + 1]
        where = ["account_id = $1", "created_at >= $2", "created_at < $3", "state <> 'authorized'"]
        where += _filter_terms(question.filters, arguments)
        if question.state is not None:
            arguments.append(question.state)
            where.append(f"state = ${len(arguments)}::text::charge_state")
        if question.before is not None:
            arguments += question.before
            where.append(f"(created_at, id) < (${len(arguments) - 1}, ${len(arguments)})")
        query = (
            f"SELECT {_CALL_COLUMNS} FROM charge WHERE {' AND '.join(where)} "  # noqa: S608 - our own words and $n
            "ORDER BY created_at DESC, id DESC LIMIT $4"
        )
        async with self._database.connection() as connection:
            rows = await connection.fetch(query, *arguments)
        return [_call_of(row) for row in rows[: question.limit]], len(rows) > question.limit

    async def call(self, account_id: int, charge_id: UUID) -> Call:
        """One closed call.

        Raises:
            NotFound: none of this account has the id, or it is still running.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                f"SELECT {_CALL_COLUMNS} FROM charge "  # noqa: S608 - our own words
                "WHERE id = $1 AND account_id = $2 AND state <> 'authorized'",
                charge_id,
                account_id,
            )
        if row is None:
            raise NotFound("There is no such call that has ended; GET /v1/usage/requests lists those there are.")
        return _call_of(row)

    async def credits(self, account_id: int) -> Credits:
        """What an account has and had.

        Raises:
            NotFound: no such customer.
        """
        async with self._database.connection() as connection:
            row = await connection.fetchrow(
                """
                SELECT balance_nano, held_nano, low_balance_threshold_nano,
                  (SELECT COALESCE(sum(cost_nano), 0)::bigint FROM usage_rollup u
                    WHERE u.account_id = a.id AND grain_min = 1440 AND NOT by_user) AS used_nano
                FROM account a WHERE id = $1 AND kind = 'customer'
                """,
                account_id,
            )
        if row is None:
            raise NotFound("There is no such account.")
        balance, held, threshold, used = row
        return Credits(balance, held, threshold, balance + used, used)

    async def transactions(
        self,
        account_id: int,
        start: datetime,
        end: datetime,
        *,
        kind: EntryKind | None = None,
        limit: int = 100,
        before: tuple[datetime, int] | None = None,
    ) -> tuple[list[Transaction], bool]:
        """Rows of the ledger, newest first, and whether there are more; `before` is the last one of the page before."""
        arguments: list[Any] = [account_id, start, end, limit + 1]
        where = ["created_at >= $2", "created_at < $3"]
        if kind is not None:
            arguments.append(kind)
            where.append(f"kind = ${len(arguments)}")
        if before is not None:
            arguments += before
            where.append(f"(created_at, id) < (${len(arguments) - 1}, ${len(arguments)})")
        terms = " AND ".join(where)
        columns = "id, kind, charge_id, external_ref, created_at"
        newest = "ORDER BY created_at DESC, id DESC LIMIT $4"
        query = f"""
            (SELECT {columns}, -amount_nano AS amount_nano FROM entry WHERE debit_account = $1 AND {terms} {newest})
            UNION ALL
            (SELECT {columns}, amount_nano FROM entry
              WHERE credit_account = $1 AND kind <> 'charge' AND {terms} {newest})
            {newest}
        """  # noqa: S608 - our own words and $n
        async with self._database.connection() as connection:
            rows = await connection.fetch(query, *arguments)
        return [Transaction(**row) for row in rows[:limit]], len(rows) > limit


_CALL_COLUMNS = ", ".join(name for name in Call.__slots__ if name != "state") + ", state::text AS state"


def _call_of(row: Any) -> Call:
    return Call(**row)


def _filter_terms(filters: Filters, arguments: list[Any]) -> Iterable[str]:
    """Terms of a WHERE; what they compare with goes on the end of `arguments`."""
    for name in Filters.__slots__:
        values = getattr(filters, name)
        if values:
            arguments.append(list(values))
            yield f"{name} = ANY (${len(arguments)})"


def _pieces(
    buckets: Sequence[tuple[datetime, datetime]],
) -> tuple[list[tuple[int, int, datetime, datetime]], list[tuple[int, datetime, datetime]]]:
    """Each bucket as whole UTC days and quarter hours, (bucket, grain, start, end), and the ragged rest."""
    grained: list[tuple[int, int, datetime, datetime]] = []
    ragged: list[tuple[int, datetime, datetime]] = []
    for number, (start, end) in enumerate(buckets, 1):
        first, last = _up(start, _QUARTER), _down(end, _QUARTER)
        if first >= last:
            ragged.append((number, start, end))
            continue
        ragged += ((number, *part) for part in ((start, first), (last, end)) if part[0] < part[1])
        first_day, last_day = _up(first, _DAY), _down(last, _DAY)
        if first_day >= last_day:
            grained.append((number, 15, first, last))
            continue
        parts = ((15, first, first_day), (1440, first_day, last_day), (15, last_day, last))
        grained += ((number, *part) for part in parts if part[1] < part[2])
    return grained, ragged


def _down(moment: datetime, step: timedelta) -> datetime:
    return moment - (moment - _EPOCH) % step


def _up(moment: datetime, step: timedelta) -> datetime:
    return moment + (_EPOCH - moment) % step


# Each piece reads its own stretch of an index. Left a choice, the planner reads the whole table and compares every row
# with every piece, which takes seconds for a month of hours; OFFSET 0 leaves it none.
_ROLLED = f"""
  SELECT s.bucket, r.*
  FROM unnest($2::int[], $3::int[], $4::timestamptz[], $5::timestamptz[]) AS s(bucket, grain, starts, ends)
  CROSS JOIN LATERAL (
    SELECT model, engine, api_key_id, app_source, species, user_id, {", ".join(_SUMS)}, first_token_ms_min,
      first_token_ms_max
    FROM usage_rollup WHERE account_id = $1 AND grain_min = s.grain AND by_user = $9
      AND starts_at >= s.starts AND starts_at < s.ends OFFSET 0) r
"""  # noqa: S608 - constants of this package

_EDGES = f"ARRAY[{', '.join(map(str, FIRST_TOKEN_EDGES_MS))}]"
_BINS = ", ".join(
    f"(width_bucket(first_token_ms, {_EDGES}) IS NOT DISTINCT FROM {n})::int" for n in range(len(FIRST_TOKEN_COLUMNS))
)
_NO_BINS = ", ".join("0" for _ in FIRST_TOKEN_COLUMNS)

_RAGGED = f"""
  SELECT s.bucket, u.*
  FROM unnest($6::int[], $7::timestamptz[], $8::timestamptz[]) AS s(bucket, starts, ends)
  CROSS JOIN LATERAL (
    SELECT model, engine, api_key_id, app_source, species, user_id, 1, aborted::int, 0, prompt_tokens,
      completion_tokens, image_tokens, num_images, units, interventions, cost_nano, {_BINS}, first_token_ms,
      first_token_ms
    FROM usage_event WHERE account_id = $1 AND occurred_at >= s.starts AND occurred_at < s.ends OFFSET 0) u
  UNION ALL
  SELECT s.bucket, c.*
  FROM unnest($6::int[], $7::timestamptz[], $8::timestamptz[]) AS s(bucket, starts, ends)
  CROSS JOIN LATERAL (
    SELECT model, engine, api_key_id, app_source, species, user_id, 0, (close_reason = 'client_gone')::int,
      (close_reason <> 'client_gone')::int, 0, 0, 0, 0, 0, 0, 0, {_NO_BINS}, NULL::int, NULL::int
    FROM charge WHERE account_id = $1 AND closed_at >= s.starts AND closed_at < s.ends
      AND state IN ('voided', 'expired') OFFSET 0) c
"""  # noqa: S608 - constants of this package


async def _sums(
    connection: Any, account_id: int, buckets: Sequence[tuple[datetime, datetime]], question: Question
) -> list[Any]:
    grained, ragged = _pieces(buckets)
    by_user = "user_id" in question.group_by or bool(question.filters.user_id)
    arguments = [
        account_id,
        *(_transposed(grained, 4)),
        *(_transposed(ragged, 3)),
        by_user,
    ]
    where = " AND ".join(_filter_terms(question.filters, arguments))
    keys = "".join(f", {key}" for key in question.group_by)
    query = f"""
        SELECT bucket{keys}, {", ".join(f"sum({name})::bigint AS {name}" for name in _SUMS)},
          min(first_token_ms_min) AS first_token_ms_min, max(first_token_ms_max) AS first_token_ms_max
        FROM ({_ROLLED} UNION ALL {_RAGGED}) x {f"WHERE {where}" if where else ""}
        GROUP BY bucket{keys} ORDER BY bucket{keys}
    """  # noqa: S608 - our own words and $n
    rows: list[Any] = await connection.fetch(query, *arguments)
    return rows


def _transposed(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[n] for row in rows] for n in range(width)]


def _sums_of(row: Any) -> Sums:
    *sums, low, high = row[-len(_SUMS) - 2 :]
    counts = sums[len(ROLLUP_SUMS) :]
    return Sums(
        **dict(zip(ROLLUP_SUMS, sums, strict=False)),
        p50_first_token_ms=quantile(counts, low, high, 0.5),
        p95_first_token_ms=quantile(counts, low, high, 0.95),
    )


def quantile(counts: Sequence[int], low: int | None, high: int | None, share: float) -> int | None:
    """The value that `share` of a histogram's calls are not above, evenly spread inside a bin.

    Args:
        counts: by bins of `FIRST_TOKEN_EDGES_MS`.
        low, high: the least and the largest value in it [ms].
    """
    total = sum(counts)
    if not total or low is None or high is None:
        return None
    wanted = share * total
    below = 0
    for number, count in enumerate(counts):
        if count and below + count >= wanted:
            bottom = max(low, FIRST_TOKEN_EDGES_MS[number - 1] if number else 0)
            top = min(high, FIRST_TOKEN_EDGES_MS[number] if number < len(FIRST_TOKEN_EDGES_MS) else high)
            return round(bottom + (top - bottom) * (wanted - below) / count)
        below += count
    raise AssertionError("the bins hold fewer than their sum")  # pragma: no cover
