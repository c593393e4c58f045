"""`/v1/usage` and `/v1/credits` over a real socket, after real calls."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.base.catalogue import CallFacts, Outcome, Quote
from app.base.messages import Caller
from tests.api.conftest import Account, Service


async def call(
    service: Service, account: Account, user: str = "ann", *, state: str = "settled", source: str = "app"
) -> str:
    """A call straight through the wallet: 10 tokens in, 5 out, 2 and 3 nano-dollars each."""
    caller = Caller(account.id, account.key_id, "internal", frozenset(), frozenset(), user, "header", source)
    facts = CallFacts("vetx-23", "builtin", None, account.key_id, user, "header", source, "dog", 4, 1)
    bill = await service.house.wallet.hold(caller, Quote(2, 3, 10, 8), facts)
    ending = Outcome(10, 5, "counted", "stop", 200, 150, 700, 1, ("rule-1",))
    if state == "settled":
        await service.house.wallet.settle(bill, ending)
    else:
        await service.house.wallet.void(bill, ending)
    return f"chatcmpl-{bill.charge_id.hex}"


async def get(service: Service, account: Account, path: str, **query: Any) -> Any:
    response = await service.client.get(path, params=query, headers=account.headers)
    assert response.status_code == 200, response.text
    return response.json()


async def test_usage_is_what_was_called(service: Service) -> None:
    account = await service.account()
    for user in ("ann", "ann", "bob"):
        await call(service, account, user)
    await call(service, account, state="voided")

    page = await get(service, account, "/v1/usage", group_by=["user_id", "api_key_id"], tz="Asia/Kathmandu")

    assert (page["object"], page["has_more"], page["next_page"], page["range"]["tz"]) == (
        "page",
        False,
        None,
        "Asia/Kathmandu",
    )
    assert 30 <= len(page["data"]) <= 31
    assert all(bucket["object"] == "bucket" for bucket in page["data"])
    today = page["data"][-1]
    assert today["start"].endswith("T00:00:00+05:45")
    assert today["start_time"] == datetime.fromisoformat(today["start"]).timestamp()
    ann, bob = (row for row in today["results"] if row["num_model_requests"])
    assert ann == {
        "object": "usage.completions.result",
        "input_tokens": 20,
        "output_tokens": 10,
        "input_image_tokens": 8,
        "num_model_requests": 2,
        "num_images": 2,
        "num_videos": 0,
        "num_aborted": 0,
        "num_failed": 1,
        "num_safety_interventions": 2,
        "p50_first_token_ms": 150,
        "p95_first_token_ms": 150,
        "amount": {"value": "0.000000070", "currency": "usd"},
        "model": None,
        "api_key_id": f"key_{account.key_id}",
        "user_id": "ann",
        "app_source": None,
        "species": None,
        "engine": None,
    }
    assert bob["num_model_requests"] == 1
    assert page["totals"]["num_model_requests"] == 3
    assert page["totals"]["amount"]["value"] == "0.000000105"


async def test_filters_narrow_and_may_be_repeated(service: Service) -> None:
    account = await service.account()
    for user in ("ann", "bob", "cy"):
        await call(service, account, user)

    page = await get(service, account, "/v1/usage", user_ids=["ann", "cy"], api_key_ids=f"key_{account.key_id}")
    none = await get(service, account, "/v1/usage", species="cat", models="vetx-23", app_sources="app")

    assert page["totals"]["num_model_requests"] == 2
    assert none["totals"]["num_model_requests"] == 0
    assert all(bucket["results"] == [] for bucket in none["data"])


async def test_pages_of_buckets_follow_each_other(service: Service) -> None:
    account = await service.account()
    query = {"from": "2026-01-01", "to": "2026-01-31", "tz": "Europe/Vienna", "limit": 20}

    first = await get(service, account, "/v1/usage", **query)
    second = await get(service, account, "/v1/usage", **query, page=first["next_page"])

    assert first["range"] == {"from": "2025-12-31T23:00:00Z", "to": "2026-01-31T23:00:00Z", "tz": "Europe/Vienna"}
    assert [len(first["data"]), len(second["data"])] == [20, 11]
    assert first["has_more"]
    assert not second["has_more"]
    assert first["data"][-1]["end_time"] == second["data"][0]["start_time"]


async def test_csv_is_no_formula(service: Service) -> None:
    account = await service.account()
    for user in ("=1+1", "@a", "-b", "+c", "plain"):
        await call(service, account, user)

    asked = await service.client.get("/v1/usage", params={"format": "csv", "group_by": "user_id"}, headers=account.headers)  # fmt: skip  # noqa: E501
    accepted = await service.client.get("/v1/usage", headers=account.headers | {"accept": "text/csv"})

    rows = list(csv.DictReader(io.StringIO(asked.text)))
    assert asked.headers["content-type"].startswith("text/csv")
    assert accepted.headers["content-type"].startswith("text/csv")
    assert {row["user_id"] for row in rows} == {"'=1+1", "'@a", "'-b", "'+c", "plain"}
    assert sum(Decimal(row["amount"]) for row in rows) == Decimal("0.000000175")


async def test_a_csv_that_goes_on_says_where(service: Service) -> None:
    account = await service.account()
    answer = await service.client.get("/v1/usage?format=csv&limit=1", headers=account.headers)
    assert answer.headers["x-next-page"].isdigit()


WRONG_QUERIES = [
    ("from=2026-01-01T00:00:00", "from"),
    ("to=2026-01-01T00:00", "to"),
    ("from=yesterday", "from"),
    ("from=2026-13-01", "from"),
    ("from=2026-01-01T25:00:00Z", "from"),
    ("from=0001-01-01", "from"),
    ("to=9999-12-31T23:59:59-12:00", "to"),
    ("from=20260101", "from"),
    ("from=2026-W01-1", "from"),
    ("from=2026-02-01&to=2026-01-01", "from"),
    ("to=1970-01-01T00:00Z&from=1970-01-01T00:00Z", "from"),
    ("from=", "from"),
    ("from=2026-01-01T00:00:00%2B99:00", "from"),
    ("tz=Mars/Base", "tz"),
    ("tz=../../etc/passwd", "tz"),
    ("tz=America", "tz"),
    ("tz=", "tz"),
    ("tz=" + "x" * 300, "tz"),
    ("bucket_width=1w", "bucket_width"),
    ("group_by=colour", "group_by[0]"),
    ("limit=0", "limit"),
    ("limit=1001", "limit"),
    ("limit=x", "limit"),
    ("page=nonsense", "page"),
    ("page=5", "page"),
    ("page=" + "9" * 18, "page"),
    ("page=" + "9" * 40, "page"),
    ("api_key_ids=17", "api_key_ids"),
    ("api_key_ids=key_" + "9" * 40, "api_key_ids"),
    ("format=xml", "format"),
    ("colour=red", "colour"),
]


async def test_a_wrong_query_names_its_field(service: Service) -> None:
    """One service for all of them: it takes a second to start."""
    account = await service.account()
    for query, param in WRONG_QUERIES:
        answer = await service.client.get(f"/v1/usage?{query}", headers=account.headers)
        assert (query, answer.status_code, answer.json()["error"]["param"]) == (query, 400, param)


async def test_dates_and_moments_mean_what_they_say(service: Service) -> None:
    account = await service.account()
    moments = {
        "2026-03-01T10:00:00Z": "2026-03-01T10:00:00Z",
        "2026-03-01t10:00z": "2026-03-01T10:00:00Z",
        "2026-03-01T10:00:00.5+02:00": "2026-03-01T08:00:00.500000Z",
        "2026-03-01T10:00:00 0200": "2026-03-01T08:00:00Z",
        "2026-03-01": "2026-02-28T18:15:00Z",
    }
    for written, meant in moments.items():
        page = await get(service, account, "/v1/usage", **{"from": written, "to": "2026-03-05", "tz": "Asia/Kathmandu"})
        assert page["range"]["from"] == meant
        assert page["range"]["to"] == "2026-03-05T18:15:00Z"


async def test_calls_are_listed_and_shown_without_their_words(service: Service) -> None:
    account = await service.account()
    ids = [await call(service, account), await call(service, account, "bob", state="voided")]

    first = await get(service, account, "/v1/usage/requests", limit=1)
    second = await get(service, account, "/v1/usage/requests", limit=1, page=first["next_page"])
    voided = await get(service, account, "/v1/usage/requests", status="voided", model="vetx-23", user_id="bob")
    one = await get(service, account, f"/v1/usage/{ids[0]}")

    assert [first["data"][0]["id"], second["data"][0]["id"]] == ids[::-1]
    assert (first["has_more"], second["has_more"], second["next_page"]) == (True, False, None)
    assert [row["id"] for row in voided["data"]] == [ids[1]]
    assert voided["data"][0]["amount"]["value"] == "0.000000000"
    shown = second["data"][0]
    assert {
        "status": "settled",
        "http_status": 200,
        "close_reason": "stop",
        "input_tokens": 10,
        "output_tokens": 5,
        "image_tokens": 4,
        "first_token_ms": 150,
        "duration_ms": 700,
        "rules": ["rule-1"],
        "user_id_source": "header",
    }.items() <= shown.items()
    assert shown.items() <= one.items()
    assert [(line["item"], line["quantity"], line["amount"]["value"]) for line in one["lines"]] == [
        ("input_tokens", 10, "0.000000020"),
        ("output_tokens", 5, "0.000000015"),
    ]
    assert (await get(service, account, f"/v1/usage/{ids[1]}"))["lines"] == []


async def test_price_lines_add_up_to_the_amount_even_above_the_hold(service: Service) -> None:
    account = await service.account()
    caller = Caller(account.id, account.key_id, "internal", frozenset(), frozenset(), "u", "account", "app")
    facts = CallFacts("vetx-23", "builtin", None, account.key_id, "u", "account", "app", None)
    bill = await service.house.wallet.hold(caller, Quote(2, 3, 10, 8), facts)
    await service.house.wallet.settle(bill, Outcome(10, 50, "upstream", "stop", 200))

    one = await get(service, account, f"/v1/usage/chatcmpl-{bill.charge_id.hex}")

    assert one["amount"]["value"] == "0.000000044"
    assert sum(Decimal(line["amount"]["value"]) for line in one["lines"]) == Decimal("0.000000044")


async def test_a_page_that_nobody_gave_is_refused(service: Service) -> None:
    account = await service.account()
    for path in ("usage/requests?page=x", "usage/requests?page=1_x", "credits/transactions?page=1_x"):
        answer = await service.client.get(f"/v1/{path}", headers=account.headers)
        assert (path, answer.status_code, answer.json()["error"]["param"]) == (path, 400, "page")
    answer = await service.client.get("/v1/credits/transactions?page=x_1", headers=account.headers)
    assert answer.json()["error"]["param"] == "page"


async def test_another_accounts_call_looks_like_none(service: Service) -> None:
    account, stranger = await service.account(), await service.account()
    id_ = await call(service, account)

    answers = [
        await service.client.get(f"/v1/usage/{path}", headers=stranger.headers)
        for path in (id_, "chatcmpl-" + "0" * 32, "chatcmpl-x", "job_" + "0" * 32, "x" * 500)
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert answers[0].json() == answers[1].json()
    assert (await get(service, stranger, "/v1/usage/requests"))["data"] == []


async def test_credits_after_a_call(service: Service) -> None:
    account = await service.account(nano=5_000_000_000)
    await call(service, account)

    found = await get(service, account, "/v1/credits")

    assert found == {
        "object": "credits",
        "currency": "usd",
        "balance": "4.999999965",
        "held": "0.000000000",
        "available": "4.999999965",
        "total_credits": "5.000000000",
        "total_used": "0.000000035",
        "low_balance_threshold": None,
        "data": {"total_credits": 5.0, "total_usage": 3.5e-08},
    }


async def test_the_ledger_lists_money_in_and_out(service: Service) -> None:
    account = await service.account(nano=5_000_000_000)
    id_ = await call(service, account)
    await call(service, account)

    newest = await get(service, account, "/v1/credits/transactions", limit=1)
    rest = await get(service, account, "/v1/credits/transactions", page=newest["next_page"])
    topups = await get(service, account, "/v1/credits/transactions", type="topup")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    later = await get(service, account, "/v1/credits/transactions", **{"from": tomorrow, "to": "2030-01-01"})

    assert [row["type"] for row in newest["data"] + rest["data"]] == ["charge", "charge", "topup"]
    assert rest["data"][0]["request_id"] == id_
    assert rest["data"][0]["amount"] == {"value": "-0.000000035", "currency": "usd"}
    assert [row["amount"]["value"] for row in topups["data"]] == ["5.000000000"]
    assert later["data"] == []


async def test_without_the_scope_nothing_is_shown(service: Service) -> None:
    account = await service.account(scopes=("chat",))
    for path in ("usage", "usage/requests", "usage/x", "credits", "credits/transactions"):
        answer = await service.client.get(f"/v1/{path}", headers=account.headers)
        assert (path, answer.status_code, answer.json()["error"]["code"]) == (path, 403, "scope_missing")
