"""Models, where they run and what they cost: the frozen rows of a catalogue, and the records made from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID

from app.base.record import record


@dataclass(frozen=True, slots=True)
class Upstream:
    """A server that answers prompts. `key` is the resolved secret, never printed."""

    id: str
    protocol: str
    url: str
    key: str | None = field(default=None, repr=False)
    connect_timeout_s: float = 5.0
    first_token_timeout_s: float = 60.0
    idle_timeout_s: float = 30.0
    concurrency_max: int = 0
    extra_body: dict[str, Any] = field(default_factory=dict)
    extra_headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that callers can name.

    Attributes:
        input_nano_per_token, output_nano_per_token: [nano-USD].
        context_tokens: window: prompt + rules + pictures + answer [tokens].
        modalities: of `text`, `image`.
        meter: who counts the tokens.
        sees_pictures: pictures go on to the engine; else they are only described in words.
        tools: its engine can call tools, so ours are offered to it.
    """

    id: str
    engine: Literal["builtin", "upstream"]
    input_nano_per_token: int
    output_nano_per_token: int
    context_tokens: int
    output_tokens_max: int
    output_tokens_default: int
    modalities: tuple[str, ...] = ("text",)
    upstream: str = ""
    upstream_model: str = ""
    quota: Literal["wallet", "daily"] = "wallet"
    meter: Literal["service", "upstream"] = "service"
    fallback: str = ""
    sees_pictures: bool = False
    tools: bool = False

    @property
    def veterinary(self) -> bool:
        """Whether it is one of our own models: rules in the prompt, guard on the answer."""
        return self.id.startswith("vetx-")


@record(frozen=True, slots=True)
class Quote:
    """The most a call can cost, before it is held.

    Attributes:
        output_tokens: wanted at most [tokens].
        output_tokens_floor: with `flexible`, the least that is worth starting.
        flexible: the caller named no max_tokens, so authorize may take what the wallet affords.
        limited_by: what set `output_tokens`.
    """

    input_nano_per_token: int
    output_nano_per_token: int
    prompt_tokens: int
    output_tokens: int
    output_tokens_floor: int = 0
    flexible: bool = False
    limited_by: Literal["caller", "default", "window"] = "caller"

    @property
    def hold_nano(self) -> int:
        """What authorize sets aside when nothing is lowered."""
        return self.prompt_tokens * self.input_nano_per_token + self.output_tokens * self.output_nano_per_token

    @property
    def least_tokens(self) -> int:
        """The shortest answer that authorize may settle for."""
        return min(self.output_tokens_floor, self.output_tokens) if self.flexible else self.output_tokens

    @property
    def least_nano(self) -> int:
        """What the wallet must have free for the call to start."""
        return self.prompt_tokens * self.input_nano_per_token + self.least_tokens * self.output_nano_per_token


@record(frozen=True, slots=True)
class CallFacts:
    """What the ledger and the reports record of a call beside its money; metadata, never content."""

    model: str
    engine: str
    upstream: str | None
    api_key_id: int
    user_id: str | None
    user_id_source: str | None
    app_source: str | None
    species: str | None
    image_tokens: int = 0
    num_images: int = 0


@record(frozen=True, slots=True)
class Bill:
    """A hold that was granted.

    Attributes:
        output_tokens: what the hold pays for; the answer stops there.
        limited_by: balance where the wallet lowered `output_tokens`, else None.
    """

    charge_id: UUID
    account_id: int
    quote: Quote
    hold_nano: int
    output_tokens: int
    limited_by: Literal["balance"] | None = None
    allowance_id: int | None = None
    idempotent: bool = False


@record(frozen=True, slots=True)
class Outcome:
    """How a call ended, for settle and void.

    Attributes:
        close_reason: stop | length | client_gone | upstream_error | upstream_timeout | guard | drain | ...
        http_status: what the caller saw.
        first_token_ms, duration_ms: [ms] since the request arrived, or None.
        rules: ids of the rules that intervened.
        sealed_answer: for idempotent replay, else None.
    """

    prompt_tokens: int
    completion_tokens: int
    usage_source: Literal["counted", "upstream"]
    close_reason: str
    http_status: int
    first_token_ms: int | None = None
    duration_ms: int | None = None
    interventions: int = 0
    rules: tuple[str, ...] = ()
    sealed_answer: bytes | None = None


@record(frozen=True, slots=True)
class Settled:
    """What a closed charge says.

    Attributes:
        state: settled | voided | expired.
        charged_nano: 0 unless settled.
        balance_nano: of the wallet after it, or None where it was closed before.
    """

    state: str
    charged_nano: int
    balance_nano: int | None = None
