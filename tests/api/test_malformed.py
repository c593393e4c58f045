"""Over 300 requests that nobody should send: each is refused in the one envelope, naming its field; none is a 5xx."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

from app.accounts.key_rows import FIRST_KEY_SCOPES
from tests.api.conftest import Service

CHAT = "/v1/chat/completions"
USER = {"role": "user", "content": "hello"}
IMAGE = "messages[0].content[0].image_url.url"
Case = tuple[str, bytes, int, str | None]
SLOW_S = 3.0
"""Longer than any refusal takes, 28 MB of base64 and 100,000 brackets among them, on a busy machine too."""


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "vetx-23", "messages": [USER], **fields}


def encoded(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


def wrong_json() -> Iterator[Case]:
    for raw in (
        b"", b"{", b"}", b"[", b"[1,2", b'"', b"nul", b"{'model':1}", b'{"model":}', b'{"a":1,}', b"\x00", b"\xff\xfe",
        b'{"model":"\xff"}', b'{"model":"\\ud800"}', b"[" * 100_000, b'{"a":' * 50_000, b"1e999999", b"\xef\xbb\xbf{",
        b'{"model":"vetx-23","messages":[{"role":"user","content":"x"}]}garbage', b"-", b"NaN", b"//", b"<xml/>",
    ):  # fmt: skip
        yield f"json {raw[:20]!r}", raw, 400, None
    for raw in (b"null", b"1", b'"x"', b"[]", b"true", b"1.5", b"[{}]"):
        yield f"not an object {raw!r}", raw, 400, None


def wrong_types() -> Iterator[Case]:
    wrong: dict[str, list[Any]] = {
        "model": [None, 1, 1.5, True, [], {}, "", "x" * 300],
        "messages": [None, 1, "hi", {}, [], True],
        "stream": [1, "true", "yes", [], {}, 0.5],
        "temperature": ["0.7", -0.1, 2.1, 1e308, [], {}, True, "hot"],
        "max_tokens": [0, -1, 1.5, "10", 2**31, 2**70, [], {}, True],
        "max_completion_tokens": [0, -5, "1", 2**64, 1.25, []],
        "n": [0, 2, -1, "1", 1.5, []],
        "stop": [1, {}, True, [1], ["a"] * 5, [""], "", [None]],
        "top_p": [-0.1, 1.1, "1", [], True],
        "seed": ["1", 1.5, 2**63, -(2**63) - 1, []],
        "user": [1, [], {}, "x" * 600],
        "tools": [1, "x", {}, [1], [{}] * 200],
        "tool_choice": [1, [], 1.5, True],
        "parallel_tool_calls": [1, "x", []],
        "response_format": [1, "json", []],
        "logprobs": [1, "x", []],
        "top_logprobs": [-1, 21, "1", 1.5],
        "presence_penalty": [-2.1, 2.1, "1", []],
        "frequency_penalty": [-3, 3, "1", []],
        "metadata": [1, "x", [], {"a": 1}, {str(n): "x" for n in range(17)}],
        "stream_options": [1, "x", [], True],
        "vetx": [1, "x", [], True],
        "logit_bias": [1, "x", []],
    }
    for name, values in wrong.items():
        for value in values:
            yield f"{name}={str(value)[:30]}", encoded(body(**{name: value})), 400, name


def missing() -> Iterator[Case]:
    yield "no model", encoded({"messages": [USER]}), 400, "model"
    yield "no messages", encoded({"model": "vetx-23"}), 400, "messages"
    yield "nothing", b"{}", 400, "model"


def wrong_messages() -> Iterator[Case]:
    role, content = "messages[0].role", "messages[0].content"
    for value in (None, 1, "doctor", "User", "", [], {}):
        yield f"role={value}", encoded(body(messages=[{"role": value, "content": "x"}])), 400, role
    for value in (1, True, {}, 1.5):
        yield f"content={value}", encoded(body(messages=[{"role": "user", "content": value}])), 400, content
    for who in ("user", "system", "developer", "tool", "assistant"):
        yield f"{who} without content", encoded(body(messages=[{"role": who}])), 400, content
        yield f"{who} null content", encoded(body(messages=[{"role": who, "content": None}])), 400, content
    yield "no role", encoded(body(messages=[{"content": "x"}])), 400, role
    yield "tool without id", encoded(body(messages=[{"role": "tool", "content": "x"}])), 400, "messages[0].tool_call_id"
    for item in (1, "x", None, []):
        yield f"message={item}", encoded(body(messages=[item])), 400, "messages[0]"
        yield f"second message={item}", encoded(body(messages=[USER, item])), 400, "messages[1]"
    for number, name in enumerate([1, [], "x" * 65]):
        yield f"name {number}", encoded(body(messages=[{**USER, "name": name}])), 400, "messages[0].name"
    for value in (1, "x", {}, [1]):
        fields = body(messages=[{"role": "assistant", "content": "x", "tool_calls": value}])
        yield f"tool_calls={value}", encoded(fields), 400, "messages[0].tool_calls"
    yield "2,001 messages", encoded(body(messages=[USER] * 2001)), 400, "messages"


def wrong_parts() -> Iterator[Case]:
    for part, param in (
        (1, "messages[0].content[0]"),
        ("x", "messages[0].content[0]"),
        (None, "messages[0].content[0]"),
        ({}, "messages[0].content[0]"),
        ({"type": "text"}, "messages[0].content[0].text"),
        ({"type": "text", "text": 1}, "messages[0].content[0].text"),
        ({"type": "text", "text": None}, "messages[0].content[0].text"),
        ({"type": "image"}, "messages[0].content[0]"),
        ({"type": "input_audio", "input_audio": {}}, "messages[0].content[0]"),
        ({"type": "file", "file": {"file_id": "x"}}, "messages[0].content[0]"),
        ({"type": 1}, "messages[0].content[0]"),
        ({"type": "image_url"}, "messages[0].content[0].image_url"),
        ({"type": "image_url", "image_url": "data:"}, "messages[0].content[0].image_url"),
        ({"type": "image_url", "image_url": {}}, IMAGE),
        ({"type": "image_url", "image_url": {"url": 1}}, IMAGE),
        ({"type": "image_url", "image_url": {"url": None}}, IMAGE),
        ({"type": "image_url", "image_url": {"url": [], "detail": "low"}}, IMAGE),
    ):
        yield f"part {str(part)[:40]}", encoded(body(messages=[{"role": "user", "content": [part]}])), 400, param
    detail = {"type": "image_url", "image_url": {"url": "data:", "detail": "huge"}}
    yield (
        "detail",
        encoded(body(messages=[{"role": "user", "content": [detail]}])),
        400,
        IMAGE.replace("url.url", "url.detail"),
    )


def wrong_pictures() -> Iterator[Case]:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()
    for url in (
        "", "x", "http://127.0.0.1/x.png", "https://example.org/x.png", "file:///etc/passwd", "ftp://x", "data:",
        "data:,", "data:image/png", "data:image/png,abc", "data:image/png;base64", "data:image/png;base64,",
        "data:image/png;base64,@@@@", "data:image/png;base64,AAA", "data:image/png;base64,AAAA====",
        "data:image/png;base64,AA AA", "data:image/png;base64,AA\nAA", "data:image/png;base64,éé==",
        "data:image/svg+xml;base64,PHN2Zy8+", "data:image/bmp;base64,Qk0=", "data:text/plain;base64,eA==",
        "data:application/pdf;base64,JVBERg==", "data:IMAGE/TIFF;base64,SUkqAA==", "data:;base64,eA==",
        "data:image/jpeg;base64," + png, "data:image/png;base64," + png, "data:image/gif;base64,R0lGODlh",
        "data:image/webp;base64,UklGRgAAAABXRUJQ", "data:image/jpeg;base64,/9j/", "javascript:alert(1)",
        "data:image/png;base64," + "A" * 28_100_000,
    ):  # fmt: skip
        fields = body(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}])
        yield f"url {url[:40]}", encoded(fields), 400, IMAGE


def wrong_extension() -> Iterator[Case]:
    for name, values in {
        "audience": ["vet", 1, [], True],
        "jurisdiction": ["DE", "us", 1, []],
        "language": ["english please", 1, "", [], "e"],
        "memory": ["on", True, 1],
        "patient": [1, "dog", [], True],
        "patients": [1, {}, "dog", [1], [{}] * 21],
    }.items():
        for value in values:
            yield f"vetx.{name}={str(value)[:20]}", encoded(body(vetx={name: value})), 400, f"vetx.{name}"
    yield "vetx.x", encoded(body(vetx={"x": 1})), 400, "vetx.x"
    for name, value in (
        ("weight_kg", -1), ("weight_kg", "ten"), ("species", 1), ("weight", {"value": 1}), ("sex", "both"),
        ("age_months", -5), ("unknown", 1), ("conditions", "kidney"), ("weight", {"value": 1, "unit": "stones?"}),
    ):  # fmt: skip
        fields = body(vetx={"patient": {name: value}})
        yield f"patient {name}={value}", encoded(fields), 400, f"vetx.patient.{name}"
        fields = body(vetx={"patients": [{}, {name: value}]})
        yield f"second patient {name}={value}", encoded(fields), 400, f"vetx.patients[1].{name}"
    both = body(vetx={"patient": {"weight_kg": 1, "weight": {"value": 9, "unit": "kg"}}})
    yield "patient weighs two things", encoded(both), 400, "vetx.patient.weight_kg"
    both = body(vetx={"patient": {"species": "dog"}, "patients": [{"species": "cat"}]})
    yield "patient and patients", encoded(both), 400, "vetx.patients"


def cases() -> list[Case]:
    return [
        case
        for group in (
            wrong_json, wrong_types, missing, wrong_messages, wrong_parts, wrong_pictures, wrong_extension
        )
        for case in group()
    ]  # fmt: skip


QUERIES = [
    ("/v1/usage", name, value)
    for name, values in {
        "from": [
            "yesterday",
            "2026-13-01",
            "2026-01-01T00:00:00",
            "",
            "1",
            "2026-01-01T25:00:00Z",
            "0000-01-01",
            "\x00",
        ],
        "to": ["tomorrow", "2026-02-30", "2026-01-01T00:00:00", "-", "99999-01-01"],
        "bucket_width": ["1w", "1D", "", "0"],
        "tz": ["Mars/Phobos", "+01:00", "", "../../etc/passwd", "\x00", "UTC" * 200],
        "limit": ["0", "-1", "1001", "x", "1.5", ""],
        "group_by": ["password", "", "model,species"],
        "format": ["xml", ""],
        "nonsense": ["1"],
        "page": ["x", "-1", "%00"],
    }.items()
    for value in values
]
QUERIES += [
    (path, name, value)
    for path in ("/v1/usage/requests", "/v1/credits/transactions")
    for name, value in [
        ("from", "x"), ("to", "2026-01-01T00:00:00"), ("limit", "0"), ("page", "?"), ("nonsense", "1"),
    ]
]  # fmt: skip

ADDRESSES_WITHOUT_QUERY = (
    "/v1/models", "/v1/models/vetx-23", "/v1/credits", "/v1/key", "/v1/keys/key_1", "/v1/clinic/species",
    "/v1/clinic/drugs/meloxicam", "/v1/usage/chatcmpl-0", "/v1/admin/accounts/acct_1000", "/v1/admin/reconcile",
)  # fmt: skip
QUERIES += [(path, "nonsense", "1") for path in ADDRESSES_WITHOUT_QUERY]

NUMBER = {"value": 1, "unit": "mg/mL"}
OTHER_BODIES: list[tuple[str, str, Any, str | None]] = [
    *[
        ("POST", path, raw, None)
        for path in ("/v1/clinic/extract", "/v1/clinic/dose", "/v1/keys", "/v1/admin/accounts", "/v1/estimate")
        for raw in (b"", b"{", b"null", b"[]", b"[" * 100_000, b"\xff", b"1e999999", b'{"a":' * 50_000)
    ],
    *[("POST", f"/v1/clinic/{name}", {"nonsense": 1}, "nonsense") for name in ("dose", "exposure", "check")],
    ("POST", "/v1/clinic/extract", {}, "text"),
    ("POST", "/v1/clinic/extract", {"text": 1}, "text"),
    ("POST", "/v1/clinic/extract", {"text": "x" * 200_001}, "text"),
    ("POST", "/v1/clinic/extract", {"text": "x", "language": "x" * 40}, "language"),
    ("POST", "/v1/clinic/dose", {}, "drug"),
    ("POST", "/v1/clinic/dose", {"drug": ""}, "drug"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "patient": "dog"}, "patient"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "patient": {"weight_kg": 0}}, "patient.weight_kg"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "patient": {"weight_kg": "12"}}, "patient.weight_kg"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "patient": {"weight": NUMBER}}, "patient.weight.unit"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "patient": {"sex": "both"}}, "patient.sex"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "patient": {"birth_date": "2999-01-01"}}, "patient.birth_date"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "patient": {"birth_date": "soon"}}, "patient.birth_date"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "strength": {"value": 1, "unit": "furlong"}}, "strength.unit"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "strength": {"value": -1, "unit": "mg/mL"}}, "strength.value"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "jurisdiction": "DE"}, "jurisdiction"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "weight_basis": "mine"}, "weight_basis"),
    ("POST", "/v1/clinic/dose", {"drug": "meloxicam", "tablet_strengths_mg": [0]}, "tablet_strengths_mg[0]"),
    ("POST", "/v1/clinic/exposure", {}, "substance"),
    ("POST", "/v1/clinic/exposure", {"substance": "chocolate", "amount": "much"}, "amount"),
    ("POST", "/v1/clinic/exposure", {"substance": "chocolate", "amount": {"value": -1}}, "amount.value"),
    ("POST", "/v1/clinic/exposure", {"substance": "chocolate", "hours_ago": -1}, "hours_ago"),
    ("POST", "/v1/clinic/exposure", {"exposures": [{}]}, "exposures[0].substance"),
    ("POST", "/v1/clinic/exposure", {"exposures": [{"substance": "x"}] * 101}, "exposures"),
    ("POST", "/v1/clinic/check", {}, "drugs"),
    ("POST", "/v1/clinic/check", {"drugs": "meloxicam"}, "drugs"),
    ("POST", "/v1/clinic/check", {"drugs": [1]}, "drugs[0]"),
    ("POST", "/v1/clinic/check", {"drugs": ["x"] * 201}, "drugs"),
    ("POST", "/v1/keys", {"name": 1}, "name"),
    ("POST", "/v1/keys", {"name": "x" * 1000}, "name"),
    ("POST", "/v1/keys", {"name": "a\x00b"}, "name"),
    ("POST", "/v1/keys", {"scopes": []}, "scopes"),
    ("POST", "/v1/keys", {"scopes": ["root"]}, "scopes[0]"),
    ("POST", "/v1/keys", {"allowed_ips": ["localhost"]}, "allowed_ips"),
    ("POST", "/v1/keys", {"allowed_models": [""]}, "allowed_models[0]"),
    ("POST", "/v1/keys", {"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
    ("POST", "/v1/keys", {"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
    ("POST", "/v1/keys", {"expires_at": "soon"}, "expires_at"),
    ("POST", "/v1/keys", {"limit": -1}, "limit"),
    ("POST", "/v1/keys", {"limit": "0.0000000001"}, "limit"),
    ("POST", "/v1/keys", {"limit": "NaN"}, "limit"),
    ("POST", "/v1/keys", {"limit_reset": "yearly", "limit": 1}, "limit_reset"),
    ("POST", "/v1/keys", {"disabled": "no"}, "disabled"),
    ("POST", "/v1/keys", {"key": "mine"}, "key"),
    ("PATCH", "/v1/keys/key_1", {"memory_default": "on"}, "memory_default"),
    ("PATCH", "/v1/keys/key_1", {"nonsense": 1}, "nonsense"),
    ("POST", "/v1/keys/key_1/rotate", {"grace_period_seconds": -1}, "grace_period_seconds"),
    ("POST", "/v1/keys/key_1/rotate", {"grace_period_seconds": 2**40}, "grace_period_seconds"),
    ("POST", "/v1/admin/accounts", {}, "name"),
    ("POST", "/v1/admin/accounts", {"name": ""}, "name"),
    ("POST", "/v1/admin/accounts", {"name": "a\x00b"}, "name"),
    ("POST", "/v1/admin/accounts", {"name": "x", "plan": "gold"}, "plan"),
    ("POST", "/v1/admin/accounts", {"name": "x", "plan": "internal"}, "plan"),
    ("POST", "/v1/admin/accounts", {"name": "x", "jurisdiction": "DE"}, "jurisdiction"),
    ("PATCH", "/v1/admin/accounts/acct_1000", {"plan": None}, "plan"),
    ("POST", "/v1/admin/accounts/acct_1000/credits", {"amount": "1"}, "Idempotency-Key"),
    ("POST", "/v1/estimate", {"model": "vetx-23"}, "messages"),
    ("POST", "/v1/estimate", body(vetx={"patient": {"sex": "both"}}), "vetx.patient.sex"),
    ("POST", CHAT + "?nonsense=1", body(), "nonsense"),
    ("POST", "/v1/estimate?nonsense=1", body(), "nonsense"),
    ("POST", "/v1/clinic/extract?nonsense=1", {"text": "x"}, "nonsense"),
    ("POST", "/v1/keys?nonsense=1", {}, "nonsense"),
]

HEADERS: list[tuple[str, dict[str, str], int]] = [
    ("no key", {}, 401),
    ("empty", {"authorization": ""}, 401),
    ("basic", {"authorization": "Basic dXNlcjpwYXNz"}, 401),
    ("bearer alone", {"authorization": "Bearer"}, 401),
    ("another's", {"authorization": "Bearer sk-abcdef"}, 401),
    ("wrong checksum", {"authorization": "Bearer vt_key_" + "a" * 36}, 401),
    ("too long", {"authorization": "Bearer vt_key_" + "a" * 4000}, 401),
    ("high bytes", {"authorization": "Bearer vt_key_é"}, 401),
]


async def test_each_malformed_body_is_refused_naming_its_field(service: Service) -> None:
    account = await service.account()
    everything = cases()

    wrong = []
    for label, raw, status, param in everything:
        began = time.monotonic()
        response = await service.client.post(
            CHAT, content=raw, headers={**account.headers, "content-type": "application/json"}
        )
        problem = problem_with(response, status, param)
        if problem is None and (took_s := time.monotonic() - began) > SLOW_S:
            problem = f"refused after {took_s:.1f} s"
        if problem:
            wrong.append(f"{label}: {problem}")

    assert len(everything) >= 250
    assert not wrong, "\n".join(wrong)
    assert (await service.house.wallet.balance(account.id)).held_nano == 0


def problem_with(response: Any, status: int, param: str | None) -> str | None:
    """What is wrong with a refusal, or None."""
    if response.status_code != status:
        return f"status {response.status_code}, not {status}: {response.text[:200]}"
    error = response.json()["error"]
    if not {"message", "type", "param", "code"} <= set(error) or not error["message"]:
        return f"envelope {error}"
    if param is not None and not str(error["param"] or "").startswith(param):
        return f"param {error['param']}, not {param}: {error['message']}"
    if not response.headers.get("x-request-id", "").startswith("req_"):
        return "no x-request-id"
    return None


async def test_each_malformed_body_of_the_other_addresses_is_refused_naming_its_field(service: Service) -> None:
    account = await service.account(scopes=(*FIRST_KEY_SCOPES, "admin"))

    wrong = []
    for method, path, sent, param in OTHER_BODIES:
        raw = sent if isinstance(sent, bytes) else encoded(sent)
        response = await service.client.request(
            method, path, content=raw, headers={**account.headers, "content-type": "application/json"}
        )
        problem = problem_with(response, 400, param)
        if problem:
            wrong.append(f"{method} {path} {raw[:60]!r}: {problem}")

    assert not wrong, "\n".join(wrong)


async def test_each_malformed_query_is_refused_naming_its_field(service: Service) -> None:
    account = await service.account()

    wrong = []
    for path, name, value in QUERIES:
        response = await service.client.get(path, params={name: value}, headers=account.headers)
        problem = problem_with(response, 400, name)
        if problem:
            wrong.append(f"{path}?{name}={value[:30]}: {problem}")

    assert not wrong, "\n".join(wrong)


async def test_each_request_without_a_good_key_is_401(service: Service) -> None:
    wrong = []
    for label, headers, status in HEADERS:
        encoded_headers = {name: value.encode("latin-1") for name, value in headers.items()}
        response = await service.client.post(CHAT, json=body(), headers=encoded_headers)  # type: ignore[arg-type]
        problem = problem_with(response, status, None)
        if problem or response.json()["error"]["type"] != "authentication_error":
            wrong.append(f"{label}: {problem}")

    assert not wrong, "\n".join(wrong)


async def test_wrong_addresses_methods_and_types_have_their_own_status(service: Service) -> None:
    account = await service.account()

    async def ask(method: str, path: str, **more: Any) -> tuple[int, str]:
        response = await service.client.request(
            method, path, headers={**account.headers, **more.pop("headers", {})}, **more
        )
        return response.status_code, response.json()["error"]["code"]

    assert await ask("GET", "/v1/nothing") == (404, "not_found")
    assert await ask("GET", "/nothing") == (404, "not_found")
    assert await ask("DELETE", CHAT) == (405, "method_not_allowed")
    assert await ask("GET", CHAT) == (405, "method_not_allowed")
    assert await ask("POST", CHAT, content=b"x", headers={"content-type": "text/plain"}) == (
        415,
        "unsupported_media_type",
    )
    assert await ask("POST", CHAT, json=body(model="gpt-4o")) == (404, "model_not_found")
    assert await ask("GET", "/v1/models/nothing") == (404, "model_not_found")
    assert await ask("GET", "/v1/usage/chatcmpl-0") == (404, "not_found")
    assert await ask("GET", "/v1/usage/chatcmpl-" + "0" * 32) == (404, "not_found")
    assert await ask("GET", "/v1/keys/key_999999") == (404, "not_found")
    assert await ask("POST", CHAT, json=body(), headers={"idempotency-key": "x" * 256}) == (400, "invalid_value")
    assert (await ask("GET", "/v1/admin/accounts"))[0] == 403


async def test_a_body_over_64_mib_is_413(service: Service) -> None:
    account = await service.account()
    response = await service.client.post(
        CHAT, content=b"x" * (64 * 1024 * 1024 + 1), headers={**account.headers, "content-type": "application/json"}
    )

    assert problem_with(response, 413, None) is None, response.text
