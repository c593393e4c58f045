"""What every response carries: our request id, the caller's, the rate limit, the origin rules.

A plain ASGI callable around the framework, because it runs for every request and every refusal alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from app.api.methods import allowed_methods
from app.api.protocol import request_id

if TYPE_CHECKING:
    from collections.abc import Iterable

REQUEST_ID_CHARACTERS_MAX = 128
_SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that lower-case name, or None."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def _visible(value: bytes) -> bool:
    return 0 < len(value) <= REQUEST_ID_CHARACTERS_MAX and all(33 <= byte <= 126 for byte in value)


class Front:
    """Adds the common headers to every response of `inner`, and answers OPTIONS and HEAD for it.

    Preflights need no key and allow no origin: no setting and no client secret names one. HEAD is GET without the
    body, which the server leaves out.

    Args:
        app: knows which methods an address takes.
    """

    def __init__(self, app: Litestar, inner: ASGIApp) -> None:
        self._app = app
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; see the class."""
        if scope["type"] != ScopeType.HTTP:
            await self._inner(scope, receive, send)
            return
        own_id = request_id().encode()
        state = scope.setdefault("state", {})
        state["request_id"] = own_id.decode()
        theirs = header(scope, b"x-client-request-id")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[tuple[bytes, bytes]] = list(_without(message["headers"], b"x-request-id"))
                headers.append((b"x-request-id", own_id))
                if theirs is not None and _visible(theirs):
                    headers.append((b"x-client-request-id", theirs))
                headers.extend(state.get("rate_headers", ()))
                headers.extend(_SAFE)
                message["headers"] = headers
            await send(message)

        if scope["method"] == "OPTIONS" and await self._answered_options(scope, send_with_headers):
            return
        if scope["method"] == "HEAD":
            scope = cast(HTTPScope, {**scope, "method": "GET"})
        await self._inner(scope, receive, send_with_headers)

    async def _answered_options(self, scope: HTTPScope, send: Send) -> bool:
        """Answer a preflight, or say what an address takes; False where there is nothing."""
        methods = allowed_methods(self._app, scope["path"])
        preflight = header(scope, b"access-control-request-method") is not None
        if methods is None and not preflight:
            return False
        headers = [(b"vary", b"origin")]
        if methods is not None:
            headers.append((b"allow", methods.encode()))
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True


def _without(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> Iterable[tuple[bytes, bytes]]:
    return (pair for pair in headers if pair[0] != name)
