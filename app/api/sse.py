"""A turn as server-sent events, on bare ASGI: it must know at once when the client hangs up."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from litestar.types import Receive, Scope, Send
from msgspec.json import encode

from app.api.errors import envelope_bytes, with_support
from app.api.shapes import Chunks, answer, usage
from app.base.errors import Refused
from app.base.messages import Delta
from app.turns.chat import Turn
from app.turns.house import House

SILENCE_S = 15.0
SILENT_COMMENT = b": still working\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
]


async def hung_up(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class EventStream:
    """An ASGI response that relays one started turn and always closes it.

    `gone` is done when the client has hung up, and has told the turn.
    """

    def __init__(self, turn: Turn, house: House, gone: asyncio.Future[None]) -> None:
        self._turn = turn
        self._house = house
        self._gone = gone

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay the turn; whoever sees `[DONE]` was charged once, whoever was not charged never sees it."""
        turn = self._turn
        chunks = Chunks(turn, self._house)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            await _write(send, chunks.first())
            while (batch := await _next_or_comment(turn, send)) is not None:
                await _write(send, chunks.of(batch))
                if self._gone.done():  # the write only ended because nobody is there; what follows was never given
                    turn.client_gone()
            cost_shape = usage(turn, await turn.count())
            sealed = turn.sealed(encode(answer(turn, self._house, cost_shape))) if turn.bill.idempotent else None
            await turn.finish(sealed)
            ending = chunks.last()
            if turn.ready.ask.include_usage:
                ending += chunks.usage(cost_shape)
            await _write(send, ending + chunks.done(), more=False)
        except OSError:
            turn.client_gone()
        except Exception as error:
            refused = turn.break_off(error)
            await turn.close()
            if not self._gone.done():
                await _tell(send, with_support(refused, self._house.settings.support_url))
        except asyncio.CancelledError as error:  # the server stops, and this client doesn't read: it can't be told
            turn.break_off(error)
            raise
        finally:
            self._gone.cancel()
            await turn.close()


async def _tell(send: Send, refused: Refused) -> None:
    """One error event, and the end without `[DONE]`."""
    with suppress(OSError):
        await _write(send, b"data: " + envelope_bytes(refused) + b"\n\n", more=False)


async def _write(send: Send, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})


async def _next_or_comment(turn: Turn, send: Send) -> list[Delta] | None:
    """The turn's next pieces, with a comment line after every 15 s of silence."""
    while True:
        try:
            async with asyncio.timeout(SILENCE_S):
                return await turn.next_pieces()
        except TimeoutError:
            await _write(send, SILENT_COMMENT)
