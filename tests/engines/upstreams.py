"""A real socket server that misbehaves on request, and the rows and prompts to ask it with."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from app.base.catalogue import Model, Upstream
from app.base.messages import Delta, Message, Prompt, Text
from app.engines.openai_protocol import OpenAiEngine

KEY = "sk-the-upstreams-secret"
Behaviour = Callable[["Exchange"], Awaitable[None]]


@dataclass
class Exchange:
    """One request that the server received, and the way to answer it."""

    head: str
    body: bytes
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def json(self) -> Any:
        """The request's body."""
        return json.loads(self.body)

    async def send(self, data: bytes) -> None:
        """Write and flush."""
        self.writer.write(data)
        await self.writer.drain()

    async def sse(self, *pieces: bytes, end: bool = True, content_type: str = "text/event-stream") -> None:
        """A chunked answer; each piece is a chunk and a write of its own."""
        await self.send(
            f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for piece in pieces:
            await self.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(0)
        if end:
            await self.send(b"0\r\n\r\n")

    async def answer(
        self, body: bytes, *, status: str = "200 OK", content_type: str = "application/json", more: str = ""
    ) -> None:
        """An answer with a length."""
        await self.send(
            f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode()
            + body
        )

    def reset(self) -> None:
        """Close with a reset."""
        self.writer.transport.abort()


@dataclass
class Server:
    """What the server saw.

    Attributes:
        closed: set whenever a connection has been closed by the client.
    """

    url: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    closed: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serving(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server that answers every request with `behave`; connections stay open afterwards."""
    seen = Server()
    tasks: set[asyncio.Task[Any]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        seen.connections += 1
        seen.open_connections += 1
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                    length = next(
                        (int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:")), 0
                    )
                    exchange = Exchange(head, await reader.readexactly(length), reader, writer)
                    seen.exchanges.append(exchange)
                    await behave(exchange)
        finally:
            seen.open_connections -= 1
            seen.closed.set()
            writer.transport.abort()
            tasks.discard(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**20, ssl=tls)
    seen.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield seen
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def asking(url: str, **row: Any) -> AsyncIterator[OpenAiEngine]:
    """An engine for that server; it must have given back every call and closed every connection at the end."""
    engine = OpenAiEngine(Upstream(id="main", protocol="openai", url=url, key=KEY, **row))
    try:
        yield engine
        assert engine.status()["in_flight"] == 0
    finally:
        await engine.close()
        await asyncio.sleep(0.01)
        assert engine.open_connections == 0


def model(**row: Any) -> Model:
    """A vetx model on an upstream."""
    return Model(
        **{
            "id": "vetx-23",
            "engine": "upstream",
            "input_nano_per_token": 8320,
            "output_nano_per_token": 8320,
            "context_tokens": 128_000,
            "output_tokens_max": 16_384,
            "output_tokens_default": 4_096,
            "upstream": "main",
            "upstream_model": "plain",
            **row,
        }
    )


def prompt(text: str = "How much meloxicam for a 10 kg dog?", **more: Any) -> Prompt:
    """A prompt with one message."""
    return Prompt(
        **{
            "model": "vetx-23",
            "upstream_model": "plain",
            "system": "Our rules come first.",
            "messages": (Message("user", (Text(text),)),),
            "facts": None,
            "max_tokens": 100,
            **more,
        }
    )


def event(data: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def words(text: str, **delta: Any) -> bytes:
    """A chunk with content."""
    return event({"choices": [{"index": 0, "delta": {"content": text, **delta}, "finish_reason": None}]})


def thought(text: str, name: str = "reasoning_content") -> bytes:
    """A chunk with reasoning in a field of its own."""
    return event({"choices": [{"index": 0, "delta": {name: text}, "finish_reason": None}]})


ROLE = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
STOP = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
USAGE = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}})
DONE = b"data: [DONE]\n\n"


def whole(text: str | None = "Hello there.", reason: str = "stop", **more: Any) -> bytes:
    """A JSON answer."""
    message = {"role": "assistant", "content": text, **more.pop("message", {})}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": reason}], **more}).encode()


async def gathered(engine: OpenAiEngine, ask: Prompt | None = None, on: Model | None = None) -> list[Delta]:
    """Every delta of a streamed answer."""
    return [delta async for delta in engine.stream(ask or prompt(), on or model())]


def said(deltas: list[Delta]) -> str:
    """Their text."""
    return "".join(delta.text for delta in deltas)
