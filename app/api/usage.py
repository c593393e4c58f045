"""`GET /v1/usage`, `/v1/usage/requests` and `/v1/usage/{id}`: what was used, in sums and call by call."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from litestar import Controller, Request, Response, get
from litestar.params import FromPath
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.api.answers import Amount, CallDetail, CallShown, Listed, PriceLine, UsagePage, UsageResult
from app.api.body import read_query
from app.api.guards import GivenCaller, GivenHouse
from app.api.moments import time_range, zone_named
from app.base.clock import rfc3339
from app.base.errors import Invalid, NotFound
from app.base.money import dollars
from app.billing.calendar import Width
from app.billing.usage import GROUP_KEYS, Call, CallsQuestion, Filters, GroupKey, Question, Reports, State, Sums

BUCKETS_MAX = 1_000
CALLS_MAX = 1_000
VALUES_MAX = 100
ID_DIGITS_MAX = 18
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Values = list[str]
KEY_PATTERN = r"^key_[0-9]{1,18}$"
KEY_ID: JsonDict = {"type": "string", "pattern": KEY_PATTERN}


class UsageQuery(BaseModel):
    """The query of `GET /v1/usage`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    since: str | None = Field(None, alias="from", description="A date in `tz`, or a moment with its offset.")
    until: str | None = Field(None, alias="to", description="The same; a date includes that day.")
    tz: str = Field("UTC", description="Time zone of the buckets, like Europe/Vienna.")
    bucket_width: Width = "1d"
    group_by: list[GroupKey] = Field([], max_length=len(GROUP_KEYS))
    models: Values = Field([], max_length=VALUES_MAX)
    api_key_ids: Values = Field([], max_length=VALUES_MAX, json_schema_extra={"items": KEY_ID})
    user_ids: Values = Field([], max_length=VALUES_MAX)
    app_sources: Values = Field([], max_length=VALUES_MAX)
    species: Values = Field([], max_length=VALUES_MAX)
    limit: int = Field(31, ge=1, le=BUCKETS_MAX, description="Buckets at once.")
    page: str | None = Field(None, description="`next_page` of the answer before.")
    format: Literal["json", "csv"] | None = None


class CallsQuery(BaseModel):
    """The query of `GET /v1/usage/requests`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    since: str | None = Field(None, alias="from")
    until: str | None = Field(None, alias="to")
    tz: str = "UTC"
    status: State | None = None
    model: str | None = None
    api_key_id: str | None = Field(None, json_schema_extra={"pattern": KEY_PATTERN})
    user_id: str | None = None
    app_source: str | None = None
    limit: int = Field(100, ge=1, le=CALLS_MAX)
    page: str | None = None


def amount(nano: int) -> Amount:
    """Money as our own fields show it."""
    return {"value": dollars(nano), "currency": "usd"}


def in_microseconds(moment: datetime) -> int:
    """A moment as a whole number, for `next_page`."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def from_microseconds(text: str) -> datetime:
    """The moment of a `next_page`.

    Raises:
        ValueError: no page of ours said this.
    """
    if not text.isascii() or not text.isdigit() or len(text) > ID_DIGITS_MAX:
        raise ValueError(text)
    try:
        return _EPOCH + timedelta(microseconds=int(text))
    except OverflowError:
        raise ValueError(text) from None


def bad_page() -> Invalid:
    """The refusal of a `page` that no answer of ours gave."""
    return Invalid("page: send next_page of the answer before, unchanged.", param="page")


def key_ids(texts: Values, param: str) -> tuple[int, ...]:
    """The stored ids of `key_…`.

    Raises:
        Invalid: one can't be a key's.
    """
    ids = []
    for text in texts:
        digits = text.removeprefix("key_")
        if digits == text or not digits.isascii() or not digits.isdigit() or len(digits) > ID_DIGITS_MAX:
            raise Invalid(f"{param}: a key's id looks like key_17.", param=param)
        ids.append(int(digits))
    return tuple(ids)


async def report(reports: Reports, account_id: int, query: UsageQuery) -> UsagePage:
    """The answer of `GET /v1/usage`.

    Raises:
        Invalid: a field of the query is no moment, zone, key or page.
    """
    zone = zone_named(query.tz)
    start, end = time_range(query.since, query.until, zone, await reports.now())
    page = None
    if query.page is not None:
        try:
            page = from_microseconds(query.page)
        except ValueError:
            raise bad_page() from None
        if not start <= page < end:
            raise bad_page()
    filters = Filters(
        model=tuple(query.models),
        api_key_id=key_ids(query.api_key_ids, "api_key_ids"),
        user_id=tuple(query.user_ids),
        app_source=tuple(query.app_sources),
        species=tuple(query.species),
    )
    group_by = tuple(dict.fromkeys(query.group_by))
    found = await reports.usage(
        account_id,
        Question(start, end, zone, query.bucket_width, group_by, filters, query.limit, page),
    )
    return {
        "object": "page",
        "range": {"from": rfc3339(start), "to": rfc3339(end), "tz": query.tz},
        "data": [
            {
                "object": "bucket",
                "start_time": int(bucket.start.timestamp()),
                "end_time": int(bucket.end.timestamp()),
                "start": bucket.start.astimezone(zone).isoformat(),
                "results": [_result(sums, keys) for keys, sums in bucket.results],
            }
            for bucket in found.buckets
        ],
        "totals": _result(found.totals, {}),
        "has_more": found.next_page is not None,
        "next_page": str(in_microseconds(found.next_page)) if found.next_page is not None else None,
    }


def _result(sums: Sums, keys: dict[GroupKey, Any]) -> UsageResult:
    key_id = keys.get("api_key_id")
    return {
        "object": "usage.completions.result",
        "input_tokens": sums.prompt_tokens,
        "output_tokens": sums.completion_tokens,
        "input_image_tokens": sums.image_tokens,
        "num_model_requests": sums.requests,
        "num_images": sums.num_images,
        "num_videos": 0,
        "num_aborted": sums.aborted,
        "num_failed": sums.failed,
        "num_safety_interventions": sums.interventions,
        "p50_first_token_ms": sums.p50_first_token_ms,
        "p95_first_token_ms": sums.p95_first_token_ms,
        "amount": amount(sums.cost_nano),
        "model": keys.get("model"),
        "api_key_id": None if key_id is None else f"key_{key_id}",
        "user_id": keys.get("user_id"),
        "app_source": keys.get("app_source"),
        "species": keys.get("species"),
        "engine": keys.get("engine"),
    }


def csv_of(page: UsagePage) -> str:
    """The answer of `GET /v1/usage` as CSV, one line a result; no cell is taken for a formula."""
    text = io.StringIO()
    columns = [name for name in _result(Sums(), {}) if name not in ("object", "amount")]
    out = csv.writer(text, lineterminator="\r\n")
    out.writerow(["start_time", "end_time", "start", *columns, "amount", "currency"])
    for bucket in page["data"]:
        for result in bucket["results"]:
            named: Mapping[str, Any] = result
            cells = [bucket["start_time"], bucket["end_time"], bucket["start"], *(named[name] for name in columns)]
            out.writerow([*map(_cell, cells), result["amount"]["value"], result["amount"]["currency"]])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _call(call: Call) -> CallShown:
    return {
        "id": f"chatcmpl-{call.id.hex}",
        "object": "usage.request",
        "created_at": rfc3339(call.created_at),
        "status": call.state,
        "http_status": call.http_status,
        "close_reason": call.close_reason,
        "model": call.model,
        "engine": call.engine,
        "upstream": call.upstream,
        "input_tokens": call.prompt_tokens,
        "output_tokens": call.completion_tokens,
        "image_tokens": call.image_tokens,
        "amount": amount(call.charged_nano),
        "first_token_ms": call.first_token_ms,
        "duration_ms": call.duration_ms,
        "rules": call.rules,
        "api_key_id": f"key_{call.api_key_id}" if call.api_key_id is not None else None,
        "user_id": call.user_id,
        "user_id_source": call.user_id_source,
        "app_source": call.app_source,
        "species": call.species,
    }


def _price_lines(call: Call) -> list[PriceLine]:
    if call.state != "settled":
        return []
    lines: list[PriceLine] = [
        {
            "item": item,
            "quantity": quantity,
            "unit_price": dollars(price),
            "amount": amount(quantity * price),
        }
        for item, quantity, price in (
            ("input_tokens", call.prompt_tokens, call.price_in_nano),
            ("output_tokens", call.completion_tokens, call.price_out_nano),
            ("units", call.units, call.price_unit_nano),
        )
        if quantity
    ]
    if call.overrun_nano:
        lines.append(
            {"item": "above_the_hold", "quantity": 1, "unit_price": None, "amount": amount(-call.overrun_nano)}
        )
    return lines


class UsageController(Controller):
    """What was used. Metadata, never content."""

    path = "/usage"
    tags = ["usage"]
    opt = {"scope": "usage"}

    @get("", opt={"query": UsageQuery, "also": ["text/csv"], "answer": UsagePage})
    async def usage(self, request: Request[Any, Any, Any], caller: GivenCaller, house: GivenHouse) -> Any:
        """Sums by hour, day or month of any time zone, and by what is asked for."""
        query = read_query(request, UsageQuery)
        page = await report(house.reports, caller.account_id, query)
        if query.format == "csv" or (query.format is None and "text/csv" in request.headers.get("accept", "")):
            more = {"x-next-page": page["next_page"]} if page["next_page"] is not None else {}
            return Response(csv_of(page), media_type="text/csv", headers=more)
        return page

    @get("/requests", opt={"query": CallsQuery})
    async def requests(
        self, request: Request[Any, Any, Any], caller: GivenCaller, house: GivenHouse
    ) -> Listed[CallShown]:
        """Closed calls, newest first."""
        query = read_query(request, CallsQuery)
        start, end = time_range(query.since, query.until, zone_named(query.tz), await house.reports.now())
        before = None
        if query.page is not None:
            moment, _, hex_id = query.page.partition("_")
            try:
                before = (from_microseconds(moment), UUID(hex=hex_id))
            except ValueError:
                raise bad_page() from None
        filters = Filters(
            model=_one(query.model),
            api_key_id=key_ids([query.api_key_id], "api_key_id") if query.api_key_id is not None else (),
            user_id=_one(query.user_id),
            app_source=_one(query.app_source),
        )
        calls, more = await house.reports.calls(
            caller.account_id, CallsQuestion(start, end, query.status, filters, query.limit, before)
        )
        last = f"{in_microseconds(calls[-1].created_at)}_{calls[-1].id.hex}" if more else None
        return {"object": "list", "data": [_call(call) for call in calls], "has_more": more, "next_page": last}

    @get("/{completion_id:str}")
    async def request(self, completion_id: FromPath[str], caller: GivenCaller, house: GivenHouse) -> CallDetail:
        """One closed call, with its price lines."""
        try:
            prefix, charge_id = completion_id[:9], UUID(hex=completion_id[9:])
        except ValueError:
            prefix, charge_id = "", UUID(int=0)
        if prefix != "chatcmpl-":
            raise NotFound("There is no such call; GET /v1/usage/requests lists those there are.")
        call = await house.reports.call(caller.account_id, charge_id)
        return {
            **_call(call),
            "closed_at": rfc3339(call.closed_at),
            "usage_source": call.usage_source,
            "hold": amount(call.hold_nano),
            "lines": _price_lines(call),
        }


def _one(value: str | None) -> tuple[str, ...]:
    return (value,) if value is not None else ()
