"""The patient: one shape in and out, clinic words normalised, and only what is plausible handed on for computing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Context, Decimal
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, WithJsonSchema

from app.base.errors import Invalid
from app.base.record import record
from app.clinic.records import Breed, Records, Species
from app.clinic.units import canonical, convert, fold, number, shown

Json = dict[str, Any]

MONTHS_PER = {"y": Decimal(12), "mo": Decimal(1), "wk": Decimal(7) / Decimal("30.4375"), "d": 1 / Decimal("30.4375")}
_AGE_UNITS = {
    "y": "y", "yr": "y", "yrs": "y", "year": "y", "years": "y", "yo": "y", "a": "y",
    "mo": "mo", "mos": "mo", "month": "mo", "months": "mo", "m": "mo", "mth": "mo", "mths": "mo",
    "wk": "wk", "wks": "wk", "week": "wk", "weeks": "wk", "w": "wk", "d": "d", "day": "d", "days": "d",
}  # fmt: skip
AGE_MONTHS_MAX = 3600
"""No patient is older: 300 years, more than any tortoise [months]."""
_LEAST = Decimal("1e-9")
_TEN_DIGITS = Context(prec=10)
FIGURE_MAX = 1_000_000_000
_YOUNG_WEIGHS = 20
"""The ranges of the records are mostly those of grown animals; a foal or a kitten weighs down to a twentieth."""
LINES_MAX = 200
WEIGHT_UNITS = ("kg", "g", "lb", "oz", "st")
# Sex and neutering as clinics write them: "MN", "CM", "FS", "intact male", "spayed female".
_SEXES: dict[str, tuple[str, bool | None]] = {
    "male": ("male", None), "m": ("male", None), "boy": ("male", None), "tom": ("male", None), "boar": ("male", None),
    "female": ("female", None), "f": ("female", None), "girl": ("female", None), "queen": ("female", None),
    "mn": ("male", True), "nm": ("male", True), "cm": ("male", True), "mc": ("male", True),
    "male neutered": ("male", True), "neutered male": ("male", True), "castrated male": ("male", True),
    "male castrated": ("male", True), "neutered": ("male", True), "castrated": ("male", True),
    "fs": ("female", True), "sf": ("female", True), "nf": ("female", True), "fn": ("female", True),
    "spayed": ("female", True), "spayed female": ("female", True), "female spayed": ("female", True),
    "neutered female": ("female", True), "female neutered": ("female", True),
    "mi": ("male", False), "im": ("male", False), "me": ("male", False), "intact male": ("male", False),
    "male intact": ("male", False), "entire male": ("male", False), "male entire": ("male", False),
    "fi": ("female", False), "if": ("female", False), "fe": ("female", False), "intact female": ("female", False),
    "female intact": ("female", False), "entire female": ("female", False), "female entire": ("female", False),
}  # fmt: skip
_CLEAR = frozenset(
    ("n n", "normal", "normal normal", "clear", "wild type", "wildtype", "wt", "wt wt", "negative", "not affected",
     "unaffected", "free")
)  # fmt: skip


def _figure(value: object) -> Decimal:
    """JSON numbers only: no strings, no booleans, nothing infinite."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("must be a number")
    exact = Decimal(str(value))
    if not exact.is_finite() or exact < 0 or exact > FIGURE_MAX:
        raise ValueError(f"must be a number from 0 to {FIGURE_MAX}")
    return exact


def _positive(value: object) -> Decimal:
    figure = _figure(value)
    if figure == 0:
        raise ValueError("must be more than 0")
    if figure < _LEAST:
        raise ValueError("is too small to be true")
    return figure


def _day(value: object) -> object:
    """Days as JSON has them: words, not counts of seconds."""
    written = isinstance(value, str) and re.fullmatch(r"\d{4}-\d{2}-\d{2}", value, re.ASCII)
    if not (written or isinstance(value, date)):
        raise ValueError("write a day like 2026-01-31")
    return value


Figure = Annotated[
    Decimal, BeforeValidator(_figure), WithJsonSchema({"type": "number", "minimum": 0, "maximum": FIGURE_MAX})
]
Positive = Annotated[
    Decimal,
    BeforeValidator(_positive),
    WithJsonSchema({"type": "number", "minimum": float(_LEAST), "maximum": FIGURE_MAX}),
]
Word = Annotated[str, Field(min_length=1, max_length=200)]
Line = Annotated[str, Field(min_length=1, max_length=500)]
Strictly = Annotated[bool, Field(strict=True)]
Span = list[Annotated[int, Field(strict=True)]]
Day = Annotated[date, BeforeValidator(_day)]


class Shape(BaseModel):
    """A body that refuses what it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AgeShape(Shape):
    """`{"value": 3, "unit": "years"}`."""

    value: Figure
    unit: Word


class WeightShape(Shape):
    """`{"value": 26.5, "unit": "lb", "measured_on": "2026-11-01"}`."""

    value: Positive
    unit: Word
    measured_on: Day | None = None


class ConditionScore(Shape):
    """Body condition, on a scale of 5 or 9."""

    score: Positive
    scale: Literal[5, 9]


class GenotypeShape(Shape):
    """A genetic test and how it came out: `{"gene": "ABCB1", "result": "mutant/normal"}`."""

    gene: Word
    result: Word


class MedicationShape(Shape):
    """A medication in parts; the other form is the line as written."""

    name: Word
    amount: Figure | None = None
    unit: str | None = Field(None, max_length=40)
    route: str | None = Field(None, max_length=40)
    frequency: str | None = Field(None, max_length=80)
    started_on: Day | None = None
    stopped_on: Day | None = None
    span: Span | None = None


def _form(value: object) -> str:
    return "str" if isinstance(value, str) else "json"


Medications = Annotated[
    Annotated[Line, Tag("str")] | Annotated[MedicationShape, Tag("json")],
    Discriminator(_form),
]
"""A line as written, or its parts; the tags stay out of error paths."""


class PatientShape(Shape):
    """The patient as callers send it and as every endpoint returns it."""

    id: str | None = Field(None, max_length=200)
    name: str | None = Field(None, max_length=200)
    species: str | None = Field(None, max_length=200)
    breed: str | None = Field(None, max_length=200)
    sex: str | None = Field(None, max_length=40)
    neutered: Strictly | None = None
    age: AgeShape | None = None
    age_months: Figure | None = None
    birth_date: Day | None = None
    weight: WeightShape | None = None
    weight_kg: Positive | None = None
    ideal_weight_kg: Positive | None = None
    body_condition: ConditionScore | None = None
    pregnant: Strictly | None = None
    lactating: Strictly | None = None
    genotype: list[GenotypeShape] = Field(default_factory=list, max_length=100)
    food_producing: Strictly | None = None
    production_class: str | None = Field(None, max_length=100)
    conditions: list[Line] = Field(default_factory=list, max_length=LINES_MAX)
    allergies: list[Line] = Field(default_factory=list, max_length=LINES_MAX)
    medications: list[Medications] = Field(default_factory=list, max_length=LINES_MAX)
    span: Span | None = None
    spans: dict[str, Any] | None = None

    def said(self) -> Json:
        """The fields that say something."""
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=True, exclude={"medications"})


class AgeSaid(NamedTuple):
    """An age that a text gives."""

    value: Decimal
    unit: str


class WeightSaid(NamedTuple):
    """A weight that a text gives."""

    value: Decimal
    unit: str
    measured_on: date | None = None


@dataclass(slots=True)
class PatientSaid:
    """A patient as a text gives it: fields of `PatientShape` whose values are right already, without its checks."""

    name: str | None
    species: str | None
    breed: str | None
    sex: str | None
    neutered: bool | None
    age: AgeSaid | None
    weight: WeightSaid | None
    pregnant: bool | None
    lactating: bool | None
    production_class: str | None
    conditions: tuple[str, ...]
    medications: list[str]
    spans: Json
    age_months: Decimal | None = None
    birth_date: date | None = None
    weight_kg: Decimal | None = None
    ideal_weight_kg: Decimal | None = None
    body_condition: ConditionScore | None = None
    genotype: tuple[GenotypeShape, ...] = ()
    food_producing: bool | None = None
    allergies: tuple[str, ...] = ()

    def said(self) -> Json:
        """The fields that say something."""
        said: Json = {} if self.name is None else {"name": self.name}
        for name in ("neutered", "pregnant", "lactating", "production_class"):
            value = getattr(self, name)
            if value is not None:
                said[name] = value
        said["spans"] = self.spans
        return said


@record(frozen=True, slots=True)
class Patient:
    """The animal, normalised.

    Attributes:
        species: None where it was not given or is not covered.
        weight_kg: None where it was not given or can't be true; only this is computed with.
        juvenile: a word such as `puppy` said so, or the age does; None where nothing is known.
        food_producing: the caller's word, else the species' habit; None for a species where it depends.
        genes: gene, folded, to True (carries it), False (tested clear).
        needs: what to ask, with why. shape: the patient as it goes out.
    """

    species: Species | None
    species_words: str
    breed: Breed | None
    breed_words: str
    sex: str | None
    neutered: bool | None
    age_months: Decimal | None
    juvenile: bool | None
    weight_kg: Decimal | None
    ideal_weight_kg: Decimal | None
    pregnant: bool | None
    lactating: bool | None
    genes: Mapping[str, bool]
    food_producing: bool | None
    production_class: str
    conditions: tuple[str, ...]
    allergies: tuple[str, ...]
    medications: tuple[str | MedicationShape, ...]
    needs: tuple[Json, ...]
    shape: Json = field(repr=False)

    @property
    def species_name(self) -> str | None:
        """The name of its species' record."""
        return None if self.species is None else self.species.name


def need(what: str, why: str, ask: str) -> Json:
    """One row of `needs`."""
    return {"field": what, "why": why, "ask": ask}


def normalise(given: PatientShape | PatientSaid, records: Records, today: date | None = None) -> Patient:
    """The patient in our words; what can't be true is asked about and not computed with.

    Args:
        today: for ages from a date of birth; None leaves such an age unknown.

    Raises:
        Invalid: a unit or a sex nobody knows, or two forms of one fact that disagree; `param` names the field.
    """
    needs: list[Json] = []
    species, breed, sex, neutered, juvenile = _kind(given, records, needs)
    age_months = _age_months(given, today)
    if age_months is not None:
        juvenile = juvenile or age_months < 12
    elif juvenile:
        needs.append(
            need("age", "a young animal is dosed and warned by its age", "How many weeks or months old is it?")
        )
    weight_kg = _weight_kg(given)
    usable = None if weight_kg is None else _plausible(weight_kg, species, breed, age_months, juvenile, needs)
    food_producing = given.food_producing
    if food_producing is None and species is not None and species.food_producing:
        food_producing = True
    genes = {fold(test.gene): _carries(test.result) for test in given.genotype}
    return Patient(
        species=species,
        species_words=given.species or "",
        breed=breed,
        breed_words=given.breed or "",
        sex=sex,
        neutered=neutered,
        age_months=age_months,
        juvenile=juvenile,
        weight_kg=usable,
        ideal_weight_kg=given.ideal_weight_kg,
        pregnant=given.pregnant,
        lactating=given.lactating,
        genes=genes,
        food_producing=food_producing,
        production_class=given.production_class or "",
        conditions=tuple(given.conditions),
        allergies=tuple(given.allergies),
        medications=tuple(given.medications),
        needs=tuple(needs),
        shape=_outward(given.said(), given, species, breed, sex, neutered, age_months, weight_kg),
    )


def _outward(
    shape: Json,
    given: PatientShape | PatientSaid,
    species: Species | None,
    breed: Breed | None,
    sex: str | None,
    neutered: bool | None,
    age_months: Decimal | None,
    weight_kg: Decimal | None,
) -> Json:
    """The patient as it goes out: our words, the given form of age and weight, and the figures beside them."""
    out = {
        **shape,
        "species": species.name if species else given.species,
        "breed": breed.name if breed else given.breed,
    }
    out |= {"sex": sex, "neutered": neutered}
    if given.age is not None:
        out["age"] = {"value": number(given.age.value), "unit": given.age.unit}
    if given.weight is not None:
        measured = {"measured_on": given.weight.measured_on.isoformat()} if given.weight.measured_on else {}
        out["weight"] = {"value": number(given.weight.value), "unit": given.weight.unit, **measured}
    if given.body_condition is not None:
        out["body_condition"] = {"score": number(given.body_condition.score), "scale": given.body_condition.scale}
    if given.ideal_weight_kg is not None:
        out["ideal_weight_kg"] = number(given.ideal_weight_kg)
    out["age_months"] = None if age_months is None else number(round(age_months, 2))
    out["weight_kg"] = None if weight_kg is None else number(_TEN_DIGITS.create_decimal(weight_kg))
    out["conditions"], out["allergies"] = list(given.conditions), list(given.allergies)
    out["medications"] = [
        line if isinstance(line, str) else _medication(line)
        for line in given.medications
    ]  # fmt: skip
    return out


def _medication(line: MedicationShape) -> Json:
    dumped = line.model_dump(mode="json", exclude_none=True)
    return dumped if line.amount is None else {**dumped, "amount": number(line.amount)}


def _kind(
    given: PatientShape | PatientSaid, records: Records, needs: list[Json]
) -> tuple[Species | None, Breed | None, str | None, bool | None, bool | None]:
    """Species, breed, sex, neutered and juvenile out of words that often say several at once (`mare`, `DSH`)."""
    sex, neutered, juvenile = None, given.neutered, None
    if given.sex is not None:
        known = _SEXES.get(fold(given.sex)) or _said_by_species(given.sex, records)
        if known is None:
            raise Invalid("Write sex as male or female (MN, FS and the like are read too).", param="patient.sex")
        sex = known[0]
        neutered = known[1] if neutered is None else neutered
    species = breed = None
    if given.species is not None:
        species = records.species_named(given.species)
        if species is None:
            breeds = records.breeds_named(given.species)
            if len({row.species for row in breeds}) == 1:
                species, breed = records.species[breeds[0].species], breeds[0]
    if given.breed is not None:
        breeds = records.breeds_named(given.breed, species.name if species else None)
        if breeds and (given.species is None or species is not None) and len({row.species for row in breeds}) == 1:
            breed = breeds[0]
            species = records.species[breed.species]
        elif not breeds and species is not None and records.breeds_named(given.breed):
            needs.append(
                need(
                    "breed", f"{given.breed} is not a breed of {species.name}", "Which breed, and which kind of animal?"
                )
            )
    if species is not None and given.species is not None:
        word = fold(given.species)
        said = _sexed(species, word)
        if said is not None:
            sex = sex or said[0]
            neutered = said[1] if neutered is None else neutered
        juvenile = True if word in _folded(species.juvenile) else None
    if given.species is None and species is None:
        needs.append(need("species", "doses and poisons differ by species", "What kind of animal is it?"))
    return species, breed, sex, neutered, juvenile


@cache
def _folded(words: tuple[str, ...]) -> frozenset[str]:
    """A species' words for a sex or an age, as every index holds them."""
    return frozenset(map(fold, words))


def _sexed(species: Species, word: str) -> tuple[str, bool | None] | None:
    """What a word of this species says of sex and neutering: `gelding` is a neutered male."""
    said: tuple[tuple[tuple[str, ...], tuple[str, bool | None]], ...] = (
        (species.neutered_male, ("male", True)),
        (species.neutered_female, ("female", True)),
        (species.male, ("male", None)),
        (species.female, ("female", None)),
    )
    return next((meaning for words, meaning in said if word in _folded(words)), None)


def _said_by_species(word: str, records: Records) -> tuple[str, bool | None] | None:
    """A species' own word used as a sex: `"sex": "gelding"`."""
    species = records.species_named(word)
    return None if species is None else _sexed(species, fold(word))


def _carries(result: str) -> bool:
    """Whether a genetic test's words say that the animal carries the variant; unclear words count as carrying it."""
    words = fold(result)
    return words not in _CLEAR


def _age_months(given: PatientShape | PatientSaid, today: date | None) -> Decimal | None:
    """Age [months] of whichever form was given.

    Raises:
        Invalid: an unknown unit, a birth after today, or two ages that differ.
    """
    if given.birth_date is not None and today is not None:
        days = (today - given.birth_date).days
        if days < 0:
            raise Invalid("birth_date lies in the future.", param="patient.birth_date")
        return days * MONTHS_PER["d"]
    if given.age is None:
        if given.age_months is not None and given.age_months > AGE_MONTHS_MAX:
            raise Invalid("No animal is that old; write age_months in months.", param="patient.age_months")
        return given.age_months
    unit = _AGE_UNITS.get(given.age.unit.strip().lower().rstrip("."))
    if unit is None:
        raise Invalid("Write the unit of age as years, months, weeks or days.", param="patient.age.unit")
    months = given.age.value * MONTHS_PER[unit]
    if months > AGE_MONTHS_MAX:
        raise Invalid("No animal is that old; check the unit of age.", param="patient.age.value")
    if given.age_months is not None and abs(given.age_months - months) > max(Decimal("0.6"), months / 20):
        raise Invalid("age and age_months differ; send one of them.", param="patient.age_months")
    return months


def _weight_kg(given: PatientShape | PatientSaid) -> Decimal | None:
    """Weight [kg] of whichever form was given, exact.

    Raises:
        Invalid: a unit that is no weight, or two weights that differ.
    """
    if given.weight is None:
        return given.weight_kg
    unit = canonical(given.weight.unit)
    kilograms = None if unit not in WEIGHT_UNITS else convert(given.weight.value, unit, "kg")
    if kilograms is None:
        raise Invalid("Write the unit of weight as kg, g, lb, oz or st.", param="patient.weight.unit")
    if kilograms < _LEAST:
        raise Invalid("No animal is that light; check weight and its unit.", param="patient.weight.value")
    if given.weight_kg is not None and abs(given.weight_kg - kilograms) > kilograms / 100:
        raise Invalid("weight and weight_kg differ; send one of them.", param="patient.weight_kg")
    return kilograms


def _plausible(
    weight_kg: Decimal,
    species: Species | None,
    breed: Breed | None,
    age_months: Decimal | None,
    juvenile: bool | None,
    needs: list[Json],
) -> Decimal | None:
    """The weight if this species can have it, else None and a question. A breed's own range only asks."""
    if species is None:
        return weight_kg
    bounds = species.weight_kg
    young = juvenile or (age_months is not None and age_months < 12)
    if not (bounds.min / _YOUNG_WEIGHS if young else bounds.min) <= weight_kg <= bounds.max:
        needs.append(
            need(
                "weight",
                f"{shown(weight_kg)} kg is outside {shown(bounds.min)} to {shown(bounds.max)} kg, the range of a "
                f"{species.name}; nothing was computed with it",
                "Please weigh again, and say the unit (kg or lb).",
            )
        )
        return None
    usual = breed.weight_kg if breed else None
    grown = age_months is not None and age_months >= 12 and not juvenile
    if breed and usual and (weight_kg > usual.max * 2 or (grown and weight_kg < usual.min / 2)):
        needs.append(
            need(
                "weight",
                f"{shown(weight_kg)} kg is unusual for a {breed.name} ({shown(usual.min)} to {shown(usual.max)} kg)",
                "Is the weight right, and is it in kg?",
            )
        )
    return weight_kg
