"""A turn in OpenAI's words: the answer, the chunks of a stream, usage, and our `vetx` object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from app.base.messages import Delta, Facts, Intervention, Json, Rule, ToolCallDelta, Triage
from app.base.money import dollars, dollars_number
from app.turns.chat import Turn
from app.turns.house import House

_encode = msgspec.json.encode
ANSWER = "chat.completion"
CHUNK = "chat.completion.chunk"


def fingerprint(ruleset: str) -> str:
    """`system_fingerprint`: the rules and data an answer was made with."""
    return f"fp_{ruleset[:12]}"


def _triage(triage: Triage) -> Json:
    return {
        "level": triage.level,
        "see_within_min": triage.see_within_min,
        "vtl_colour": triage.vtl_colour,
        "reason": triage.reason,
        "red_flags": list(triage.red_flags),
        "ask_next": list(triage.ask_next),
        "contacts": list(triage.contacts),
    }


def _rule(rule: Rule) -> Json:
    return {"id": rule.id, "severity": rule.severity, "text": rule.text, "source": rule.source}


def _intervention(intervention: Intervention) -> Json:
    return {
        "rule": intervention.rule,
        "severity": intervention.severity,
        "action": intervention.action,
        "why": intervention.why,
        "source": intervention.source,
        "withheld_sha256": intervention.withheld_sha256,
    }


def known_before(turn: Turn, house: House) -> Json:
    """The `vetx` object as far as it is known before the model speaks."""
    facts = turn.ready.facts
    shape: Json = {"engine": turn.model.engine, "ruleset": house.ruleset}
    if facts is not None:
        shape |= _assessment(facts)
    shape["images"] = [picture.facts for picture in turn.ready.pictures]
    shape["max_tokens"] = {"applied": turn.bill.output_tokens, "limited_by": turn.limited_by}
    shape["notice"] = facts.notice if facts is not None else ""
    return shape


def _assessment(facts: Facts) -> Json:
    patients = list(facts.patients)
    shape: Json = {"patient": patients[0] if len(patients) == 1 else None}
    if len(patients) > 1:
        shape["patients"] = patients
    shape["needs"] = list(facts.needs)
    shape["triage"] = _triage(facts.triage) if facts.triage is not None else None
    shape["safety"] = {
        "rules": [_rule(rule) for rule in facts.rules],
        "interventions": [],
        "not_checked": list(facts.not_checked),
    }
    shape["calculations"] = list(facts.calculations)
    return shape


def whole(turn: Turn, house: House) -> Json:
    """The `vetx` object at the end of an answer."""
    shape = known_before(turn, house)
    safety = shape.get("safety")
    if safety is not None:
        shape["calculations"] += [row for row in turn.calculations if row not in shape["calculations"]]
        safety["interventions"] = [_intervention(intervention) for intervention in turn.interventions]
        before = safety["not_checked"]
        safety["not_checked"] = [*before, *(row for row in turn.not_checked if row not in before)]
    return shape


def usage(turn: Turn, cost_nano: int) -> Json:
    """OpenAI's usage of a counted turn, with what it costs."""
    price = turn.ready.model.input_nano_per_token * 1_000_000
    return {
        "prompt_tokens": turn.prompt_tokens,
        "completion_tokens": turn.completion_tokens,
        "total_tokens": turn.prompt_tokens + turn.completion_tokens,
        "prompt_tokens_details": {"image_tokens": turn.ready.image_tokens, "cached_tokens": 0},
        "cost": dollars_number(cost_nano),
        "cost_details": {
            "amount": dollars(cost_nano),
            "currency": "usd",
            "unit_price_per_million": dollars(price),
        },
    }


def join_calls(pieces: Sequence[ToolCallDelta]) -> list[Json]:
    """Tool calls put together from their pieces, in the order of their index."""
    calls: dict[int, Json] = {}
    for piece in pieces:
        call = calls.setdefault(piece.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] = piece.id or call["id"]
        call["function"]["name"] += piece.name or ""
        call["function"]["arguments"] += piece.arguments
    return [calls[index] for index in sorted(calls)]


def answer(turn: Turn, house: House, usage_shape: Json) -> Json:
    """A whole answer, as `POST /v1/chat/completions` gives it without `stream`."""
    message: Json = {"role": "assistant", "content": turn.answer or None, "refusal": None}
    calls = join_calls(turn.tool_calls)
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = ""
    shape: Json = {
        "id": turn.id,
        "object": ANSWER,
        "created": turn.created,
        "model": turn.ready.model.id,
        "system_fingerprint": fingerprint(house.ruleset),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": turn.finish_reason or "stop"}],
        "usage": usage_shape,
        "vetx": whole(turn, house),
    }
    if turn.ready.ask.metadata is not None:
        shape["metadata"] = turn.ready.ask.metadata
    return shape


class Chunks:
    """Encodes the events of one stream; what doesn't change is encoded once."""

    def __init__(self, turn: Turn, house: House) -> None:
        self._turn = turn
        self._house = house
        head = _encode(
            {
                "id": turn.id,
                "object": CHUNK,
                "created": turn.created,
                "model": turn.ready.model.id,
                "system_fingerprint": fingerprint(house.ruleset),
            }
        )
        self._head = b"data: " + head[:-1]
        self._usage = b',"usage":null}\n\n' if turn.ready.ask.include_usage else b"}\n\n"
        self._before = self._head + b',"choices":[{"index":0,"delta":{"content":'
        self._after = b'},"logprobs":null,"finish_reason":null}]' + self._usage

    def _event(self, delta: Json, finish_reason: str | None, **more: Any) -> bytes:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        rest = _encode({"choices": choices, **more})
        return self._head + b"," + rest[1:-1] + self._usage

    def first(self) -> bytes:
        """The role, with what is known before the model speaks."""
        metadata = self._turn.ready.ask.metadata
        more = {"metadata": metadata} if metadata is not None else {}
        return self._event(
            {"role": "assistant", "content": ""}, None, vetx=known_before(self._turn, self._house), **more
        )

    def of(self, deltas: Sequence[Delta]) -> bytes:
        """The events of what the engine said, one a delta."""
        out = []
        for delta in deltas:
            if delta.text:
                out.append(self._before + _encode(delta.text) + self._after)
            if delta.tool_calls:
                out.append(self._event({"tool_calls": [_call_piece(piece) for piece in delta.tool_calls]}, None))
        return b"".join(out)

    def last(self) -> bytes:
        """The finish reason, with the whole `vetx` object."""
        return self._event({}, self._turn.finish_reason or "stop", vetx=whole(self._turn, self._house))

    def usage(self, usage_shape: Json) -> bytes:
        """The usage chunk, sent only when asked for."""
        return self._head + b"," + _encode({"choices": [], "usage": usage_shape})[1:] + b"\n\n"

    @staticmethod
    def done() -> bytes:
        """The end."""
        return b"data: [DONE]\n\n"


def _call_piece(piece: ToolCallDelta) -> Json:
    shape: Json = {"index": piece.index, "function": {"arguments": piece.arguments}}
    if piece.id is not None:
        shape |= {"id": piece.id, "type": "function"}
    if piece.name is not None:
        shape["function"]["name"] = piece.name
    return shape


def replayed_stream(stored: Json, include_usage: bool) -> bytes:
    """A stored answer as the events of a stream, its text in one content chunk."""
    head = {key: stored[key] for key in ("id", "created", "model", "system_fingerprint")} | {"object": CHUNK}
    choice = stored["choices"][0]
    message = choice["message"]
    delta: Json = {"role": "assistant", "content": message.get("content") or ""}
    if message.get("tool_calls"):
        delta["tool_calls"] = [{"index": index, **call} for index, call in enumerate(message["tool_calls"])]
    row: Json = {"index": 0, "logprobs": None}
    events: list[Json] = [
        {**head, "choices": [{**row, "delta": delta, "finish_reason": None}], "vetx": stored["vetx"]},
        {**head, "choices": [{**row, "delta": {}, "finish_reason": choice["finish_reason"]}], "vetx": stored["vetx"]},
    ]
    if include_usage:
        events.append({**head, "choices": [], "usage": stored["usage"]})
    return b"".join(b"data: " + _encode(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"
