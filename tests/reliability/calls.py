"""Calls of the service over plain sockets, so that what a client has read, and when it left, is known exactly."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

DONE = "[DONE]"


@dataclass(slots=True)
class Told:
    """What a client has been told so far.

    Attributes:
        status: of the answer; None before it.
        whole: the body came to its proper end.
        broken: how the line failed, if it did.
        error: the envelope's inner part, of a JSON error or an error event.
        pieces: content events read.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    id: str | None = None
    text: str = ""
    pieces: int = 0
    done: bool = False
    error: Any = None
    whole: bool = False
    broken: str = ""
    raw: bytes = b""
    sent_at: float = 0.0
    heard_at: float = 0.0

    @property
    def acknowledged(self) -> bool:
        """Whether the client may believe that its answer is whole."""
        return self.status == 200 and self.whole and (self.done or not self.headers["content-type"].startswith("text/"))


class Line:
    """One request on a connection of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, told: Told) -> None:
        self._reader = reader
        self._writer = writer
        self.told = told

    @classmethod
    async def open(
        cls,
        port: int,
        key: str,
        body: Any,
        told: Told | None = None,
        *,
        receive_bytes: int | None = None,
        **headers: str,
    ) -> Line:
        """Send the request; the answer has not been looked at yet.

        Args:
            receive_bytes: the most that the system takes in for a client who doesn't read; its own choice where absent.
        """
        end = socket.socket()
        end.setblocking(False)
        if receive_bytes is not None:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            await asyncio.get_running_loop().sock_connect(end, ("127.0.0.1", port))
        except BaseException:
            end.close()
            raise
        reader, writer = await asyncio.open_connection(sock=end, limit=2**16 if receive_bytes is None else 1_024)
        told = told or Told()
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = ["POST /v1/chat/completions HTTP/1.1", "Host: vetx", "Connection: close"]
        lines += ["Content-Type: application/json", f"Authorization: Bearer {key}", f"Content-Length: {len(data)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        told.sent_at = time.time()
        writer.write("\r\n".join([*lines, "", ""]).encode() + data)
        await writer.drain()
        return cls(reader, writer, told)

    async def head(self) -> int:
        """Read status and headers."""
        text = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = text.strip().split("\r\n")
        self.told.status = int(first.split()[1])
        self.told.heard_at = time.time()
        for line in lines:
            name, _, value = line.partition(":")
            self.told.headers[name.lower()] = value.strip()
        return self.told.status

    async def _chunks(self) -> AsyncIterator[bytes]:
        if "content-length" in self.told.headers:
            yield await self._reader.readexactly(int(self.told.headers["content-length"]))
        else:
            while size := int(await self._reader.readline() or b"broken", 16):
                yield await self._reader.readexactly(size)
                await self._reader.readexactly(2)
            await self._reader.readexactly(2)
        self.told.whole = True

    async def events(self) -> AsyncIterator[Any]:
        """The events of a stream, each noted in `told` before it is given out."""
        told, left = self.told, b""
        async for chunk in self._chunks():
            *blocks, left = (left + chunk).split(b"\n\n")
            for block in blocks:
                if block.startswith(b"data: "):
                    yield self._note(block[6:])
        if left:
            told.broken = "half an event at the end"

    def _note(self, data: bytes) -> Any:
        told = self.told
        assert not told.done, "something came after [DONE]"
        if data == DONE.encode():
            told.done = True
            return DONE
        event = json.loads(data)
        if "error" in event:
            told.error = event["error"]
            return event
        told.id = event["id"]
        for choice in event["choices"]:
            text = choice["delta"].get("content")
            if text:
                told.text += text
                told.pieces += 1
        return event

    async def body(self) -> None:
        """Read a whole answer that is no stream."""
        self.told.raw = b"".join([chunk async for chunk in self._chunks()])
        answer = json.loads(self.told.raw)
        self.told.error = answer.get("error")
        if self.told.error is None:
            self.told.id = answer["id"]
            self.told.text = answer["choices"][0]["message"]["content"]

    def leave(self, how: Literal["close", "reset"] = "close") -> float:
        """Hang up; the moment [monotonic s]."""
        if how == "reset":
            self._writer.transport.abort()
        else:
            self._writer.close()
        return time.monotonic()


def question(words: str, *, stream: bool = False, **fields: Any) -> dict[str, Any]:
    """A chat body."""
    return {"model": "vetx-23", "stream": stream, "messages": [{"role": "user", "content": words}], **fields}


async def call(
    port: int,
    key: str,
    body: dict[str, Any] | bytes,
    told: Told | None = None,
    *,
    timeout_s: float = 60.0,
    **headers: str,
) -> Told:
    """Make a call and read it to its end, whatever that is; never raises for what the service does."""
    told = told or Told()
    line = None
    try:
        async with asyncio.timeout(timeout_s):
            line = await Line.open(port, key, body, told, **headers)
            await line.head()
            if told.headers.get("content-type", "").startswith("text/event-stream"):
                async for _ in line.events():
                    pass
            else:
                await line.body()
    except (OSError, EOFError, ValueError, KeyError, asyncio.LimitOverrunError, TimeoutError) as error:
        told.broken = f"{type(error).__name__}: {error}"[:200]
    finally:
        if line is not None:
            line.leave()
    return told
