"""`response_format`: which JSON an answer must be, who writes it, and the check before any of it goes out.

An answer that must be JSON is judged as a whole: a dose may stand in one field and its drug in another. So nothing of a
model's JSON leaves before it is complete; words of the built-in engine need no such wait.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from app.base.catalogue import Model
from app.base.errors import Invalid, UpstreamError
from app.base.messages import Ask, Facts, Json, ToolCallDelta
from app.turns.house import House

if TYPE_CHECKING:
    from app.clinic.drafting import Draft

CHARACTERS_MAX = 256 * 1024
DEPTH_MAX = 64
NAME_WORDS_MAX, FIGURE_WORDS_MAX = 4, 8
"""Longer strings are sentences, and were judged as such."""
PREFIX = "vetx_"
OF_JSON_OBJECT = {"clinician": "soap", "owner": "triage_card"}
"""What the built-in engine writes where any JSON object will do."""
_KEY_JOINTS = re.compile(r"[_\-]+")
_KEY_UNIT = re.compile(r"(?:^|_)(mg|mcg|ug|g|ml|iu|units)((?:_?per_?|_)kg)?(?:_|$)", re.IGNORECASE)
_WARNS = re.compile(r"toxic|lethal|ld50|threshold|overdose|avoid|contraindic|warn|not_|never", re.IGNORECASE)
_GIVES = re.compile(r"treat|therap|prescri|\brx\b|^plan|give|administ|recommend|do_now|at_home", re.IGNORECASE)
_DOSE = re.compile(r"\d\s*(?:mg|mcg|ug|µg|g|ml|iu|units?)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Form:
    """The JSON an answer must be.

    Attributes:
        document: the vetx document that a model's words go into; None: any JSON object, or the caller's own schema.
        prepared: what the built-in engine answers; None where it can't.
    """

    document: Draft | None
    prepared: Draft | None

    def response_format(self) -> Json | None:
        """What an upstream is asked for instead of the caller's; None: the caller's own."""
        if self.document is None:
            return None
        schema = {"name": "vetx_words", "strict": True, "schema": self.document.words_schema}
        return {"type": "json_schema", "json_schema": schema}


def form_of(ask: Ask, model: Model, facts: Facts | None, house: House, today: date) -> Form | None:
    """The form that an ask's `response_format` wants; None for text, and for models that pass the field on.

    Raises:
        Invalid: the field is malformed, names no document of ours, or the built-in engine can't write what it wants.
    """
    wanted = ask.passthrough.get("response_format")
    name = _document_named(wanted)
    if facts is None or not model.veterinary:
        if name is not None:
            raise Invalid("Only vetx models write vetx documents; use vetx-23.", param="response_format")
        return None
    if wanted is None or wanted.get("type") == "text":
        return None
    other = house.catalogue.fallback_of(model)
    builtin = model.engine == "builtin"
    headlines = house.engines.headlines(facts.language)
    said = [message.text for message in ask.messages if message.role == "user"]
    if name is not None:
        document = house.clinic.draft(name, facts, said, today, headlines)
        return Form(document, document)
    if wanted.get("type") == "json_object":
        can = builtin or (other is not None and other.engine == "builtin")
        prepared = house.clinic.draft(OF_JSON_OBJECT[facts.audience], facts, said, today, headlines) if can else None
        return Form(None, prepared)
    if wanted.get("type") != "json_schema":
        raise Invalid("type is text, json_object or json_schema.", param="response_format.type")
    if builtin:
        raise Invalid(
            "This model writes no schema of your own; name one of its documents, like vetx_soap (GET /v1/schemas).",
            param="response_format",
        )
    return Form(None, None)


def _document_named(wanted: Any) -> str | None:
    """The document of ours that a `response_format` names, without its prefix.

    Raises:
        Invalid: a json_schema without a name, or one of our prefix that is no document.
    """
    if not isinstance(wanted, Mapping) or wanted.get("type") != "json_schema":
        return None
    schema = wanted.get("json_schema")
    if not isinstance(schema, Mapping):
        raise Invalid("json_schema is missing.", code="missing_required_parameter", param="response_format.json_schema")
    name = schema.get("name")
    if not isinstance(name, str) or not name:
        raise Invalid(
            "json_schema.name is missing.",
            code="missing_required_parameter",
            param="response_format.json_schema.name",
        )
    return name.removeprefix(PREFIX) if name.startswith(PREFIX) else None


class Guard(Protocol):
    """Gives what may go out of a text.

    Attributes:
        interventions: what it changed. own: where words of its own stand in all that it has let out.
    """

    interventions: list[Any]
    own: list[tuple[int, int]]

    def feed(self, text: str) -> str:
        """What may go out now."""
        ...

    def finish(self) -> str:
        """The rest."""
        ...


class JsonPage:
    """A model's JSON, gathered until it is whole.

    Args:
        guard, second: guards of this conversation. The second one reads each object as a whole and changes nothing.
        may_be_cut: the caller's own stop sequences may cut it.
    """

    def __init__(self, form: Form, guard: Guard, second: Guard, *, may_be_cut: bool) -> None:
        self._form = form
        self._guard = guard
        self._second = second
        self._may_be_cut = may_be_cut
        self._texts: list[str] = []
        self._characters = 0
        self._let_out = 0
        self._own: list[str] = []

    def feed(self, text: str) -> None:
        """Keep a piece.

        Raises:
            UpstreamError: it is more than any answer may be.
        """
        self._texts.append(text)
        self._characters += len(text)
        if self._characters > CHARACTERS_MAX:
            raise UpstreamError("The model's JSON is too long; nothing was charged.")

    def finish(self, finish_reason: str | None, *, calls: bool) -> str:
        """What goes out of it.

        Args:
            calls: whether the model called tools; it may then say nothing.

        Raises:
            UpstreamError: it is not the JSON that was asked for, or gives in figures what the rules forbid.
        """
        said = "".join(self._texts)
        if calls and not said.strip():
            return ""
        if finish_reason == "length":
            return self._judge(said)
        try:
            if self._form.document is not None:
                document = self._form.document.with_words(said, self._judge)
                self._judge_fields(msgspec.json.decode(said))
                return document
            return self._object(said)
        except (ValueError, msgspec.DecodeError, RecursionError):
            if self._may_be_cut and self._form.document is None:
                return self._judge(said)
            raise UpstreamError(
                "The model did not answer in the JSON that response_format asks for; nothing was charged."
            ) from None

    def own_in(self, text: str) -> list[tuple[int, int]]:
        """Where the guard's own words stand in what went out, in order."""
        spans: dict[int, int] = {}
        for words in self._own:
            for form in (msgspec.json.encode(words).decode()[1:-1], words):
                at = text.find(form)
                while at >= 0 and (end := _end_of(spans, at)) is not None:
                    at = text.find(form, end)
                if at >= 0:
                    spans[at] = at + len(form)
                    break
        return sorted(spans.items())

    def _judge(self, text: str) -> str:
        known, start = len(self._guard.own), self._let_out
        said = self._guard.feed(text) + self._guard.finish()
        self._let_out += len(said)
        self._own += [said[begin - start : end - start] for begin, end in self._guard.own[known:]]
        return said

    def _object(self, said: str) -> str:
        value = msgspec.json.decode(said.strip().encode())
        if not isinstance(value, dict):
            raise ValueError("not an object")
        judged = self._judged(value, DEPTH_MAX)
        self._judge_fields(judged)
        if judged != value:
            return msgspec.json.encode(judged).decode()
        return said.strip()

    def judged(self, value: Any) -> Any:
        """Arguments of a tool: sentences as the guard lets them out; bare names are only judged with their figures.

        Raises:
            UpstreamError: the fields together give what the rules forbid.
        """
        said = self._judged(value, DEPTH_MAX, names=False)
        self._judge_fields(said)
        return said

    def _judged(self, value: Any, depth: int, *, names: bool = True) -> Any:
        """The same value with every string, and every key, as the guard lets it out; `names` too."""
        if not depth:
            raise ValueError("nested too deeply")
        if not names and isinstance(value, str) and len(value.split()) <= NAME_WORDS_MAX:
            return value
        if isinstance(value, str):
            return self._judge(value)
        if isinstance(value, list):
            return [self._judged(one, depth - 1, names=names) for one in value]
        if isinstance(value, dict):
            return {
                self._judge(key) if names else key: self._judged(one, depth - 1, names=names)
                for key, one in value.items()
            }
        return value

    def _judge_fields(self, value: Any) -> None:
        """Refuse an object whose fields together say what no string of it says alone.

        Raises:
            UpstreamError: naming the rule.
        """
        if isinstance(value, list):
            for one in value:
                self._judge_fields(one)
        if not isinstance(value, dict):
            return
        for sentence in _as_sentences(value):
            before = len(self._second.interventions)
            self._second.feed(sentence)
            self._second.finish()
            if len(self._second.interventions) > before:
                rule = self._second.interventions[-1].rule
                raise UpstreamError(f"The model's fields say what the safety rule {rule} forbids; nothing was charged.")
        for one in value.values():
            self._judge_fields(one)


def _end_of(spans: Mapping[int, int], place: int) -> int | None:
    """Where the span ends in which a place lies."""
    return next((end for begin, end in spans.items() if begin <= place < end), None)


class CallsPage:
    """A model's tool calls, each gathered until its arguments are whole: a dose and its drug may stand in two fields.

    Args:
        guard, second: as those of a page.
    """

    def __init__(self, guard: Guard, second: Guard) -> None:
        self._page = JsonPage(Form(None, None), guard, second, may_be_cut=True)
        self._guard = guard
        self._calls: dict[int, list[ToolCallDelta]] = {}
        self._characters = 0

    def feed(self, call: ToolCallDelta) -> None:
        """Keep a piece.

        Raises:
            UpstreamError: it is more than any answer may be.
        """
        self._calls.setdefault(call.index, []).append(call)
        self._characters += len(call.arguments)
        if self._characters > CHARACTERS_MAX:
            raise UpstreamError("The model's tool calls are too long; nothing was charged.")

    def finish(self) -> list[ToolCallDelta]:
        """The pieces that go out, as they came where nothing is wrong with them.

        Raises:
            UpstreamError: the fields of one together give what the rules forbid.
        """
        out: list[ToolCallDelta] = []
        for pieces in self._calls.values():
            said = "".join(piece.arguments for piece in pieces)
            judged = self._judged(said)
            out += pieces if judged == said else [replace(pieces[0], arguments=judged)]
        self._calls.clear()
        return out

    def _judged(self, said: str) -> str:
        try:
            value = msgspec.json.decode(said)
            judged = self._page.judged(value)
        except (ValueError, RecursionError):
            return self._guard.feed(said) + self._guard.finish()  # cut off, or no JSON at all
        return said if judged == value else msgspec.json.encode(judged).decode()


def _as_sentences(row: Mapping[str, Any]) -> list[str]:
    """What the fields of an object say together: `ibuprofen PO dose 10 mg/kg.`; `Give ibuprofen.` of a treatment."""
    names, figures, given = [], [], []
    for key, value in row.items():
        words = _KEY_JOINTS.sub(" ", key)
        if _WARNS.search(key):
            continue
        if _GIVES.search(key):
            lines = value if isinstance(value, list) else [value]
            given += [f"Give {one}." for one in lines if isinstance(one, str) and len(one.split()) <= NAME_WORDS_MAX]
        if isinstance(value, str) and len(value.split()) <= FIGURE_WORDS_MAX and _DOSE.search(value):
            figures.append(f"{words} {value}")
        elif isinstance(value, str) and len(value.split()) <= NAME_WORDS_MAX:
            names.append(value)
        elif isinstance(value, Mapping) and isinstance(value.get("unit"), str):
            figures += [f"{words} {one} {value['unit']}" for one in value.values() if _is_number(one)]
        elif _is_number(value) and (unit := _KEY_UNIT.search(key)) is not None:
            figures.append(f"{words[: unit.start()]} {value} {unit[1]}{'/kg' if unit[2] else ''}")
        elif _is_number(value) and isinstance(row.get("unit"), str):
            figures.append(f"{words} {value} {row['unit']}")
    return [*given, f"{' '.join([*names, *figures])}."] if figures else given


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
