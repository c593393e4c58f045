"""An upstream that says ` word0`, ` word1`, … at a pace, and notes when it said each and when its line was closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.engines.upstreams import DONE, ROLE, STOP, Exchange, whole, words


@dataclass(slots=True)
class Spoken:
    """What was said in one call.

    Attributes:
        sent_at: when each word went out [monotonic s].
        closed_at: when the other side was seen to have hung up in the middle, if it did [monotonic s].
        ended: all was said.
    """

    sent_at: list[float] = field(default_factory=list)
    closed_at: float | None = None
    ended: bool = False


def text_of(count: int) -> str:
    """The first words that the upstream says."""
    return "".join(f" word{number}" for number in range(count))


class Paced:
    """The behaviour; `plan` tells from the user's last message how many words, and the pause between them [s].

    Attributes:
        calls: what was said, by the user's last message.
        ends_at: when a stream ends before its words do [monotonic s]; may be set while it runs.
    """

    def __init__(self, plan: Callable[[str], tuple[int, float]]) -> None:
        self._plan = plan
        self.calls: dict[str, Spoken] = {}
        self.ends_at: dict[str, float] = {}

    @property
    def open(self) -> list[str]:
        """The calls in whose middle we still are."""
        return [name for name, spoken in self.calls.items() if not spoken.ended and spoken.closed_at is None]

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one call."""
        asked = exchange.json
        name = str(asked["messages"][-1]["content"])
        spoken = self.calls[name] = Spoken()
        count, pace_s = self._plan(name)
        gone = asyncio.ensure_future(exchange.reader.read(1))
        gone.add_done_callback(lambda _: _note_closed(spoken, gone))
        try:
            if asked.get("stream"):
                await self._stream(exchange, spoken, gone, name, count, pace_s)
            else:
                await self._whole(exchange, spoken, gone, count, pace_s)
        except ConnectionError:
            spoken.closed_at = spoken.closed_at or time.monotonic()
            raise
        finally:
            if not gone.done():
                gone.cancel()
                with suppress(asyncio.CancelledError):
                    await gone

    async def _stream(
        self, exchange: Exchange, spoken: Spoken, gone: asyncio.Future[Any], name: str, count: int, pace_s: float
    ) -> None:
        await exchange.sse(ROLE, end=False)
        for number in range(count):
            left_s = self.ends_at.get(name, float("inf")) - time.monotonic()
            if left_s <= 0 and number:
                break
            piece = words(f" word{number}")
            await exchange.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            spoken.sent_at.append(time.monotonic())
            await _pause(gone, max(0, min(pace_s, left_s)))
        gone.cancel()  # what comes next on this line is another request
        spoken.ended = True
        tail = STOP + DONE
        await exchange.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(tail), tail))

    async def _whole(
        self, exchange: Exchange, spoken: Spoken, gone: asyncio.Future[Any], count: int, pace_s: float
    ) -> None:
        await _pause(gone, pace_s * count)
        gone.cancel()
        spoken.ended = True
        await exchange.answer(whole(text_of(count)))


def _note_closed(spoken: Spoken, gone: asyncio.Future[Any]) -> None:
    if not gone.cancelled():
        gone.exception()
        spoken.closed_at = time.monotonic()


async def _pause(gone: asyncio.Future[Any], pace_s: float) -> None:
    if not gone.done():
        await asyncio.wait({gone}, timeout=pace_s)
    if gone.done():
        raise ConnectionResetError
