"""A pooled HTTP/1.1 client for the one thing engines need: POST JSON to one server and read the answer as it comes.

Why not a general client: the profile decided. CPU per small JSON call, same machine and upstream: httpx over aiohttp
355 us, that transport called directly 214-229, aiohttp 85-131, this 40-48 with prompt and answer mapped; the whole
gateway has a budget of about 250 us a request. Parsing is llhttp's (httptools), TLS and sockets are the event loop's.
It knows no redirects, cookies, compression or proxies, and bounds what a server may send before anybody reads it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import cast
from urllib.parse import urlsplit

import certifi
import httptools

HEAD_BYTES_MAX = 64 * 1024
READ_AHEAD_BYTES_MAX = 64 * 1024
IDLE_S_MAX = 20.0
IDLE_CONNECTIONS_MAX = 256
_NEVER = float("inf")


class WireError(Exception):
    """The exchange failed below HTTP's meaning; carries no word of the server's."""


class NotReached(WireError):
    """Refused, no such host, or TLS failed: no connection was made."""


class Broken(WireError):
    """Cut, reset, not HTTP, or beyond our bounds."""


class TimedOut(WireError):
    """Nothing came in the time allowed."""


class Connection(asyncio.Protocol):
    """One connection, used for one exchange after another.

    Attributes:
        status: of the answer, once `head` has returned.
        content_type: lower case, without parameters.
        retry_after: the header as sent, or "".
    """

    __slots__ = (
        "_alarm",
        "_alarm_at",
        "_complete",
        "_deadline",
        "_failure",
        "_head_bytes",
        "_head_done",
        "_loop",
        "_lost",
        "_parser",
        "_paused",
        "_pieces",
        "_pool",
        "_transport",
        "_unread_bytes",
        "_until_close",
        "_wake",
        "busy",
        "content_type",
        "heard",
        "idle_since",
        "keep",
        "retry_after",
        "reused",
        "status",
    )

    def __init__(self, pool: Pool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._wake: asyncio.Future[None] | None = None
        self._pieces: list[bytes] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = self._deadline = _NEVER
        self._paused = self._lost = False
        self.reused = self.busy = False
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._failure: WireError | None = Broken("closed before use") if self._lost else None
        self._complete = self._head_done = self._until_close = self.heard = self.keep = False
        self._head_bytes = self._unread_bytes = self.status = 0
        self.content_type = self.retry_after = ""
        self._pieces.clear()

    # What the loop tells us.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one without deriving from it
        if self._failure is None:
            self._pool.remember(self)
        else:
            self._transport.abort()  # whoever wanted it was cancelled; uvloop calls this all the same

    def data_received(self, data: bytes) -> None:
        if self._complete:  # an answer nobody asked for: whatever follows on this connection can't be trusted
            self.abort()
            return
        self.heard = True
        if not self._head_done:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._complete:
                self._fail(Broken("not an HTTP/1.1 answer"))
            self.keep = False
        if not self._head_done and self._head_bytes > HEAD_BYTES_MAX:
            self._fail(Broken("the head of the answer is too long"))
        wake = self._wake
        if wake is not None and not wake.done():
            wake.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if self._until_close and error is None and self._failure is None:
            self._complete = True
        self._lost = True
        self._fail(Broken("the connection broke"))
        self._stop_alarm()
        self._pool.forget(self)

    # What the parser tells us.

    def on_message_begin(self) -> None:
        if self._complete:
            raise Broken("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._head_done:
            return  # a trailer
        match name.lower():
            case b"content-type":
                self.content_type = value.partition(b";")[0].strip().lower().decode("latin-1")
            case b"retry-after":
                self.retry_after = value.decode("latin-1")
            case b"content-length" | b"transfer-encoding":
                self.keep = True
            case b"content-encoding" if value.strip().lower() != b"identity":
                self.content_type = "encoded"  # we never offered to decode anything
            case _:
                pass

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._head_done = True
            self._until_close = not self.keep and self.status not in (204, 304)

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)
        self._unread_bytes += len(body)
        if self._unread_bytes > READ_AHEAD_BYTES_MAX and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if not self._head_done:
            return  # 100 Continue and its kin
        self._complete = True
        self.keep = self._parser.should_keep_alive()

    # What the engine asks.

    @property
    def usable(self) -> bool:
        """Whether another request can be sent on it."""
        return self._failure is None and self._transport is not None and not self._transport.is_closing()

    @property
    def complete(self) -> bool:
        """Whether the whole answer has arrived."""
        return self._complete

    def send(self, request: bytes, timeout_s: float) -> None:
        """Begin an exchange; the answer must move within `timeout_s` [s]."""
        assert self._transport is not None
        self._begin()
        self.busy = True
        self.allow(timeout_s)
        self._transport.write(request)

    def allow(self, timeout_s: float) -> None:
        """From now on, wait at most this long [s]; the alarm is set anew only where it would ring too late."""
        self._deadline = deadline = self._loop.time() + timeout_s
        if deadline < self._alarm_at:
            self._stop_alarm()
            self._alarm_at = deadline
            self._alarm = self._loop.call_at(deadline, self._ring)

    def rest(self) -> None:
        """Stop the clock while our own reader is busy."""
        self._deadline = _NEVER

    def _ring(self) -> None:
        self._alarm = None
        self._alarm_at = _NEVER
        if self._deadline == _NEVER:
            return
        if self._loop.time() < self._deadline:
            self.allow(self._deadline - self._loop.time())
            return
        self._fail(TimedOut("nothing came in time"))
        self.abort()

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = _NEVER

    async def _arrival(self) -> None:
        wake = self._wake = self._loop.create_future()
        try:
            await wake
        finally:
            self._wake = None

    async def head(self) -> int:
        """The status of the answer, once its head is here."""
        while not self._head_done:
            if self._failure is not None:
                raise self._failure
            await self._arrival()
        return self.status

    async def read(self) -> bytes:
        """All of the body that has arrived since, at least a byte; `b""` at its end."""
        while not self._pieces:
            if self._complete:
                return b""
            if self._failure is not None:
                raise self._failure
            await self._arrival()
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._unread_bytes = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return body

    async def read_all(self, bytes_max: int) -> bytes:
        """The whole body.

        Raises:
            Broken: it is longer than `bytes_max`.
        """
        body = await self.read()
        if self._complete and not self._pieces:
            whole = body
        else:
            parts, size = [body], len(body)
            while size <= bytes_max and (body := await self.read()):
                parts.append(body)
                size += len(body)
            whole = b"".join(parts)
        if len(whole) > bytes_max:
            raise Broken("the body is too long")
        return whole

    def finish(self) -> None:
        """End the exchange: the connection goes back to the pool if its answer is whole, else it is closed at once.

        Safe twice.
        """
        if not self.busy:
            return
        self.busy = False
        self._deadline = _NEVER
        if self._complete and self.keep and not self._paused and self.usable:
            self._pool.take_back(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Close now, without waiting for anything."""
        self._fail(Broken("closed by us"))
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, failure: WireError) -> None:
        if self._failure is None:
            self._failure = failure
        wake = self._wake
        if wake is not None and not wake.done():
            wake.set_result(None)


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The system's certificates and certifi's, because some Pythons come without the former."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class Pool:
    """Connections to one server."""

    def __init__(self, url: str, *, headers: Mapping[str, str], connect_timeout_s: float) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self._tls = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self._connect_timeout_s = connect_timeout_s
        self._path = parts.path.rstrip("/")
        host = f"[{self._host}]" if ":" in self._host else self._host
        lines = [f"Host: {host}:{parts.port}" if parts.port else f"Host: {host}", "User-Agent: vetx"]
        lines.append("Accept-Encoding: identity")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._lines = "\r\n".join(lines)
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()
        self._heads: dict[str, bytes] = {}

    @property
    def open_connections(self) -> int:
        """How many are open, busy or idle."""
        return len(self._open)

    async def post(self, path: str, body: bytes, timeout_s: float) -> Connection:
        """Send JSON and wait for the head of the answer; `finish` the connection when done with it.

        Raises:
            NotReached, TimedOut: no connection.
            Broken, TimedOut: no head of an answer.
        """
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = (
                f"POST {self._path}{path} HTTP/1.1\r\n{self._lines}\r\n"
                "Content-Type: application/json\r\nContent-Length: "
            ).encode("latin-1")
        return await self._exchange(b"%b%d\r\n\r\n%b" % (head, len(body), body), timeout_s)

    async def _exchange(self, request: bytes, timeout_s: float) -> Connection:
        while True:
            connection = self._take() or await self._connect()
            connection.send(request, timeout_s)
            try:
                await connection.head()
                return connection
            except Broken:
                connection.finish()
                if connection.reused and not connection.heard:
                    continue  # the server closed a resting connection as we wrote: it never saw the request
                raise
            except BaseException:
                connection.finish()
                raise

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and asyncio.get_running_loop().time() - connection.idle_since < IDLE_S_MAX:
                connection.reused = True
                return connection
            connection.abort()
        return None

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(self, loop)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await loop.create_connection(
                    lambda: connection,
                    self._host,
                    self._port,
                    ssl=_tls() if self._tls else None,
                    server_hostname=self._host if self._tls else None,
                )
        except TimeoutError:
            connection.abort()
            raise TimedOut("no connection in time") from None
        except (OSError, ValueError):
            connection.abort()
            raise NotReached("no connection") from None
        except BaseException:
            connection.abort()
            self.forget(connection)
            raise
        return connection

    def take_back(self, connection: Connection) -> None:
        """Keep a connection for the next exchange."""
        if len(self._idle) < IDLE_CONNECTIONS_MAX:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.abort()

    def remember(self, connection: Connection) -> None:
        """The loop says it is open."""
        self._open.add(connection)

    def forget(self, connection: Connection) -> None:
        """The loop says it is closed."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Close every connection now."""
        for connection in tuple(self._open):
            connection.abort()
        self._idle.clear()
