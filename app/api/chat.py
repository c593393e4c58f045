"""`POST /v1/chat/completions` and `/v1/estimate`, in OpenAI's shape."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import msgspec
from litestar import Controller, Request, Response, post
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp

from app.api.answers import ChatCompletion, Estimate
from app.api.body import must_be_json, parse_body, raw_body
from app.api.chat_request import ChatRequest
from app.api.front import header
from app.api.guards import caller_of, house_of
from app.api.shapes import answer, replayed_stream, usage
from app.api.sse import EventStream, hung_up
from app.base.messages import Ask
from app.base.money import dollars
from app.billing.idempotency import Claim, Replay, claim
from app.turns.chat import Turn, begin
from app.turns.estimate import estimate
from app.turns.house import House

JSON = "application/json"
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A repeated call with the same key and body gets the first one's answer and is not charged.",
    "schema": {"type": "string", "pattern": r"^[!-~]{1,255}$"},
}


async def _body_of(request: Request[Any, Any, Any], house: House) -> tuple[ChatRequest, bytes]:
    must_be_json(request)
    raw = await raw_body(request, house.pictures.check_room)
    return parse_body(raw, ChatRequest), raw


def _claim_of(request: Request[Any, Any, Any], raw: bytes, house: House) -> Claim | None:
    """The claim of the caller's Idempotency-Key, if there is one, on this method, path and body."""
    key = header(request.scope, b"idempotency-key")
    if key is None:
        return None
    same = f"{request.scope['method']} {request.scope['path']}\n".encode() + raw
    return claim(key.decode("latin-1"), request.headers["authorization"], same, house.pepper)


class ChatController(Controller):
    """The conversation."""

    path = "/chat/completions"
    opt = {
        "scope": "chat",
        "bucket": "generate",
        "body": ChatRequest,
        "streams": True,
        "also": ["text/event-stream"],
        "headers": [IDEMPOTENCY_KEY],
        "answer": ChatCompletion,
    }
    tags = ["chat"]

    @post("", status_code=HTTP_200_OK)
    async def create(self, request: Request[Any, Any, Any]) -> ASGIApp:
        """Answer a conversation, streamed or whole."""
        return await chat(request)


async def chat(request: Request[Any, Any, Any]) -> ASGIApp:
    """The answer to a conversation, streamed or whole."""
    started = time.monotonic()
    house = house_of(request)
    body, raw = await _body_of(request, house)
    ask = body.to_ask(caller_of(request))
    idempotent = _claim_of(request, raw, house)
    del raw
    with body.naming_patients():
        turn = await begin(ask, house, started, idempotent)
    del body  # with the pictures as they were sent, which nobody needs while the answer is written
    ask = replace(ask, messages=())
    if isinstance(turn, Replay):
        return _replayed(turn, ask)
    gone = asyncio.ensure_future(hung_up(request.receive))
    gone.add_done_callback(lambda _: turn.client_gone())
    try:
        if ask.stream:
            turn.start()
            await turn.first()
            return EventStream(turn, house, gone)
        return await house.work.start(_whole(turn, house))
    except BaseException:
        gone.cancel()
        await turn.close()
        raise
    finally:
        if not ask.stream:
            gone.cancel()


async def _whole(turn: Turn, house: House) -> ASGIApp:
    await turn.read_whole()
    cost = await turn.count()
    shape = answer(turn, house, usage(turn, cost))
    body = msgspec.json.encode(shape)
    settled = await turn.finish(turn.sealed(body))
    headers = {"x-vetx-cost": dollars(settled.charged_nano)}
    if settled.balance_nano is not None:
        headers["x-vetx-balance"] = dollars(settled.balance_nano)
    return Raw(body, headers)


def _replayed(replay: Replay, ask: Ask) -> ASGIApp:
    headers = {"idempotent-replayed": "true"}
    if ask.stream:
        return Raw(replayed_stream(msgspec.json.decode(replay.answer), ask.include_usage), headers, "text/event-stream")
    return Raw(replay.answer, headers)


class Raw:
    """A whole body on bare ASGI."""

    def __init__(self, body: bytes, headers: dict[str, str], media_type: str = JSON) -> None:
        self._body = body
        self._headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            *((name.encode(), value.encode()) for name, value in headers.items()),
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


class EstimateController(Controller):
    """What a call would cost, for free."""

    path = "/estimate"
    opt = {"scope": "chat", "body": ChatRequest, "refusals": [404], "answer": Estimate}
    tags = ["chat"]

    @post("", status_code=HTTP_200_OK)
    async def create(self, request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        """Tokens, the hold and the rules of a chat body, without asking an engine."""
        house = house_of(request)
        body, _ = await _body_of(request, house)
        with body.naming_patients():
            return Response(await estimate(body.to_ask(caller_of(request)), house))
