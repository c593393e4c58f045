"""The five documents that chat writes as JSON: their shapes, their JSON Schemas, and which words an engine may write.

What is computed or read from records is filled in by us whoever writes; a model only writes the strings of a document's
`words`, so no figure of a document outside a string is ever a model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

import msgspec

Json = dict[str, Any]
Path = tuple[str, ...]
Cited = Annotated[list[int], msgspec.Meta(description="Numbers of the rows of `sources` that this rests on.")]
Animal = Annotated[int | None, msgspec.Meta(description="Which of `patients` this is about, from 0; null: not known.")]
Level = Literal["emergency", "urgent", "routine", "home_care"]
PREFIX: Final = "vetx_"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


class _Row(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Every field is always there."""


class Source(_Row):
    """Where something was read, and on which day."""

    number: int
    title: str
    url: str
    publisher: str
    read_on: str


class Quantity(_Row):
    """A figure with its unit, in UCUM."""

    value: float
    unit: str


class Range(_Row):
    """From `min` to `max`, both included."""

    min: float
    max: float
    unit: str


class Age(_Row):
    """An age as it was given."""

    value: float
    unit: str


class Weight(_Row):
    """A weight as it was given."""

    value: float
    unit: str
    measured_on: str | None


class ConditionScore(_Row):
    """Body condition, on a scale of 5 or 9."""

    score: float
    scale: int


class Genotype(_Row):
    """A genetic test."""

    gene: str
    result: str


class Medication(_Row):
    """A medication in parts."""

    name: str
    amount: float | None
    unit: str | None
    route: str | None
    frequency: str | None
    started_on: str | None
    stopped_on: str | None


class Patient(_Row):
    """The animal; every endpoint accepts it unchanged."""

    id: str | None
    name: str | None
    species: str | None
    breed: str | None
    sex: str | None
    neutered: bool | None
    age: Age | None
    age_months: float | None
    birth_date: str | None
    weight: Weight | None
    weight_kg: float | None
    ideal_weight_kg: float | None
    body_condition: ConditionScore | None
    pregnant: bool | None
    lactating: bool | None
    genotype: list[Genotype]
    food_producing: bool | None
    production_class: str | None
    conditions: list[str]
    allergies: list[str]
    medications: list[str | Medication]


class Need(_Row):
    """What is missing, why, and the question that gets it."""

    field: str
    why: str
    ask: str


class Unchecked(_Row):
    """What nothing here clears."""

    text: str
    why: str


class Told(_Row):
    """A fact that was told. `quote` is how, word for word; null where it was given as data or in several messages."""

    kind: Literal["sign", "exposure", "medication", "condition", "allergy"]
    text: str
    quote: str | None
    animal: Animal


class RedFlag(_Row):
    """A sign or exposure that decides how soon the animal is seen."""

    sign: str
    reason: str
    quote: str | None
    sources: Cited


class Contact(_Row):
    """Whom to call."""

    name: str
    phone: str
    country: str | None
    fee: str | None
    sources: Cited


class Urgency(_Row):
    """How soon an animal must be seen."""

    level: Level
    see_within_min: int | None
    vtl_colour: str
    reason: str
    red_flags: list[RedFlag]


class Vital(_Row):
    """A vital sign beside what is usual for the species."""

    name: str
    value: float
    unit: str | None
    comparator: str | None
    low: float | None
    high: float | None
    flag: str | None
    animal: Animal
    sources: Cited


class Interval(_Row):
    """What a value is held against: the caller's own range, or that of a record."""

    low: float | None
    high: float | None
    unit: str | None
    source: str | None


class Result(_Row):
    """A laboratory value. `flag` is LL, L, N, H, HH; null with a `why` where it can't be judged."""

    analyte: str
    value: float | None
    unit: str | None
    comparator: str | None
    si: Quantity | None
    interval: Interval | None
    flag: Literal["LL", "L", "N", "H", "HH"] | None
    why: str | None
    animal: Animal
    sources: Cited


class Pattern(_Row):
    """Values that mean more together."""

    name: str
    why: str
    urgency: str | None
    sources: Cited


class Threshold(_Row):
    """An amount from which something was seen."""

    value: float | None
    unit: str | None
    band: str | None
    effect: str | None
    reached: bool | None
    sources: Cited


class Emesis(_Row):
    """Whether to make it vomit; for a vet to decide."""

    advised: Literal["yes", "no", "contraindicated"] | None
    why: str


class Exposure(_Row):
    """Something swallowed or met; `happened` is false where somebody only asks what would be if."""

    substance: str
    agent: str | None
    covered: bool
    happened: bool
    dose: Quantity | None
    formula: str | None
    severity: str | None
    no_safe_amount: bool
    thresholds: list[Threshold]
    effects: list[str]
    onset_h: Range | None
    emesis: Emesis | None
    antidotes: list[str]
    actions: list[str]
    animal: Animal
    sources: Cited


class Caution(_Row):
    """A finding on drugs: against the animal, each other or their doses."""

    rule: str | None
    severity: Literal["absolute", "high", "moderate", "info"]
    drugs: list[str]
    text: str
    alternatives: list[str]
    animal: Animal
    sources: Cited


class Rule(_Row):
    """A safety rule that holds for this animal."""

    id: str
    severity: str
    text: str
    sources: Cited


class Tablets(_Row):
    """A number of tablets of one strength."""

    count: float
    strength_mg: float
    amount_mg: float | None


class Withdrawal(_Row):
    """How long food from the animal must wait; null with a `why` where nobody can say."""

    meat_d: float | None
    milk_h: float | None
    eggs_d: float | None
    why: str | None


class Dose(_Row):
    """A dose on record, computed for this animal; `advised` is false where a finding speaks against it."""

    drug: str
    indication: str | None
    route: str | None
    per_kg: Range | None
    per: str | None
    amount: Range | None
    per_administration: Range | None
    volume: Range | None
    strength: Quantity | None
    tablets: list[Tablets]
    formula: str | None
    frequency: str | None
    max_single: Quantity | None
    max_daily: Quantity | None
    duration_days: float | None
    status: str | None
    jurisdiction: str | None
    withdrawal: Withdrawal | None
    advised: bool
    notes: str | None
    animal: Animal
    sources: Cited


class Calculation(_Row):
    """A figure worked out, with its formula."""

    name: str
    inputs: str
    formula: str
    result: str
    sources: Cited


class Differential(_Row):
    """A condition to think of, with what speaks for and against it. No record holds a probability, so none is given."""

    condition: str
    urgency: str
    cant_miss: bool
    speaks_for: list[str] = msgspec.field(name="for")
    against: list[str]
    next_tests: list[str]
    why: str
    sources: Cited


class Test(_Row):
    """A test, and the conditions it helps to tell apart."""

    test: str
    conditions: list[str] = msgspec.field(name="for")


class RuledOut(_Row):
    """A condition that this animal can't have."""

    condition: str
    why: str


class Poisoning(_Row):
    """A poisoning that would look like this, if the animal could have met the poison."""

    condition: str
    speaks_for: list[str] = msgspec.field(name="for")


class Finding(_Row):
    """A finding that was given: present or absent, high, low or normal."""

    finding: str
    direction: str
    quote: str | None


class ReturnSign(_Row):
    """A sign with which the animal goes to a vet at once."""

    sign: str
    sources: Cited


class Medicine(_Row):
    """A medicine as it was read from what was written; nothing is added to it but what a finding says against it."""

    name: str
    as_read: str
    check: str | None


Summary = Annotated[str, msgspec.Meta(description="In plain sentences.")]
Status = Annotated[
    Literal["draft"], msgspec.Meta(description="Always: a person with the right to sign checks it and signs.")
]
Ruleset = Annotated[str, msgspec.Meta(description="Content hash of the data and rules it was made with.")]
OnePatient = Annotated[Patient | None, msgspec.Meta(description="The animal, where it is exactly one.")]
Animals = Annotated[list[Patient], msgspec.Meta(description="Every animal that was read or given.")]


class _Document(_Row):
    """What every document carries."""

    document: str
    status: Status
    ruleset: Ruleset
    audience: Literal["clinician", "owner"]
    patient: OnePatient
    patients: Animals


class Subjective(_Row):
    """What was said."""

    summary: Summary
    told: list[Told]


class Objective(_Row):
    """What was measured."""

    summary: Summary
    weight_kg: float | None
    vitals: list[Vital]
    results: list[Result]
    patterns: list[Pattern]


class Assessment(_Row):
    """What it may mean. `further_differentials` are the writer's own words, not from records."""

    summary: Summary
    urgency: Urgency | None
    exposures: list[Exposure]
    differentials: list[Differential]
    further_differentials: list[str]
    warnings: list[Caution]
    rules: list[Rule]
    not_checked: list[Unchecked]


class Plan(_Row):
    """What to do. Doses are those on record, computed; none for owners."""

    summary: Summary
    doses: list[Dose]
    calculations: list[Calculation]
    treatment: list[str]
    tests: list[str]
    monitoring: list[str]
    ask: list[Need]
    contacts: list[Contact]


class Soap(_Document):
    """A SOAP note: subjective, objective, assessment, plan."""

    document: Literal["soap"]
    subjective: Subjective
    objective: Objective
    assessment: Assessment
    plan: Plan
    sources: list[Source]
    notice: str


class TriageCard(_Document):
    """How soon the animal must be seen, and what to do until then, to be read in half a minute."""

    document: Literal["triage_card"]
    headline: str
    urgency: Urgency | None
    exposures: list[Exposure]
    do_now: list[str]
    do_not: list[str]
    go_at_once_if: list[ReturnSign]
    ask_next: list[str]
    contacts: list[Contact]
    not_checked: list[Unchecked]
    sources: list[Source]
    notice: str


class Differentials(_Document):
    """Conditions to think of, can't-miss first. `order` is the rule of the order."""

    document: Literal["differentials"]
    summary: Summary
    urgency: Urgency | None
    findings: list[Finding]
    differentials: list[Differential]
    further_differentials: list[str]
    poisonings: list[Poisoning]
    ruled_out: list[RuledOut]
    next_tests: list[Test]
    further_tests: list[str]
    ask_next: list[str]
    order: str
    not_checked: list[Unchecked]
    sources: list[Source]
    notice: str


class Discharge(_Document):
    """A letter to the owner in plain words. `check_before_sending` is for the vet who signs it, not for the owner."""

    document: Literal["discharge"]
    summary: Summary
    what_we_found: list[str]
    medicines: list[Medicine]
    at_home: list[str]
    do_not: list[str]
    come_back_at_once_if: list[ReturnSign]
    contacts: list[Contact]
    check_before_sending: list[str]
    sources: list[Source]
    notice: str


class LabTable(_Document):
    """Laboratory values with their flags; `urgency` is what they alone say, `critical` those that endanger life."""

    document: Literal["lab_table"]
    summary: Summary
    urgency: Level | None
    critical: list[str]
    results: list[Result]
    derived: list[Calculation]
    patterns: list[Pattern]
    comments: list[str]
    ask: list[Need]
    not_checked: list[Unchecked]
    sources: list[Source]
    notice: str


# What an engine writes of them: strings and lists of strings.


class SoapWords(_Row):
    """The words of a SOAP note."""

    subjective: str
    objective: str
    assessment: str
    further_differentials: list[str]
    plan: str
    treatment: list[str]
    tests: list[str]
    monitoring: list[str]


class TriageCardWords(_Row):
    """The words of a triage card."""

    headline: str
    do_now: list[str]
    do_not: list[str]


class DifferentialsWords(_Row):
    """The words of a list of differentials."""

    summary: str
    further_differentials: list[str]
    further_tests: list[str]


class DischargeWords(_Row):
    """The words of a discharge letter."""

    summary: str
    what_we_found: list[str]
    at_home: list[str]
    do_not: list[str]


class LabTableWords(_Row):
    """The words of a table of laboratory values."""

    summary: str
    comments: list[str]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document.

    Attributes:
        words: what an engine writes.
        places: for each of its fields where it stands in the document. A string goes there; lines come after ours.
        task: what an engine is told of it.
    """

    name: str
    whole: type[msgspec.Struct]
    words: type[msgspec.Struct]
    places: Mapping[str, Path]
    task: str

    @property
    def about(self) -> str:
        """One line on what it is."""
        return (self.whole.__doc__ or "").partition("\n")[0]


KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "soap",
                Soap,
                SoapWords,
                {
                    "subjective": ("subjective", "summary"),
                    "objective": ("objective", "summary"),
                    "assessment": ("assessment", "summary"),
                    "further_differentials": ("assessment", "further_differentials"),
                    "plan": ("plan", "summary"),
                    "treatment": ("plan", "treatment"),
                    "tests": ("plan", "tests"),
                    "monitoring": ("plan", "monitoring"),
                },
                "a SOAP note: `subjective` what was told, `objective` what was measured, `assessment` what it may mean "
                "and how urgent it is, `plan` what to do, each in a few sentences; `further_differentials`, "
                "`treatment`, `tests` and `monitoring` one short line each",
            ),
            Kind(
                "triage_card",
                TriageCard,
                TriageCardWords,
                {name: (name,) for name in ("headline", "do_now", "do_not")},
                "a triage card: `headline` one sentence on how soon the animal must be seen, `do_now` what to do until "
                "then and `do_not` what to leave, one short line each",
            ),
            Kind(
                "differentials",
                Differentials,
                DifferentialsWords,
                {name: (name,) for name in ("summary", "further_differentials", "further_tests")},
                "a list of differential diagnoses: `summary` a few sentences, `further_differentials` and "
                "`further_tests` what the list below lacks, one short line each with its reason",
            ),
            Kind(
                "discharge",
                Discharge,
                DischargeWords,
                {name: (name,) for name in ("summary", "what_we_found", "at_home", "do_not")},
                "a discharge letter to the owner in plain, kind words without doses: `summary` a few sentences, "
                "`what_we_found`, `at_home` and `do_not` one short line each",
            ),
            Kind(
                "lab_table",
                LabTable,
                LabTableWords,
                {name: (name,) for name in ("summary", "comments")},
                "the words beside a table of laboratory values: `summary` a few sentences, `comments` one short line a "
                "remark",
            ),
        )
    }
)


@cache
def schema(name: str) -> Json:
    """The JSON Schema of a whole document, as published."""
    return {"$schema": DIALECT, **_inlined(KINDS[name].whole), "title": PREFIX + name}


@cache
def words_schema(name: str) -> Json:
    """The JSON Schema of what an engine writes of a document."""
    return _inlined(KINDS[name].words)


def _inlined(kind: type[msgspec.Struct]) -> Json:
    """A schema whose top is the object itself, as providers want it."""
    made = msgspec.json.schema(kind)
    definitions: Json = made.get("$defs", {})
    top = definitions.pop(kind.__name__)
    return {**top, "$defs": definitions} if definitions else top


@cache
def decoder(name: str) -> msgspec.json.Decoder[Any]:
    """Reads what an engine wrote of a document; raises msgspec.ValidationError or DecodeError."""
    return msgspec.json.Decoder(KINDS[name].words)
