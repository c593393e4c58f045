"""Our own tools inside a turn: offered to a model that can call tools, run here, answered, bounded.

Of all this the caller sees the figures in `vetx.calculations` and the answer that came of them. A call of the caller's
own tools ends the turn and goes to the caller as ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgspec

from app.base.catalogue import Model
from app.base.clock import utc_now
from app.base.errors import UpstreamError
from app.base.messages import Ask, Delta, Facts, Json, Message, Prompt, Text, ToolCall, ToolCallDelta
from app.base.record import record
from app.billing.tokens import Tokens
from app.clinic import Clinic
from app.clinic.tools import TOOLS, answered, offered

ROUNDS_MAX = 4
"""How often a model may call our tools before it has to answer."""
CALLS_MAX = 8
"""Calls of ours in one round that are answered."""
BYTES_MAX = 32_000
"""Of all calls of ours and their answers in a turn; a token is at least a byte, so they take no more tokens."""
CALL_BYTES = 64
"""What a call takes at least."""
BYTES_MIN = 6_000
"""With less room than this in the window the tools are not offered."""
ROUND_TOKENS = 1_024
"""What a round may be longer than the answer, for the calls in it."""
CALLERS_TOOLS_MAX = 120
"""Servers take 128 tools."""


@record(frozen=True, slots=True)
class Offer:
    """What one turn offers of our tools.

    Attributes:
        tools: as an upstream is told of them.
        callers: names of the caller's own tools.
        bytes_max: of all calls of ours and their answers.
    """

    tools: tuple[Json, ...]
    callers: frozenset[str]
    bytes_max: int


def wants_tools(ask: Ask, model: Model) -> bool:
    """Whether our tools can be of use: not where the caller forbids or forces a call, or wants JSON, which some
    servers write only without tools.
    """
    fields = ask.passthrough
    wanted = fields.get("response_format")
    return (
        model.tools
        and fields.get("tool_choice") in (None, "auto")
        and (wanted is None or wanted.get("type") == "text")
        and "functions" not in fields
        and len(fields.get("tools", ())) <= CALLERS_TOOLS_MAX
    )


def room_for(ask: Ask, facts: Facts, tokens_left: int, tokens: Tokens) -> Offer | None:
    """The offer; None where the window has no room for it.

    Args:
        tokens_left: of the window, beside prompt, rules and answer.
    """
    callers = frozenset(_names(ask.passthrough.get("tools", ())))
    taken = callers.intersection(TOOLS)
    tools = offered(facts.audience, taken)
    left = tokens_left - ROUND_TOKENS - _tokens_of(facts.audience, taken, tokens)
    if left < BYTES_MIN or not tools:
        return None
    return Offer(tools, callers, min(left, BYTES_MAX))


@lru_cache(maxsize=64)
def _tokens_of(audience: str, taken: frozenset[str], tokens: Tokens) -> int:
    """How much of the window the schemas take; counting them anew would cost every call 2 ms."""
    return tokens.count(msgspec.json.encode(offered(audience, taken)).decode())


def _names(tools: list[Json]) -> list[str]:
    """The names of a caller's tools, whichever way they are written."""
    places = [place for tool in tools for place in (tool, tool.get("function"), tool.get("custom"))]
    return [name for place in places if isinstance(place, Mapping) and isinstance(name := place.get("name"), str)]


def tokens_for_a_round(answer_tokens: int, model: Model) -> int:
    """How much an upstream may write in a round: the answer, or what calls take."""
    return min(answer_tokens + ROUND_TOKENS, model.output_tokens_max)


@dataclass(slots=True)
class _Call:
    """A call as far as it is known; `place` among the caller's calls, once it is known to be one."""

    id: str | None = None
    name: str = ""
    arguments: str = ""
    place: int | None = None


class Rounds:
    """The rounds of one turn.

    Attributes:
        calculations, not_checked: rows of `vetx.calculations` and `vetx.safety.not_checked` that our tools gave.
        said: what the model said in this round.
    """

    def __init__(self, offer: Offer, facts: Facts, clinic: Clinic) -> None:
        self.calculations: list[Json] = []
        self.not_checked: list[Json] = []
        self._offer = offer
        self._facts = facts
        self._clinic = clinic
        self._bytes_left = offer.bytes_max
        self._round = 0
        self.begin()

    def begin(self) -> None:
        """Nothing is said or called yet in this round."""
        self.said = ""
        self._calls: dict[int, _Call] = {}
        self._callers = 0
        self._held = 0

    @property
    def calls_ours(self) -> bool:
        """Whether this round calls a tool that is not the caller's."""
        return len(self._calls) > self._callers

    @property
    def calls_callers(self) -> bool:
        """Whether it calls a tool of the caller's."""
        return self._callers > 0

    def hear(self, delta: Delta) -> Delta:
        """The delta with only what is the caller's.

        A call is held until its name is one of the caller's tools; all others are ours to answer.

        Raises:
            UpstreamError: the calls of ours are too long.
        """
        self.said += delta.text
        if not delta.tool_calls:
            return delta
        out = []
        for piece in delta.tool_calls:
            if piece.index not in self._calls:
                self._calls[piece.index] = _Call()
                self._held += CALL_BYTES
            call = self._calls[piece.index]
            if call.place is not None:
                out.append(replace(piece, index=call.place))
                continue
            call.id = call.id or piece.id
            call.name += piece.name or ""
            call.arguments += piece.arguments
            self._held += len(piece.arguments) + len(piece.name or "")
            if call.name in self._offer.callers:
                call.place = self._callers
                self._callers += 1
                out.append(ToolCallDelta(call.place, call.id, call.name, call.arguments))
            elif self._held > self._bytes_left:
                raise UpstreamError("The model's calls of tools are too long; nothing was charged. Send it again.")
        return replace(delta, tool_calls=tuple(out))

    async def following(
        self, prompt: Prompt, model: Model, finish_reason: str | None, tokens_left: int, *, said: bool
    ) -> Prompt | None:
        """What the engine is asked next, with the answers of our tools; None where the turn ends here.

        Args:
            tokens_left: of the answer.
            said: whether any of the answer has gone out before.

        Raises:
            UpstreamError: it ends here and there is no answer.
        """
        cut = finish_reason == "length"
        if cut or self._round == ROUNDS_MAX:
            if not (said or self.said.strip()):
                why = "was cut in a call of a tool" if cut else "kept calling tools"
                more = "Raise max_tokens." if cut else "Send it again."
                raise UpstreamError(f"The model {why} and gave no answer; nothing was charged. {more}")
            return None
        ours = [call for call in self._calls.values() if call.place is None]
        contents = await asyncio.to_thread(self._answer, ours)
        if self.calls_callers:
            return None
        self._round += 1
        ids = [call.id or f"call_{self._round}_{place}" for place, call in enumerate(ours)]
        asked = Message(
            "assistant",
            (Text(self.said),) if self.said else (),
            tool_calls=tuple(
                ToolCall(name, call.name, call.arguments or "{}") for name, call in zip(ids, ours, strict=True)
            ),
        )
        results = [
            Message("tool", (Text(content),), tool_call_id=name) for name, content in zip(ids, contents, strict=True)
        ]
        return replace(
            prompt,
            messages=(*prompt.messages, asked, *results),
            extra=self._last_extra(prompt.extra) if self._round == ROUNDS_MAX else prompt.extra,
            max_tokens=tokens_for_a_round(max(1, tokens_left), model),
        )

    def _answer(self, calls: list[_Call]) -> list[str]:
        """The answer to each call of ours, within what is left of our bytes."""
        contents = []
        today = utc_now().date()
        self._bytes_left -= sum(len(call.name.encode()) + len(call.arguments.encode()) for call in calls)
        for place, call in enumerate(calls):
            if place >= CALLS_MAX or self._bytes_left < BYTES_MIN // 4:
                contents.append('{"error":"That is more than fits here; answer with what you have."}')
                continue
            given = answered(call.name, call.arguments, self._facts, self._clinic, today, self._bytes_left)
            self._bytes_left -= len(given.content.encode())
            self.calculations += [row for row in given.calculations if row not in self.calculations]
            self.not_checked += [row for row in given.not_checked if row not in self.not_checked]
            contents.append(given.content)
        return contents

    def _last_extra(self, extra: Mapping[str, Any]) -> Mapping[str, Any]:
        """For the last round: the caller's tools only, or none."""
        callers = extra["tools"][: -len(self._offer.tools)]
        return {**extra, "tools": callers} if callers else {**extra, "tool_choice": "none"}
