"""The shapes of our answers: what `/schema` says of them, and what the type checker holds their writers to.

Fields may be added; those named here stay.
"""

from __future__ import annotations

from typing import Any, Generic, Literal, NotRequired, TypeVar

from typing_extensions import TypedDict

from app.accounts.key_rows import LimitReset, MemoryDefault
from app.billing.usage import EntryKind, State

Json = dict[str, Any]
Item = TypeVar("Item")
Urgency = Literal["emergency", "urgent", "routine", "home_care"]
Severity = Literal["absolute", "high", "moderate", "info"]


class Listed(TypedDict, Generic[Item]):
    """A list; send `next_page` as `page` for what comes after it."""

    object: Literal["list"]
    data: list[Item]
    has_more: bool
    next_page: str | None


# -- chat --


class FunctionCall(TypedDict):
    """A call of one of the caller's own functions; `arguments` is JSON in a string."""

    name: str
    arguments: str


class ToolCall(TypedDict):
    """A call that the model asks for."""

    id: str
    type: Literal["function"]
    function: FunctionCall


class AnswerMessage(TypedDict):
    """What the model says."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    tool_calls: NotRequired[list[ToolCall]]


class Choice(TypedDict):
    """The one answer."""

    index: Literal[0]
    message: AnswerMessage
    logprobs: None
    finish_reason: Literal["stop", "length", "tool_calls"]


class PromptDetails(TypedDict):
    """What of the prompt were pictures, and what the model's server had kept."""

    image_tokens: int
    cached_tokens: int


class CostDetails(TypedDict):
    """Decimal strings in dollars."""

    amount: str
    currency: Literal["usd"]
    unit_price_per_million: str


class Usage(TypedDict):
    """OpenAI's, with what it cost [USD]."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    cost: float
    cost_details: CostDetails


class Need(TypedDict):
    """A fact that is missing: which, why it matters, and the words to ask for it."""

    field: str
    why: str
    ask: str


class SafetyRule(TypedDict):
    """A rule that the model was given."""

    id: str
    severity: Severity
    text: str
    source: Json


class Intervened(TypedDict):
    """A sentence of the model that nobody saw as it was; of what was withheld there is only a hash."""

    rule: str
    severity: str
    action: Literal["replaced", "annotated"]
    why: str
    source: Json
    withheld_sha256: str | None


class Safety(TypedDict):
    """What the words were held to."""

    rules: list[SafetyRule]
    interventions: list[Intervened]
    not_checked: list[Json]


class TriageSaid(TypedDict):
    """How soon the animal must be seen [min]."""

    level: Urgency
    see_within_min: int | None
    vtl_colour: Literal["red", "orange", "yellow", "green", "blue"]
    reason: str
    red_flags: list[Json]
    ask_next: list[str]
    contacts: list[Json]


class MaxTokens(TypedDict):
    """How long the answer could be, and what bounded it."""

    applied: int
    limited_by: str


class Vetx(TypedDict):
    """Our extension. The clinic's part is there for `vetx-*` models."""

    engine: str
    ruleset: str
    patient: NotRequired[Json | None]
    patients: NotRequired[list[Json]]
    needs: NotRequired[list[Need]]
    triage: NotRequired[TriageSaid | None]
    safety: NotRequired[Safety]
    calculations: NotRequired[list[Json]]
    images: list[Json]
    max_tokens: MaxTokens
    notice: str


class ChatCompletion(TypedDict):
    """A whole answer; a stream sends the same in `chat.completion.chunk`s."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage
    vetx: Vetx
    metadata: NotRequired[Json]


class RuleNamed(TypedDict):
    """A rule that would be sent."""

    id: str
    severity: Severity


class Estimate(TypedDict):
    """What a call with this body would hold [USD], and whether the wallet could pay its least."""

    object: Literal["estimate"]
    model: str
    prompt_tokens: int
    image_tokens: int
    max_tokens: int
    hold: str
    affordable: bool
    rules: list[RuleNamed]


# -- models --


class Pricing(TypedDict):
    """Dollars a token, as decimal strings."""

    prompt: str
    completion: str


class ModelShown(TypedDict):
    """OpenAI's, with window, prices and where it runs."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    context_window: int
    max_output_tokens: int
    modalities: list[str]
    pricing: Pricing
    engine: str
    quota: str


class Versions(TypedDict):
    """What an answer was made with."""

    service: str
    ruleset: str
    engine: str


class ModelCard(TypedDict):
    """What a model is for, and what was measured of it; null where nothing was."""

    object: Literal["model.card"]
    id: str
    versions: Versions
    intended_use: str
    limits: list[str]
    measured: Json | None


# -- usage and money --


class Amount(TypedDict):
    """Money, as a decimal string."""

    value: str
    currency: Literal["usd"]


class UsageResult(TypedDict):
    """Sums of one bucket, or of all; the fields after `amount` are what it was grouped by."""

    object: Literal["usage.completions.result"]
    input_tokens: int
    output_tokens: int
    input_image_tokens: int
    num_model_requests: int
    num_images: int
    num_videos: int
    num_aborted: int
    num_failed: int
    num_safety_interventions: int
    p50_first_token_ms: int | None
    p95_first_token_ms: int | None
    amount: Amount
    model: str | None
    api_key_id: str | None
    user_id: str | None
    app_source: str | None
    species: str | None
    engine: str | None


class UsageBucket(TypedDict):
    """An hour, day or month of the time zone asked for; `start_time` and `end_time` are epoch seconds."""

    object: Literal["bucket"]
    start_time: int
    end_time: int
    start: str
    results: list[UsageResult]


UsageRange = TypedDict("UsageRange", {"from": str, "to": str, "tz": str})


class UsagePage(TypedDict):
    """Usage by date range."""

    object: Literal["page"]
    range: UsageRange
    data: list[UsageBucket]
    totals: UsageResult
    has_more: bool
    next_page: str | None


class CallShown(TypedDict):
    """One closed call: metadata, never content."""

    id: str
    object: Literal["usage.request"]
    created_at: str
    status: State
    http_status: int | None
    close_reason: str | None
    model: str
    engine: str
    upstream: str | None
    input_tokens: int
    output_tokens: int
    image_tokens: int
    amount: Amount
    first_token_ms: int | None
    duration_ms: int | None
    rules: list[str]
    api_key_id: str | None
    user_id: str | None
    user_id_source: str | None
    app_source: str | None
    species: str | None


class PriceLine(TypedDict):
    """A line of a bill."""

    item: str
    quantity: int
    unit_price: str | None
    amount: Amount


class CallDetail(CallShown):
    """One closed call with what it was billed."""

    closed_at: str
    usage_source: str | None
    hold: Amount
    lines: list[PriceLine]


class CreditTotals(TypedDict):
    """OpenRouter's two figures [USD]."""

    total_credits: float
    total_usage: float


class CreditsShown(TypedDict):
    """The wallet; decimal strings in dollars."""

    object: Literal["credits"]
    currency: Literal["usd"]
    balance: str
    held: str
    available: str
    total_credits: str
    total_used: str
    low_balance_threshold: str | None
    data: CreditTotals


class TransactionShown(TypedDict):
    """An entry of the ledger."""

    id: str
    object: Literal["credit.transaction"]
    type: EntryKind
    amount: Amount
    request_id: str | None
    reference: str | None
    created_at: str


# -- keys and accounts --


class KeyShown(TypedDict):
    """A key without its plain text; money as decimal strings in dollars."""

    id: str
    object: Literal["api_key"]
    name: str
    redacted_value: str
    created_at: str
    expires_at: str | None
    last_used_at: str | None
    disabled: bool
    scopes: list[str]
    allowed_models: list[str]
    allowed_ips: list[str]
    may_set_user_id: bool
    memory_default: MemoryDefault
    limit: str | None
    limit_reset: LimitReset | None
    limit_remaining: str | None
    usage: str
    usage_daily: str
    usage_monthly: str


class KeyMade(KeyShown):
    """A new key: `key` is its plain text, which is nowhere else."""

    key: str


class KeyDeleted(TypedDict):
    """A key that no longer works."""

    id: str
    object: Literal["api_key.deleted"]
    deleted: Literal[True]


class AccountShown(TypedDict):
    """An account with its wallet; decimal strings in dollars."""

    id: str
    object: Literal["account"]
    name: str
    plan: str
    requests_per_min: int | None
    jurisdiction: str | None
    created_at: str
    balance: str
    held: str
    available: str


class FirstKey(TypedDict):
    """A key's id and plain text."""

    id: str
    value: str


class AccountMade(TypedDict):
    """A new account and its first key."""

    account: AccountShown
    key: FirstKey


class CreditAdded(TypedDict):
    """Money that came in; decimal strings in dollars."""

    id: str
    object: Literal["credit"]
    account: str
    amount: str
    currency: Literal["usd"]
    balance: str


class Reconciliation(TypedDict):
    """Whether the books add up; `rows` says where they don't."""

    object: Literal["reconciliation"]
    ok: bool
    rows: list[Json]


# -- the clinic --


class Source(TypedDict):
    """Where a figure was read, and when."""

    title: str
    url: str
    publisher: NotRequired[str | None]
    kind: str
    read_on: str


class Unchecked(TypedDict):
    """What could not be judged, and why: nothing is cleared that stands here."""

    text: str
    why: str


class ClinicAnswer(TypedDict):
    """What every answer of the clinic carries."""

    object: str
    ruleset: str
    needs: list[Need]


class Assessed(ClinicAnswer):
    """An answer about one animal; `covered` is false where there is no record to answer from."""

    jurisdiction: str | None
    audience: Literal["clinician", "owner"]
    patient: Json | None
    covered: bool
    not_checked: list[Unchecked]


class Extracted(ClinicAnswer):
    """What a text names; each with its `span` of characters."""

    patients: list[Json]
    patient: Json | None
    medications: list[Json]
    exposures: list[Json]
    analytes: list[Json]
    signs: list[Json]


class Dosed(Assessed):
    """The recorded doses, computed."""

    doses: list[Json]
    warnings: list[Json]
    calculation: Json | None
    nearest: list[str]
    sources: list[Source]


class Exposed(Assessed):
    """How grave an exposure is, and what to do."""

    agent: str | None
    dose: Json | None
    severity: str | None
    urgent: bool | None
    urgency: Urgency | None
    no_safe_amount: bool | None
    thresholds: list[Json]
    effects: list[str]
    onset_h: Json | None
    emesis: Json | None
    antidotes: list[Any]
    actions: list[str]
    contacts: list[Json]
    assumptions: list[str]
    sources: list[Source]


class Checked(Assessed):
    """Findings on drugs; an empty list says nothing of what stands in `not_checked`."""

    findings: list[Json]
    checked: list[Json]


class Guarded(Assessed):
    """A text as it may go out; `verdict` is null where nothing was found and not everything could be judged."""

    verdict: Literal["unsafe", "safe"] | None
    findings: list[Json]
    corrected: str


class Triaged(Assessed):
    """How soon an animal must be seen [min]."""

    level: Urgency
    urgency: Urgency
    see_within_min: int | None
    vtl_colour: str
    reason: str
    red_flags: list[Json]
    ask_next: list[str]
    contacts: list[Json]


class Differentiated(Assessed):
    """What to think of, can't-miss first, without invented probabilities."""

    differentials: list[Json]
    urgency: Urgency | None
    sources: list[Source]


class Judged(Assessed):
    """Laboratory values in both unit systems, against the caller's range and the record's."""

    results: list[Json]
    patterns: list[Json]
    sources: list[Source]


class Calculated(Assessed):
    """A calculator's result with the way to it."""

    result: Json | None
    formula: str | None
    steps: list[str]
    sources: list[Source]


class Record(TypedDict):
    """A row of the clinic's records."""

    object: str
    name: str


class DocumentListed(TypedDict):
    """A document that chat can write."""

    id: str
    object: str
    name: str
    description: str


# -- operations --


class Alive(TypedDict):
    """The process answers."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """Whether it can serve."""

    status: Literal["ok", "unavailable"]
    database: Literal["ok", "unreachable"]
    draining: bool
    upstreams: Any
    ruleset: str
