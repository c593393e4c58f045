"""HTTP itself: methods, preflights, media types, chunked and oversized bodies, bytes that are no request."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

from tests.api.conftest import Account, Service

CHAT = "/v1/chat/completions"
BODY = {"model": "vetx-23", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8}
RAW = json.dumps(BODY).encode()
PREFLIGHT = {
    "origin": "https://clinic.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}
MIB = 1024 * 1024


class Wire:
    """A connection that sends bytes as they are."""

    def __init__(self, service: Service) -> None:
        self._address = urlsplit(service.url)

    async def __aenter__(self) -> Wire:
        self.reader, self.writer = await asyncio.open_connection(self._address.hostname, self._address.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next response that has a length."""
        async with asyncio.timeout(10):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return int(first.split()[1]), headers, body


def head_of(account: Account | None, *lines: str, method: str = "POST", path: str = CHAT) -> bytes:
    """A request line and headers."""
    key = [f"Authorization: Bearer {account.key}"] if account else []
    all_lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *key, *lines]
    return ("\r\n".join(all_lines) + "\r\n\r\n").encode("latin-1")


async def test_a_preflight_is_204_without_a_key_and_allows_no_origin(service: Service) -> None:
    for path in (CHAT, "/v1/models", "/v1/keys/key_1", "/v1/nothing", "/nothing"):
        response = await service.client.options(path, headers=PREFLIGHT)

        assert response.status_code == 204
        assert not response.content
        assert not [name for name in response.headers if name.startswith("access-control-")]
        assert response.headers["x-request-id"].startswith("req_")


async def test_no_answer_lets_another_origin_read_it(service: Service) -> None:
    account = await service.account()
    for path in ("/v1/models", "/schema/openapi.json", "/health/ready", "/nothing"):
        response = await service.client.get(path, headers={**account.headers, "origin": "https://clinic.example"})

        assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_options_and_405_say_which_methods_an_address_takes(service: Service) -> None:
    for path, allowed in (
        (CHAT, "OPTIONS, POST"),
        ("/v1/models/some/model", "GET, HEAD, OPTIONS"),
        ("/v1/keys/key_1", "DELETE, GET, HEAD, OPTIONS, PATCH"),
        ("/health/live", "GET, HEAD, OPTIONS"),
    ):
        options = await service.client.options(path)
        wrong = await service.client.put(path)

        assert (options.status_code, options.headers["allow"]) == (204, allowed)
        assert (wrong.status_code, wrong.headers["allow"]) == (405, allowed)
        assert wrong.json()["error"]["code"] == "method_not_allowed"
    assert (await service.client.options("/nothing")).status_code == 404


async def test_head_is_get_without_its_body(service: Service) -> None:
    account = await service.account()
    for path in ("/health/live", "/v1/models", "/schema/openapi.json", "/v1/nothing"):
        whole = await service.client.get(path, headers=account.headers)
        head = await service.client.head(path, headers=account.headers)

        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers["content-length"] == whole.headers["content-length"]
    assert (await service.client.head(CHAT, headers=account.headers)).status_code == 405
    assert (await service.client.head("/v1/models")).status_code == 401


async def test_a_body_is_json_or_415(service: Service) -> None:
    account = await service.account()

    async def status(*lines: str, body: bytes = RAW) -> int:
        key = f"Authorization: Bearer {account.key}"
        head = "\r\n".join([f"POST {CHAT} HTTP/1.1", "Host: x", key, f"Content-Length: {len(body)}", *lines])
        async with Wire(service) as wire:
            await wire.send(head.encode("latin-1") + b"\r\n\r\n" + body)
            return (await wire.answer())[0]

    assert await status() == 200
    assert await status("Content-Type: Application/JSON; Charset=UTF-8") == 200
    assert await status("Content-Type: application/vnd.clinic+json") == 200
    assert await status("Content-Type: application/json", "Content-Encoding: identity") == 200
    assert await status("Content-Type: application/json", "Content-Encoding: gzip") == 415
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "\xff;;=",
        "json",
    ):
        assert await status(f"Content-Type: {kind}") == 415


async def test_a_chunked_body_is_read_and_a_broken_one_is_400(service: Service) -> None:
    account = await service.account()
    async with Wire(service) as wire:
        await wire.send(head_of(account, "Transfer-Encoding: chunked"))
        for piece in (RAW[:7], RAW[7:]):
            await wire.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        await wire.send(b"0\r\n\r\n")
        assert (await wire.answer())[0] == 200
        await wire.send(head_of(account, "Transfer-Encoding: chunked") + b"zz\r\n")
        assert (await wire.answer())[0] == 400


async def test_bytes_that_are_no_request_are_400_in_the_one_envelope(service: Service) -> None:
    for data in (
        b"\x16\x03\x01\x02\r\n\r\n",
        b"BREW /v1/models HTTP/1.1\r\n\r\n",
        b"GET /v1/models HTTP/9.9\r\n\r\n",
        b"GET /v1/models/\xe9 HTTP/1.1\r\n\r\n",
        head_of(None, "Content-Length: -3"),
        head_of(None, "Content-Length: 3", "Content-Length: 4"),
        head_of(None, "Transfer-Encoding: chunked", "Content-Length: 3"),
        head_of(None, "Content-Length: " + "9" * 30),
        b"GET /health/live HTTP/1.1\r\nX: " + b"a" * 600_000,
    ):
        async with Wire(service) as wire:
            await wire.send(data)
            status, headers, body = await wire.answer()

            assert status == 400, data[:60]
            assert {"message", "type", "param", "code"} == set(json.loads(body)["error"])
            assert headers["x-request-id"].startswith("req_")
            assert headers["connection"] == "close"


async def test_a_declared_length_over_64_mib_is_413_before_a_byte_of_it(service: Service) -> None:
    account = await service.account()
    for lines in (["Content-Length: 67108865"], ["Content-Length: 70000000", "Expect: 100-continue"]):
        async with Wire(service) as wire:
            await wire.send(head_of(account, *lines))
            status, headers, body = await wire.answer()

            assert (status, json.loads(body)["error"]["code"]) == (413, "request_too_large")
            assert headers["x-request-id"].startswith("req_")
            assert headers["x-should-retry"] == "false"


async def test_an_undeclared_length_over_64_mib_is_413_while_it_is_still_coming(service: Service) -> None:
    account = await service.account()
    async with Wire(service) as wire:
        await wire.send(head_of(account, "Transfer-Encoding: chunked"))
        for _ in range(66):
            await wire.send(b"%x\r\n%s\r\n" % (MIB, b" " * MIB))
        status, _, body = await wire.answer()

        assert (status, json.loads(body)["error"]["code"]) == (413, "request_too_large")


async def test_without_a_key_nothing_of_a_large_body_is_waited_for(service: Service) -> None:
    async with Wire(service) as wire:
        await wire.send(head_of(None, "Content-Length: 60000000"))

        assert (await wire.answer())[0] == 401


async def test_paths_with_odd_characters_are_answered_like_any_unknown_one(service: Service) -> None:
    account = await service.account()
    for path in (
        "/v1/models/%00", "/v1/models/%zz", "/v1/models/%ff%fe", "/v1/models/..%2f..", "/v1/models/" + "a" * 9000,
        "/v1/keys/key_%00", "/v1/keys/key_%D9%A1", "/v1/usage/chatcmpl-%00", "/v1/clinic/drugs/%00",
        "/v1/admin/accounts/%F0%9F%90%B6", "/v1/../health/live", "*",
    ):  # fmt: skip
        async with Wire(service) as wire:
            await wire.send(head_of(account, method="GET", path=path))
            status, _, body = await wire.answer()

            assert status in (403, 404), path
            assert json.loads(body)["error"]["type"] in ("invalid_request_error", "permission_error")


async def test_every_answer_has_a_request_id_of_its_own_and_echoes_a_decent_one_of_the_client(service: Service) -> None:
    account = await service.account()
    seen = set()
    for path in ("/v1/models", "/v1/nothing", "/nothing", "/health/live", "/schema", "/v1/keys/key_999"):
        response = await service.client.get(path, headers={**account.headers, "x-client-request-id": "visit-17"})
        seen.add(response.headers["x-request-id"])

        assert response.headers["x-client-request-id"] == "visit-17"
    assert len(seen) == 6
    for theirs in ("x" * 129, "a b", "é", ""):
        response = await service.client.get("/health/live", headers={"x-client-request-id": theirs.encode()})  # type: ignore[dict-item]
        assert "x-client-request-id" not in response.headers


async def test_refusals_say_whether_a_retry_can_help(service: Service) -> None:
    account = await service.account(nano=0)
    free = await service.account(plan="free")

    async def headers(method: str, path: str, **more: Any) -> tuple[int, str | None, str | None]:
        response = await service.client.request(method, path, **more)
        return response.status_code, response.headers.get("x-should-retry"), response.headers.get("retry-after")

    assert await headers("GET", "/v1/nothing") == (404, "false", None)
    assert await headers("GET", "/v1/models") == (401, "false", None)
    assert await headers("POST", CHAT, json={}, headers=account.headers) == (400, "false", None)
    assert await headers("POST", CHAT, json=BODY, headers=account.headers) == (402, "false", None)
    for _ in range(20):
        await service.client.post(CHAT, json={}, headers=free.headers)
    status, retry, after = await headers("POST", CHAT, json=BODY, headers=free.headers)
    assert (status, retry) == (429, None)
    assert 1 <= int(after or 0) <= 61
