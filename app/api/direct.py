"""The chat's address, served past the framework.

Routing, signatures and copies of the handler take Litestar a tenth of a call that takes a millisecond. The framework
knows the same handler: it describes it, and answers every other method, spelling of the path and address.
"""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Request
from litestar.enums import ScopeType
from litestar.types import Receive, Scope, Send

from app.api.chat import ChatController, chat
from app.api.errors import render
from app.api.guards import let_in

PATH = "/v1" + ChatController.path


class Direct:
    """`app`, with POST to the chat's address answered here."""

    def __init__(self, app: Litestar) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the request on; see the class."""
        if scope["type"] != ScopeType.HTTP or scope["path"] != PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        scope["litestar_app"] = self._app
        scope["path_params"] = {}
        request: Request[Any, Any, Any] = Request(scope, receive, send)
        try:
            await let_in(request, ChatController.opt)
            response = await chat(request)
        except Exception as error:
            response = render(request, error).to_asgi_response(None, request)
        await response(scope, receive, send)
