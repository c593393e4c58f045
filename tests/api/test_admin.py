"""`/v1/admin` over a real socket."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from app.accounts.key_rows import FIRST_KEY_SCOPES
from tests.api.conftest import Account, Service
from tests.api.test_keys import ask, bearer, refusal


async def operator_of(service: Service) -> Account:
    """An account whose key may do everything."""
    return await service.account(scopes=(*FIRST_KEY_SCOPES, "admin"))


async def credit(
    service: Service, operator: Account, account: str, amount: Any, key: str | None = "payment-1"
) -> httpx.Response:
    """Add money over HTTP."""
    headers = operator.headers | ({} if key is None else {"idempotency-key": key})
    path = f"/v1/admin/accounts/{account}/credits"
    return await service.client.post(path, headers=headers, json={"amount": amount})


async def test_a_customers_key_reaches_none_of_it(service: Service) -> None:
    account = await service.account()

    for method, path in (
        ("GET", "/accounts"),
        ("POST", "/accounts"),
        ("GET", "/accounts/acct_1000"),
        ("PATCH", "/accounts/acct_1000"),
        ("POST", "/accounts/acct_1000/credits"),
        ("GET", "/reconcile"),
    ):
        answer = await ask(service, account, method, f"/v1/admin{path}", None if method == "GET" else {})
        assert refusal(answer)[:2] == (403, "scope_missing"), path


async def test_a_new_account_can_ask_at_once_but_not_pay(service: Service) -> None:
    operator = await operator_of(service)

    made = await ask(service, operator, "POST", "/v1/admin/accounts", {"name": "Practice", "plan": "pro"})
    key = made.json()["key"]
    own = await service.client.get("/v1/key", headers=bearer(key["value"]))

    assert made.status_code == 201
    assert made.json()["account"]["plan"] == "pro"
    assert made.json()["account"]["balance"] == "0.000000000"
    assert own.json()["id"] == key["id"]
    assert "keys" in own.json()["scopes"]
    assert "admin" not in own.json()["scopes"]
    listed = (await ask(service, operator, "GET", "/v1/admin/accounts")).json()
    assert [account["id"] for account in listed["data"]] == [made.json()["account"]["id"], f"acct_{operator.id}"]
    one = await ask(service, operator, "GET", f"/v1/admin/accounts/{made.json()['account']['id']}")
    assert one.json() == made.json()["account"]


async def test_an_account_that_cannot_be_names_its_field(service: Service) -> None:
    operator = await operator_of(service)

    bodies: list[tuple[Any, str, str]] = [
        ({}, "missing_required_parameter", "name"),
        ({"name": "n", "plan": "internal"}, "invalid_value", "plan"),
        ({"name": "n", "plan": "gold"}, "invalid_value", "plan"),
        ({"name": "n", "jurisdiction": "XX"}, "invalid_value", "jurisdiction"),
        ({"name": " "}, "invalid_value", "name"),
        ({"name": "n", "credit": 5}, "unknown_parameter", "credit"),
    ]
    for body, code, param in bodies:
        made = await ask(service, operator, "POST", "/v1/admin/accounts", body)
        assert refusal(made) == (400, code, param), body
    assert len((await ask(service, operator, "GET", "/v1/admin/accounts")).json()["data"]) == 1


async def test_a_change_of_plan_is_kept_and_internal_is_not_given(service: Service) -> None:
    operator, account = await operator_of(service), await service.account(plan="free")
    path = f"/v1/admin/accounts/acct_{account.id}"

    assert (await ask(service, operator, "PATCH", path, {"plan": "ultra"})).json()["plan"] == "ultra"
    assert refusal(await ask(service, operator, "PATCH", path, {"plan": "internal"})) == (400, "invalid_value", "plan")


async def test_one_payment_sent_ten_times_at_once_is_added_once(service: Service) -> None:
    operator, account = await operator_of(service), await service.account(nano=0)

    answers = await asyncio.gather(*(credit(service, operator, f"acct_{account.id}", "12.5") for _ in range(10)))

    assert {answer.status_code for answer in answers} == {201}
    assert sum(answer.headers.get("idempotent-replayed") == "true" for answer in answers) == 9
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert answers[0].json()["amount"] == "12.500000000"
    shown = (await ask(service, operator, "GET", f"/v1/admin/accounts/acct_{account.id}")).json()
    assert shown["balance"] == shown["available"] == "12.500000000"


async def test_a_payments_id_with_another_amount_is_422(service: Service) -> None:
    operator, account = await operator_of(service), await service.account(nano=0)
    await credit(service, operator, f"acct_{account.id}", 1)

    assert refusal(await credit(service, operator, f"acct_{account.id}", 2))[:2] == (422, "idempotency_key_reused")


async def test_credit_needs_an_idempotency_key_and_an_account(service: Service) -> None:
    operator = await operator_of(service)
    own = f"acct_{operator.id}"

    assert refusal(await credit(service, operator, own, 1, None)) == (
        400,
        "missing_required_parameter",
        "Idempotency-Key",
    )
    assert refusal(await credit(service, operator, own, 1, "a b")) == (400, "invalid_value", "Idempotency-Key")
    assert refusal(await credit(service, operator, own, 1, "k" * 256)) == (400, "invalid_value", "Idempotency-Key")
    for missing in ("acct_999999", "acct_1", "acct_2", "key_1000", "acct_x"):
        assert refusal(await credit(service, operator, missing, 1))[:2] == (404, "not_found")


async def test_an_amount_that_cannot_be_is_refused(service: Service) -> None:
    operator = await operator_of(service)

    for amount in (0, -1, "0.0000000001", "1e9", "NaN", None, True, "ten", 1e300):
        told = refusal(await credit(service, operator, f"acct_{operator.id}", amount))
        assert told == (400, "invalid_value", "amount"), amount


async def test_the_books_add_up(service: Service) -> None:
    operator = await operator_of(service)
    await credit(service, operator, f"acct_{operator.id}", "0.000000001")

    answer = await ask(service, operator, "GET", "/v1/admin/reconcile")

    assert answer.json() == {"object": "reconciliation", "ok": True, "rows": []}
