"""`/v1/key` and `/v1/keys` over a real socket."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.conftest import Account, Service

FIELDS = {
    "id", "object", "name", "redacted_value", "created_at", "expires_at", "last_used_at", "disabled", "scopes",
    "allowed_models", "allowed_ips", "may_set_user_id", "memory_default", "limit", "limit_reset", "limit_remaining",
    "usage", "usage_daily", "usage_monthly",
}  # fmt: skip

BODIES_THAT_CANNOT_BE: list[tuple[Any, str, str | None]] = [
    ({"name": ""}, "invalid_value", "name"),
    ({"name": 7}, "invalid_value", "name"),
    ({"name": "a\x00b"}, "invalid_value", "name"),
    ({"scopes": ["chat", "root"]}, "invalid_value", "scopes[1]"),
    ({"scopes": []}, "invalid_value", "scopes"),
    ({"limit": -1}, "invalid_value", "limit"),
    ({"limit": "0.0000000001"}, "invalid_value", "limit"),
    ({"limit": "NaN"}, "invalid_value", "limit"),
    ({"limit": True}, "invalid_value", "limit"),
    ({"limit": 1e300}, "invalid_value", "limit"),
    ({"limit_reset": "daily"}, "invalid_value", "limit_reset"),
    ({"limit": 1, "limit_reset": "yearly"}, "invalid_value", "limit_reset"),
    ({"expires_at": "2030-01-01T00:00:00"}, "invalid_value", "expires_at"),
    ({"expires_at": "2030-01-01"}, "invalid_value", "expires_at"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "invalid_value", "expires_at"),
    ({"expires_at": "9999-12-31T23:59:59-14:00"}, "invalid_value", "expires_at"),
    ({"allowed_ips": ["10.0.0.0/8", "nowhere"]}, "invalid_value", "allowed_ips[1]"),
    ({"allowed_models": [7]}, "invalid_value", "allowed_models[0]"),
    ({"disabled": "yes"}, "invalid_value", "disabled"),
    ({"may_set_user_id": None}, "invalid_value", "may_set_user_id"),
    ({"colour": "red"}, "unknown_parameter", "colour"),
    ([], "invalid_value", None),
]


async def ask(service: Service, account: Account, method: str, path: str, body: Any = None) -> httpx.Response:
    """Call with the account's first key."""
    return await service.client.request(method, path, headers=account.headers, json=body)


def bearer(plain: str) -> dict[str, str]:
    return {"authorization": f"Bearer {plain}"}


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and param of an error answer."""
    error = answer.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    return answer.status_code, error["code"], error["param"]


async def test_a_new_key_has_every_field_and_shows_its_plain_text_once(service: Service) -> None:
    account = await service.account()

    made = await ask(service, account, "POST", "/v1/keys", {"name": "Front desk"})
    shown = await ask(service, account, "GET", f"/v1/keys/{made.json()['id']}")

    assert made.status_code == 201
    assert set(made.json()) == FIELDS | {"key"}
    assert re.fullmatch(r"vt_key_[0-9A-Za-z]{36}", made.json()["key"])
    assert shown.status_code == 200
    assert shown.json() == {name: value for name, value in made.json().items() if name != "key"}
    assert shown.json()["scopes"] == ["chat", "clinic", "images", "video", "memory", "usage"]
    assert shown.json()["usage"] == "0.000000000"
    assert (await service.client.get("/v1/key", headers=bearer(made.json()["key"]))).json()["id"] == shown.json()["id"]


async def test_a_key_shows_what_it_spent_and_what_its_limit_leaves(service: Service) -> None:
    account = await service.account()
    made = (await ask(service, account, "POST", "/v1/keys", {"limit": "2.5", "limit_reset": "monthly"})).json()
    before = (await ask(service, account, "GET", f"/v1/keys/{made['id']}")).json()

    answer = await service.client.post(
        "/v1/chat/completions",
        headers=bearer(made["key"]),
        json={"model": "vetx-23", "max_tokens": 20, "messages": [{"role": "user", "content": "My dog limps."}]},
    )
    assert answer.status_code == 200
    cost = answer.json()["usage"]["cost"]
    after = (await ask(service, account, "GET", f"/v1/keys/{made['id']}")).json()

    assert (before["limit"], before["limit_reset"], before["limit_remaining"]) == (
        "2.500000000",
        "monthly",
        "2.500000000",
    )
    assert cost > 0
    assert float(after["usage"]) == float(after["usage_daily"]) == float(after["usage_monthly"]) == pytest.approx(cost)
    assert float(after["limit_remaining"]) == pytest.approx(2.5 - cost)
    assert (await ask(service, account, "GET", "/v1/key")).json()["usage"] == "0.000000000", "it was not this key"


async def test_a_key_whose_limit_is_spent_is_402_and_the_account_is_not(service: Service) -> None:
    account = await service.account()
    made = (await ask(service, account, "POST", "/v1/keys", {"limit": 0})).json()
    body = {"model": "vetx-23", "messages": [{"role": "user", "content": "My dog limps."}]}

    limited = await service.client.post("/v1/chat/completions", headers=bearer(made["key"]), json=body)
    free = await service.client.post("/v1/chat/completions", headers=account.headers, json=body)

    assert refusal(limited)[:2] == (402, "key_limit_reached")
    assert free.status_code == 200


async def test_keys_are_listed_newest_first_page_by_page(service: Service) -> None:
    account = await service.account()
    made = [(await ask(service, account, "POST", "/v1/keys", {"name": f"k{n}"})).json()["id"] for n in range(4)]
    seen: list[str] = []
    page = ""
    for _ in range(10):
        answer = (await ask(service, account, "GET", f"/v1/keys?limit=2{page}")).json()
        seen.extend(key["id"] for key in answer["data"])
        assert answer["has_more"] is (answer["next_page"] is not None)
        if answer["next_page"] is None:
            break
        page = f"&page={answer['next_page']}"

    assert seen == [*made[::-1], f"key_{account.key_id}"]


async def test_a_change_is_kept_and_obeyed_at_once_by_this_worker(service: Service) -> None:
    account = await service.account()
    made = (await ask(service, account, "POST", "/v1/keys", {"name": "k"})).json()
    key = f"/v1/keys/{made['id']}"
    assert (await service.client.get("/v1/key", headers=bearer(made["key"]))).status_code == 200

    changed = await ask(service, account, "PATCH", key, {"disabled": True, "memory_default": "off", "limit": 1})
    refused = await service.client.get("/v1/key", headers=bearer(made["key"]))
    back = await ask(service, account, "PATCH", key, {"disabled": False, "limit": None})

    assert changed.status_code == 200
    assert (changed.json()["disabled"], changed.json()["memory_default"]) == (True, "off")
    assert (changed.json()["limit"], changed.json()["name"]) == ("1.000000000", "k")
    assert refusal(refused)[:2] == (401, "api_key_revoked")
    assert (back.json()["disabled"], back.json()["limit"], back.json()["limit_remaining"]) == (False, None, None)
    assert (await service.client.get("/v1/key", headers=bearer(made["key"]))).status_code == 200


async def test_a_rotated_key_and_its_successor_both_work_in_the_grace(service: Service) -> None:
    account = await service.account()
    made = (await ask(service, account, "POST", "/v1/keys", {"name": "k", "scopes": ["usage"]})).json()

    new = await ask(service, account, "POST", f"/v1/keys/{made['id']}/rotate", {"grace_period_seconds": 60})
    old = (await ask(service, account, "GET", f"/v1/keys/{made['id']}")).json()

    assert new.status_code == 201
    assert new.json()["scopes"] == ["usage"]
    assert new.json()["key"] != made["key"]
    assert datetime.fromisoformat(old["expires_at"]) < datetime.now(UTC) + timedelta(seconds=61)
    for plain in (made["key"], new.json()["key"]):
        assert (await service.client.get("/v1/key", headers=bearer(plain))).status_code == 200


async def test_rotating_without_a_grace_ends_the_old_key(service: Service) -> None:
    account = await service.account()
    made = (await ask(service, account, "POST", "/v1/keys", {"name": "k"})).json()

    new = await service.client.post(f"/v1/keys/{made['id']}/rotate", headers=account.headers)

    assert new.status_code == 201
    assert refusal(await service.client.get("/v1/key", headers=bearer(made["key"])))[:2] == (401, "api_key_revoked")


async def test_a_deleted_key_is_gone_and_refused(service: Service) -> None:
    account = await service.account()
    made = (await ask(service, account, "POST", "/v1/keys", {"name": "k"})).json()

    deleted = await ask(service, account, "DELETE", f"/v1/keys/{made['id']}")

    assert (deleted.status_code, deleted.json()["deleted"]) == (200, True)
    assert refusal(await ask(service, account, "GET", f"/v1/keys/{made['id']}")) == (404, "not_found", None)
    assert refusal(await service.client.get("/v1/key", headers=bearer(made["key"])))[:2] == (401, "api_key_revoked")


async def test_an_expired_key_says_so(service: Service) -> None:
    account = await service.account()
    soon = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
    made = (await ask(service, account, "POST", "/v1/keys", {"expires_at": soon})).json()
    time.sleep(0.35)  # noqa: ASYNC251

    assert refusal(await service.client.get("/v1/key", headers=bearer(made["key"])))[:2] == (401, "api_key_expired")


async def test_another_accounts_key_looks_like_a_missing_one(service: Service) -> None:
    account, other = await service.account(), await service.account()
    theirs = f"/v1/keys/key_{other.key_id}"
    for method, suffix, body in (
        ("GET", "", None), ("PATCH", "", {"name": "mine"}), ("DELETE", "", None), ("POST", "/rotate", {}),
    ):  # fmt: skip
        told = [
            (await ask(service, account, method, path + suffix, body)) for path in (theirs, "/v1/keys/key_999999999")
        ]
        assert told[0].status_code == told[1].status_code == 404
        assert told[0].json() == told[1].json()
    assert (await ask(service, other, "GET", "/v1/key")).json()["name"] == "First key"


async def test_an_id_that_cannot_be_one_is_a_missing_one(service: Service) -> None:
    account = await service.account()

    for key_id in ("key_", "key_x", "17", "acct_1", "key_-1", "key_" + "9" * 30, "key_%00", "key_١"):
        told = refusal(await ask(service, account, "GET", f"/v1/keys/{key_id}"))
        assert told[:2] == (404, "not_found"), key_id


async def test_keys_are_managed_with_the_scope_keys_only(service: Service) -> None:
    account = await service.account(scopes=("chat", "usage"))

    assert refusal(await ask(service, account, "GET", "/v1/keys"))[:2] == (403, "scope_missing")
    assert refusal(await ask(service, account, "POST", "/v1/keys", {"name": "k"}))[:2] == (403, "scope_missing")
    assert (await ask(service, account, "GET", "/v1/key")).status_code == 200, "about itself any key may ask"


async def test_http_never_grants_admin(service: Service) -> None:
    account = await service.account()
    operator = await service.account(scopes=("keys", "admin"))

    for who in (account, operator):
        answer = await ask(service, who, "POST", "/v1/keys", {"scopes": ["admin"]})
        assert refusal(answer)[:2] == (403, "scope_missing")


async def test_a_body_that_cannot_be_names_its_field(service: Service) -> None:
    account = await service.account()

    for body, code, param in BODIES_THAT_CANNOT_BE:
        made = await ask(service, account, "POST", "/v1/keys", body)
        assert refusal(made) == (400, code, param), body
        if body not in ([], {"scopes": []}):
            changed = await ask(service, account, "PATCH", f"/v1/keys/key_{account.key_id}", body)
            assert refusal(changed) == (400, code, param), body
    assert len((await ask(service, account, "GET", "/v1/keys")).json()["data"]) == 1


async def test_query_strings_refuse_what_they_do_not_know(service: Service) -> None:
    account = await service.account()

    for path, param in (("/v1/key?x=1", "x"), ("/v1/keys?colour=red", "colour")):
        assert refusal(await ask(service, account, "GET", path)) == (400, "unknown_parameter", param)
    for path, param in (("/v1/keys?limit=0", "limit"), ("/v1/keys?page=2", "page")):
        assert refusal(await ask(service, account, "GET", path)) == (400, "invalid_value", param)


async def test_without_a_key_of_ours_it_is_401(service: Service) -> None:
    headers: list[tuple[list[Any], str]] = [
        ([], "missing_api_key"),
        ([("authorization", "Basic dXNlcjpwYXNz")], "missing_api_key"),
        ([("authorization", "Bearer vt_key_short")], "invalid_api_key"),
        ([("authorization", "Bearer vt_key_é".encode())], "invalid_api_key"),
        ([("authorization", "Bearer a"), ("authorization", "Bearer b")], "invalid_api_key"),
    ]

    for sent, code in headers:
        answer = await service.client.get("/v1/key", headers=sent)
        assert refusal(answer)[:2] == (401, code), sent
        assert answer.json()["error"]["type"] == "authentication_error"


async def test_every_answer_after_the_key_carries_the_limit_and_the_twenty_first_call_is_429(service: Service) -> None:
    account = await service.account(plan="free")
    good = await ask(service, account, "GET", "/v1/key")
    bad = await ask(service, account, "GET", "/v1/keys/key_999999999")
    chats = [
        await service.client.post("/v1/chat/completions", headers=account.headers, json={"model": 7}) for _ in range(21)
    ]

    assert (good.headers["x-ratelimit-limit"], good.headers["x-ratelimit-remaining"]) == ("100", "99")
    assert (bad.status_code, bad.headers["x-ratelimit-remaining"]) == (404, "98")
    assert [answer.status_code for answer in chats] == [400] * 20 + [429], "refused bodies count"
    assert chats[19].headers["x-ratelimit-remaining-requests"] == "0"
    assert refusal(chats[20])[:2] == (429, "rate_limit_exceeded")
    assert 55 <= int(chats[20].headers["retry-after"]) <= 61
    assert chats[20].headers["x-ratelimit-limit"] == "20"
    assert abs(int(chats[20].headers["x-ratelimit-reset"]) - time.time() - int(chats[20].headers["retry-after"])) <= 1.5
    assert re.fullmatch(r"(1m\ds|\d+s)", chats[20].headers["x-ratelimit-reset-requests"])


async def test_the_plan_without_a_limit_sends_no_limit_headers(service: Service) -> None:
    account = await service.account(plan="internal")

    assert not [name for name in (await ask(service, account, "GET", "/v1/key")).headers if "ratelimit" in name]
