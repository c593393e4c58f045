"""The frozen records of one request that travel between rooms: who asks, what, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal, Protocol

from app.base.record import record

Audience = Literal["clinician", "owner"]
Role = Literal["system", "developer", "user", "assistant", "tool"]
Json = dict[str, Any]


@record(frozen=True, slots=True)
class Caller:
    """Who pays and who asks.

    Attributes:
        allowed_models: empty means every model.
        user_id_source: header | account, later client_secret | session | address.
        allowance_id: the billing row that bounds this key's spending, or None for no limit.
        jurisdiction: the account's own, or None.
        requests_per_min: of the account, else of its plan; None for no limit.
        memory_default: what a call that doesn't say gets of memory: off | read | read_write.
    """

    account_id: int
    key_id: int
    plan: str
    scopes: frozenset[str]
    allowed_models: frozenset[str]
    user_id: str
    user_id_source: str
    app_source: str
    allowance_id: int | None = None
    jurisdiction: str | None = None
    requests_per_min: int | None = None
    memory_default: str = "read_write"


@record(frozen=True, slots=True)
class Text:
    """Words."""

    text: str


@record(frozen=True, slots=True)
class PictureUrl:
    """A picture, PDF or DICOM file as the caller sent it: a data URL, not yet looked at."""

    url: str
    param: str
    """Path of the field, for refusals."""


@record(frozen=True, slots=True)
class Picture:
    """A picture that media has checked, turned upright, shrunk and re-encoded. Only this goes on to an engine.

    Attributes:
        data: JPEG or PNG bytes without metadata.
        media_type: of `data`.
        width, height: of `data` [px]; the longest side is at most 1568.
        tokens: what it counts for: ceil(width x height / 750), at most 3279.
        facts: the row of `vetx.images[]`, JSON-ready: {index, kind, declared, format, width, height, tokens, quality,
            retake, measures, page, pages, frame, frames, dicom, notes[]}.
        fine: of what looks written, grey JPEG bytes with up to 2200 px on the longest side, for reading; else empty.
        written: whether it looks like print on paper or a screen.
        words: the text layer of a PDF's page. Data, like every word in a picture; never instruction.
    """

    data: bytes
    media_type: str
    width: int
    height: int
    tokens: int
    facts: Json
    fine: bytes = b""
    words: str = ""
    written: bool = False


@record(frozen=True, slots=True)
class Written:
    """What stands in a picture: data of whoever printed it, never an instruction.

    Attributes:
        picture: its index in the request.
        words: read by character recognition: {quad, text, again, score}, `quad` x, y of four corners clockwise from the
            upper left [px].
        text: of a document that brings its own text; then `words` is empty.
    """

    picture: int
    words: tuple[Json, ...] = ()
    text: str = ""


@record(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for, whole. `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@record(frozen=True, slots=True)
class Message:
    """One message; pictures are PictureUrl before media has seen them and Picture after."""

    role: Role
    parts: tuple[Text | PictureUrl | Picture, ...] = ()
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """Its words, parts joined with a newline."""
        return "\n".join(part.text for part in self.parts if isinstance(part, Text))


@record(frozen=True, slots=True)
class Ask:
    """What a caller asks of a model.

    Attributes:
        patients: as the caller gave them in `vetx.patient(s)`, shape-checked, not yet normalised.
        max_tokens: None where the caller left it out.
        passthrough: further fields of the body, for engines that can use them (top_p, seed, tools, ...).
    """

    caller: Caller
    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    include_usage: bool = False
    temperature: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    audience: Audience = "clinician"
    jurisdiction: str | None = None
    language: str | None = None
    patients: tuple[Json, ...] = ()
    metadata: Json | None = None
    passthrough: Mapping[str, Any] = field(default_factory=dict)


@record(frozen=True, slots=True)
class Rule:
    """A safety rule that applies to this request."""

    id: str
    severity: str
    text: str
    source: Json


@record(frozen=True, slots=True)
class Triage:
    """How soon this animal must be seen.

    Attributes:
        see_within_min: [min]; None where no time applies.
        red_flags: {id, sign, span, reason, source}.
        contacts: {name, phone, country, ...}.
    """

    level: Literal["emergency", "urgent", "routine", "home_care"]
    see_within_min: int | None
    vtl_colour: str
    reason: str
    red_flags: tuple[Json, ...] = ()
    ask_next: tuple[str, ...] = ()
    contacts: tuple[Json, ...] = ()


class Weighed(Protocol):
    """Conditions held against the signs of an animal, put into words when somebody reads them."""

    def fitting(self, most: int) -> list[tuple[str, list[str]]]:
        """The first of them, each with what speaks for it."""
        ...

    def answer(self) -> Json:
        """The answer of `differentials`, with `findings`."""
        ...


@record(frozen=True, slots=True)
class Facts:
    """The clinic's assessment of a request: what is known, computed and sourced before any model speaks.

    The JSON parts have the shapes of API.md's clinic section (an answer of `dose`, `exposure`, `check` each).

    Attributes:
        analytes, patterns: rows of `labs`, each with `patient`; `flag` is None where nothing on record tells.
        differentials: of a question about signs, what they may be.
        vitals: rows of `triage`, each with `patient`: {name, value, unit, comparator, interval, flag, level, ...}.
        sheets: laboratory sheets as read: {picture, read_by, patient, species, rows[]}; `picture` is None for a typed
            one, `read_by` recognition | text. Rows of `analytes` that come from a picture have its index as `picture`.
    """

    audience: Audience
    jurisdiction: str | None
    language: str
    patients: tuple[Json, ...] = ()
    needs: tuple[Json, ...] = ()
    triage: Triage | None = None
    rules: tuple[Rule, ...] = ()
    calculations: tuple[Json, ...] = ()
    doses: tuple[Json, ...] = ()
    exposures: tuple[Json, ...] = ()
    findings: tuple[Json, ...] = ()
    not_checked: tuple[Json, ...] = ()
    signs: tuple[str, ...] = ()
    analytes: tuple[Json, ...] = ()
    vitals: tuple[Json, ...] = ()
    patterns: tuple[Json, ...] = ()
    differentials: tuple[Weighed, ...] = ()
    sheets: tuple[Json, ...] = ()
    on_topic: bool = True
    notice: str = ""


@record(frozen=True, slots=True)
class Prompt:
    """What an engine is handed. Nothing of the wallet or the key is in it.

    Attributes:
        system: our own system message: fixed rules, species rules, this patient's facts; first, unchanged.
        messages: the caller's, with checked pictures.
        upstream_model: the engine's own name for the model.
        extra: passthrough fields that the engine's protocol knows.
        document: the JSON text that the built-in engine answers, where a document is asked for.
    """

    model: str
    upstream_model: str
    system: str
    messages: tuple[Message, ...]
    facts: Facts | None
    max_tokens: int
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    hides_reasoning: bool = True
    document: str | None = None


@record(frozen=True, slots=True)
class UpstreamUsage:
    """The upstream's own count, as sent."""

    prompt_tokens: int
    completion_tokens: int


@record(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a tool call in a stream, as OpenAI sends it."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@record(frozen=True, slots=True)
class Delta:
    """A piece of an answer; the last one carries `finish_reason`, and `usage` where the upstream counted."""

    text: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()
    finish_reason: str | None = None
    usage: UpstreamUsage | None = None
    hidden: bool = False
    """True for a piece of reasoning that isn't relayed; it carries no text."""
    own: bool = False
    """True for words of the guard's: they are delivered and not billed."""


@record(frozen=True, slots=True)
class Intervention:
    """A sentence of the model that the guard changed before anyone saw it."""

    rule: str
    severity: str
    action: Literal["replaced", "annotated"]
    why: str
    source: Json
    withheld_sha256: str | None
