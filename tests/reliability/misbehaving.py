"""Hundreds of ways in which an upstream goes wrong, each with what a client may be told and what may be charged."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from tests.engines.upstreams import DONE, ROLE, STOP, Behaviour, Exchange, event, whole, words

SECRET = "the-upstreams-own-words"
HANG_S = 0.6
"""The time-outs of the catalogue below."""
CATALOGUE = """
[[upstream]]
id = "main"
url = "{url}"
connect_timeout_s = 1.0
first_token_timeout_s = 0.6
idle_timeout_s = 0.6

[[upstream]]
id = "closed"
url = "http://127.0.0.1:CLOSED/v1"
connect_timeout_s = 1.0

[[upstream]]
id = "full"
url = "http://127.0.0.1:FULL/v1"
connect_timeout_s = 0.5
""" + "".join(
    f"""
[[model]]
id = "{name}"
engine = "upstream"
upstream = "{name}"
upstream_model = "plain"
input_nano_per_token = 8320
output_nano_per_token = 8320
context_tokens = 128_000
output_tokens_max = 16_384
output_tokens_default = 4_096
"""
    for name in ("closed", "full")
)

Ending = Literal["whole", "nothing", "either"]
"""The answer was whole (it must be answered and charged), was not (an error, free), or can be seen both ways."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to go wrong.

    Attributes:
        name: also the question that the upstream knows the case by.
        stream: whether the client streams.
    """

    name: str
    behave: Behaviour | None
    stream: bool
    ending: Ending = "nothing"
    model: str = "vetx-23"


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """An HTTP chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


RECORDED = HEAD + b"".join(map(chunk, (ROLE, words("Hello"), words(" there."), STOP, DONE))) + b"0\r\n\r\n"
FINISHED_AT = RECORDED.index(STOP) + len(STOP)
"""From here on the answer was whole, only its goodbye was missing."""


def _json(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


RECORDED_WHOLE = _json(whole("Hello there."))


def saying(
    data: bytes, *, then: Literal["close", "reset", "stay", "serve"] = "close", pace_s: float = 0.0
) -> Behaviour:
    """Write these bytes, at once or one by one; then close, reset, stay silent, or serve the next request."""

    async def behave(exchange: Exchange) -> None:
        if pace_s:
            for at in range(len(data)):
                await exchange.send(data[at : at + 1])
                await asyncio.sleep(pace_s)
        elif data:
            await exchange.send(data)
        if then == "serve":
            return
        if then == "reset":
            await asyncio.sleep(0.02)  # a reset discards what has not been read
            exchange.reset()
        elif then == "close":
            exchange.writer.close()
        await exchange.reader.read()
        raise ConnectionResetError

    return behave


def cases(seed: int = 7) -> Iterator[Case]:
    """All of them."""
    yield from _cuts()
    yield from _statuses()
    yield from _hangs()
    yield from _garbage(random.Random(seed))
    yield from _kinds()
    for stream in (True, False):
        for model in ("closed", "full"):
            for number in range(3):
                yield Case(f"{model} {stream} {number}", None, stream, model=model)


def _cuts() -> Iterator[Case]:
    """A recorded stream cut before every byte, closed and reset in turn; a whole answer at every third."""
    for at in range(len(RECORDED)):
        ending: Ending = "nothing" if at < FINISHED_AT - 1 else "either" if at < FINISHED_AT + 2 else "whole"
        yield Case(f"cut {at}", saying(RECORDED[:at], then="reset" if at % 2 else "close"), True, ending)
    for at in range(0, len(RECORDED_WHOLE), 3):
        yield Case(f"cut whole {at}", saying(RECORDED_WHOLE[:at], then="reset" if at % 2 else "close"), False)


def _statuses() -> Iterator[Case]:
    body = json.dumps({"error": {"message": SECRET, "type": SECRET}}).encode()
    for status in (201, 204, 301, 304, 400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529):
        for stream in (True, False):
            head = f"HTTP/1.1 {status} {SECRET}\r\nContent-Type: application/json\r\nRetry-After: 3\r\n"
            bare = status in (204, 304)
            said = head.encode() + (b"\r\n" if bare else b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            yield Case(f"status {status} {stream}", saying(said), stream)


def _hangs() -> Iterator[Case]:
    some = HEAD + chunk(ROLE) + chunk(words("Hello"))
    for number, stream in enumerate((True, False) * 2):
        yield Case(f"hang before the head {number}", saying(b"", then="stay"), stream)
        half = saying(b"HTTP/1.1 200 OK\r\nContent-", then="stay")
        yield Case(f"hang in the head {number}", half, stream)
    for number in range(3):
        yield Case(f"hang after the head {number}", saying(HEAD, then="stay"), True)
        yield Case(f"hang after some words {number}", saying(some, then="stay"), True)
        yield Case(f"hang in an event {number}", saying(some + b"50\r\ndata: {", then="stay"), True)
        said = saying(RECORDED_WHOLE[:-4], then="stay")
        yield Case(f"hang in a whole answer {number}", said, False)
        reset = saying(some, then="reset")
        yield Case(f"reset after some words {number}", reset, True)
        yield Case(f"reset at once {number}", saying(b"", then="reset"), bool(number % 2))
    for pace_s in (1e-6, 5e-4):
        yield Case(f"drip {pace_s}", saying(RECORDED, pace_s=pace_s, then="serve"), True, "whole")
        yield Case(f"drip whole {pace_s}", saying(RECORDED_WHOLE, pace_s=pace_s), False, "either")
    yield Case("drip the head for ever", saying(HEAD * 3, pace_s=0.1), True)


def _garbage(chance: random.Random) -> Iterator[Case]:
    for number in range(12):
        noise = chance.randbytes(400)
        yield Case(f"noise for http {number}", saying(noise), bool(number % 2))
        yield Case(f"noise for events {number}", saying(HEAD + chunk(noise)), True)
        after = HEAD + chunk(ROLE + words("Hello")) + chunk(b"data: " + noise.replace(b"\n", b"") + b"\n\n")
        yield Case(f"noise after words {number}", saying(after), True)
        yield Case(f"noise for json {number}", saying(_json(noise)), False)
    shapes: list[bytes] = [
        b"{}", b"[]", b"null", b"7", b'""', b"{", b"\xff\xfe", b'{"choices":5}', b'{"choices":{}}', b'{"choices":[7]}',
        b'{"choices":[{"delta":7}]}', b'{"choices":[{"delta":{"content":7}}]}', b'{"error":{"message":"SECRET"}}',
        b'{"choices":[{"index":3,"delta":{"content":"x"}}]}', b"[" * 5_000, b'{"a":' * 5_000, b'{"object":"error"}',
        b'{"choices":[{"delta":{"function_call":{"name":"x"}}}]}', b'{"choices":[{"finish_reason":7}]}',
        b'{"choices":[{"delta":{"tool_calls":7}}]}', b'{"choices":[{"delta":{"content":"\\ud800"}}]}',
    ]  # fmt: skip
    for number, shape in enumerate(shapes):
        said = shape.replace(b"SECRET", SECRET.encode())
        yield Case(f"shape {number}", saying(HEAD + chunk(ROLE) + chunk(event(said))), True)
        yield Case(f"shape after words {number}", saying(HEAD + chunk(words("Hello")) + chunk(event(said))), True)
        yield Case(f"shape whole {number}", saying(_json(said)), False)
    named = b"event: error\ndata: " + SECRET.encode() + b"\n\n"
    yield Case("an event named error", saying(HEAD + chunk(named)), True)
    yield Case("an event named error after words", saying(HEAD + chunk(words("Hello")) + chunk(named)), True)
    yield Case("a wrong chunk size", saying(HEAD + b"zz\r\nhello"), True)
    yield Case("a wrong chunk size after words", saying(HEAD + chunk(words("Hello")) + b"-1\r\nhello"), True)
    yield Case("nothing but done", saying(HEAD + chunk(DONE) + b"0\r\n\r\n"), True)
    yield Case("an empty answer", saying(_json(whole(""))), False)
    yield Case("only comments", saying(HEAD + chunk(b": hello\n\n" * 20) + b"0\r\n\r\n"), True)


def _kinds() -> Iterator[Case]:
    """Wrong content types, and things that are too large."""
    for kind in ("text/html", "text/plain", "application/octet-stream", "image/png", ""):
        for stream in (True, False):
            line = f"Content-Type: {kind}\r\n" if kind else ""
            said = f"HTTP/1.1 200 OK\r\n{line}Content-Length: 23\r\n\r\n{SECRET}".encode()
            yield Case(f"type {kind} {stream}", saying(said), stream)
    yield Case("events for json", saying(RECORDED), False)
    yield Case("json for events", saying(RECORDED_WHOLE), True)
    zipped = RECORDED.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n", 1)
    yield Case("gzip", saying(zipped), True)
    huge = b"data: " + b"x" * 2_000_000 + b"\n\n"
    yield Case("a huge line", saying(HEAD + chunk(huge)), True)
    yield Case("a huge line after words", saying(HEAD + chunk(words("Hello")) + chunk(huge)), True)
    yield Case("a huge line without an end", saying(HEAD + chunk(b"data: " + b"x" * 3_000_000), then="stay"), True)
    yield Case("a huge header", saying(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 300_000 + b"\r\n\r\n"), True)
    yield Case("many headers", saying(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50_000 + b"\r\n"), False)
    yield Case("a huge whole answer", saying(_json(b'{"choices":"' + b"x" * 12_000_000 + b'"}')), False)
    yield Case("a length never reached", saying(_json(whole("Hello")).replace(b"Length: ", b"Length: 9")), False)
    yield Case("a second answer at once", saying(RECORDED + RECORDED), True, "whole")


def table() -> dict[str, Case]:
    """The cases by name."""
    found = {case.name: case for case in cases()}
    assert len(found) == sum(1 for _ in cases()), "two cases have the same name"
    return found


async def answer(by_name: dict[str, Case], exchange: Exchange) -> None:
    """Misbehave as the case that the user's message names; well where it names none."""
    case = by_name.get(str(exchange.json["messages"][-1]["content"]))
    behave: Callable[[Exchange], Awaitable[None]] | None = case.behave if case is not None else None
    if behave is not None:
        await behave(exchange)
    elif exchange.json.get("stream"):
        await exchange.sse(ROLE, words("Well."), STOP, DONE)
    else:
        await exchange.answer(whole("Well."))
