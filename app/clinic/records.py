"""The clinic's knowledge: `species_data/`, read once, checked to the letter and frozen.

A figure without a source, a key nobody knows and a name two drugs share are refused, with file and key.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from app.base.errors import BadData
from app.clinic.units import canonical, convert, dimensions, fold

Json = dict[str, Any]
T = TypeVar("T")

SOURCE_KINDS = ("label", "regulation", "guideline", "reference", "paper", "formulary", "reprint")
BASES = ("per_kg", "per_animal", "per_m2")
DOSE_KINDS = ("range", "exact", "minimum", "loading", "maintenance", "cri")
STATUSES = ("label", "extra_label", "guideline", "formulary", "unverified")
ACTIONS = ("forbid", "limit", "reduce", "caution", "monitor")
SEVERITIES = ("absolute", "high", "moderate", "info")
BANDS = ("minimal", "mild", "moderate", "severe", "life_threatening")
LEVELS = ("emergency", "urgent", "routine", "home_care")
COLOURS = ("red", "orange", "yellow", "green", "blue")
EMESIS = ("yes", "no", "contraindicated")
WEIGHTS = ("cardinal", "common", "possible")
AGES = ("newborn", "young", "adult", "old")
COUNTRIES = ("", "US", "EU", "UK", "CA", "AU")
JURISDICTIONS = ("US", "EU", "UK", "CA", "AU")
GROUPS = (
    "small_mammal", "rodent", "bird", "parrot", "passerine", "poultry", "waterfowl", "reptile", "snake", "lizard",
    "chelonian", "amphibian", "fish", "equid", "ruminant", "small_ruminant", "camelid",
)  # fmt: skip
LANGUAGES = ("en", "es", "fr", "de", "pt", "zh")
ROUTES = (
    "PO", "SC", "IM", "IV", "IO", "IP", "TOP", "OTM", "PR", "INH", "IN", "OPH", "OTIC", "EPI", "IT", "IA", "IMM", "ID",
    "CRI", "ET", "FEED", "WATER", "IC", "VAG", "LOCAL",
)  # fmt: skip
_RECEPTACLES = ("mass", "volume", "activity", "amount", "charge", "count")
_URL = re.compile(r"https?://[A-Za-z0-9.-]+\.[A-Za-z]{2,}(?::\d+)?(?:/\S*)?")
_ID = re.compile(r"[a-z0-9][a-z0-9+.]*(?:-[a-z0-9+.]+)*")
_READ_SINCE = date(2020, 1, 1)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a figure was read, and on which day."""

    title: str
    url: str
    publisher: str
    kind: str
    read_on: date
    supports: tuple[str, ...] = ()
    _shown: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shown = {"title": self.title, "url": self.url, "publisher": self.publisher, "kind": self.kind}
        object.__setattr__(self, "_shown", {**shown, "read_on": self.read_on.isoformat()})

    @property
    def json(self) -> Json:
        """As answers show it."""
        return dict(self._shown)


@dataclass(frozen=True, slots=True)
class Range:
    """From `min` to `max`, both included, in `unit`."""

    min: Decimal
    max: Decimal
    unit: str
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Quantity:
    """A figure with its unit; `what` says of which piece, where that matters."""

    value: Decimal
    unit: str
    what: str = ""
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True)
class Brand:
    """A trade name in a country."""

    name: str
    country: str


@dataclass(frozen=True, slots=True)
class Formulation:
    """A strength that is sold.

    Attributes:
        unit: `mg/mL`, `mg` (per tablet), `%` ...
        pieces: into how many equal parts one tablet may be broken: 1, 2 or 4.
    """

    form: str
    strength: Decimal
    unit: str
    pieces: int
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """Days (meat, eggs) and hours (milk) before food may be used; None where the label does not say."""

    meat_d: Decimal | None = None
    milk_h: Decimal | None = None
    eggs_d: Decimal | None = None


@dataclass(frozen=True, slots=True)
class DoseRecord:
    """One dose of one drug for one species, by one route, for one use.

    Attributes:
        per: what `dose` is for: one dose or one day.
        apart: why its figure lies far from other records of this drug, species and route; "" mostly.
    """

    id: str
    drug: str
    species: str
    life_stage: str
    production_class: str
    indication: str
    route: str
    dose: Range
    basis: str
    dose_kind: str
    per: str
    interval_h: Range | None
    once: bool
    max_single: Quantity | None
    max_daily: Quantity | None
    duration_max_days: Decimal | None
    status: str
    country: str
    withdrawal: Withdrawal | None
    notes: str
    apart: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Drug:
    """A drug with its names, what is sold of it, and its doses."""

    generic: str
    synonyms: tuple[str, ...]
    brands: tuple[Brand, ...]
    atcvet: str
    classes: tuple[str, ...]
    controlled: bool
    human_otc: bool
    narrow: str
    formulations: tuple[Formulation, ...]
    doses: tuple[DoseRecord, ...]

    @property
    def has_record(self) -> bool:
        """False for a drug that only rules name."""
        return bool(self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Generic first, then synonyms, then brands."""
        return (self.generic, *self.synonyms, *(brand.name for brand in self.brands))


@dataclass(frozen=True, slots=True)
class Trigger:
    """When a rule applies: every part that isn't empty or None must match; within a part any value does.

    Attributes:
        product_of: the drug is a product made for one of these kinds of animal: `the pony's wormer`.
    """

    species: tuple[str, ...] = ()
    breed: tuple[str, ...] = ()
    gene: tuple[str, ...] = ()
    condition: tuple[str, ...] = ()
    co_drug: tuple[str, ...] = ()
    co_class: tuple[str, ...] = ()
    production_class: tuple[str, ...] = ()
    jurisdiction: tuple[str, ...] = ()
    route: tuple[str, ...] = ()
    sex: tuple[str, ...] = ()
    age_months_max: Decimal | None = None
    age_months_min: Decimal | None = None
    weight_kg_max: Decimal | None = None
    weight_kg_min: Decimal | None = None
    pregnant: bool | None = None
    lactating: bool | None = None
    food_producing: bool | None = None
    product_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that a rule allows."""

    value: Decimal
    unit: str
    per: str


@dataclass(frozen=True, slots=True)
class RuleRecord:
    """What must not, or not so much, be given, to whom, and why.

    Attributes:
        text: the sentence a vet reads. owner_text: the one an owner reads.
        except_words: an exception in words; except_dose_below: the same for machines.
        deed: of a rule on an act instead of a drug: groups of phrases, one of each of which tells to do it.
        unless: phrases beside which the act is right.
    """

    id: str
    trigger: Trigger
    drugs: tuple[str, ...]
    classes: tuple[str, ...]
    action: str
    limit: Limit | None
    severity: str
    text: str
    owner_text: str
    mechanism: str
    alternatives: tuple[str, ...]
    except_words: str
    except_dose_below: Quantity | None
    sources: tuple[Source, ...]
    deed: tuple[tuple[str, ...], ...] = ()
    unless: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """One agent in a product."""

    agent: str
    value: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Product:
    """Something an animal may swallow, and what of the agent is in it.

    Attributes:
        content: of the agent, the sum of its `components` where they are given; None where only the product's own
            mass counts.
        worst_case: assumed when no product is named.
        unit_mass_g: of one piece [g].
    """

    name: str
    names: tuple[str, ...]
    content: Quantity | None
    components: tuple[Component, ...]
    worst_case: bool
    unit_mass_g: Quantity | None
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """From this amount up, this severity."""

    species: tuple[str, ...]
    value: Decimal
    unit: str
    band: str
    effect: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class NoThreshold:
    """Any amount has this severity."""

    species: tuple[str, ...]
    band: str
    effect: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Emesis:
    """Whether making the animal vomit is advised for this poison, and why."""

    advised: str
    why: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Toxin:
    """Something poisonous: its names, products, thresholds and first aid.

    Attributes:
        title: what it is called in a sentence.
    """

    name: str
    title: str
    names: tuple[str, ...]
    other_names: Mapping[str, tuple[str, ...]]
    agent: str
    category: str
    no_safe_amount_species: tuple[str, ...]
    onset_h: Range | None
    emesis_window_h: Quantity | None
    emesis: Emesis | None
    antidotes: tuple[str, ...]
    actions: tuple[str, ...]
    owner_actions: tuple[str, ...]
    effects: tuple[str, ...]
    differences: str
    products: tuple[Product, ...]
    thresholds: tuple[Threshold, ...]
    no_thresholds: tuple[NoThreshold, ...]

    @property
    def all_names(self) -> tuple[str, ...]:
        """Its name and every lay name, in every language."""
        return (self.name, *self.names, *(name for names in self.other_names.values() for name in names))


@dataclass(frozen=True, slots=True)
class Vital:
    """The usual range of a vital sign."""

    name: str
    unit: str
    low: Decimal
    high: Decimal
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Gene:
    """How often a breed carries a variant, as a share from 0 to 1."""

    gene: str
    frequency: Decimal
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Breed:
    """A breed of one species."""

    name: str
    species: str
    names: tuple[str, ...]
    genes: tuple[Gene, ...]
    weight_kg: Range | None
    sensitivities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Species:
    """A species, its lay names by language, what it can do, and its breeds.

    Attributes:
        juvenile, female, male, ...: words that name the species and say that as well (`puppy`, `mare`, `gelding`).
        surface_k: Meeh's constant: surface [m2] = k x (weight [g])^(2/3) / 10000; None where none is recorded.
        groups: what it belongs to (`bird`, `parrot`); doses, rules, poisons and red flags may name a group.
        singular: the word for one of them where the name is none (`cow` for cattle).
    """

    name: str
    names: Mapping[str, tuple[str, ...]]
    juvenile: tuple[str, ...]
    female: tuple[str, ...]
    male: tuple[str, ...]
    neutered_male: tuple[str, ...]
    neutered_female: tuple[str, ...]
    food_producing: bool
    hindgut_fermenter: bool
    can_vomit: bool
    glucuronidation: str
    production_classes: tuple[str, ...]
    weight_kg: Range
    surface_k: Quantity | None
    vitals: tuple[Vital, ...]
    breeds: tuple[Breed, ...]
    groups: tuple[str, ...] = ()
    singular: str = ""

    @property
    def one(self) -> str:
        """One of them with its article: `a cow`, `an alpaca`."""
        noun = self.singular or self.name
        return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"

    @property
    def all_names(self) -> tuple[str, ...]:
        """Its name and every word that means it, in every language."""
        words = (name for names in self.names.values() for name in names)
        return tuple(
            dict.fromkeys(
                (
                    self.name,
                    *words,
                    *self.juvenile,
                    *self.female,
                    *self.male,
                    *self.neutered_male,
                    *self.neutered_female,
                )
            )
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """The reference interval of an analyte for a species; a critical limit is None where none is recorded."""

    species: str
    unit: str
    low: Decimal
    high: Decimal
    critical_low: Decimal | None
    critical_high: Decimal | None
    method_note: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Analyte:
    """Something a laboratory measures. `value [unit] x factor = value [si_unit]`."""

    name: str
    names: tuple[str, ...]
    loinc: str
    unit: str
    si_unit: str
    factor: Decimal
    factor_sources: tuple[Source, ...]
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Flag:
    """A sign that decides how soon an animal must be seen.

    Attributes:
        phrases: by language, how people say it.
        all_of: groups of words; one of each within a sentence says it too.
        conditions, signs: beginnings of an illness's names, and signs of conditions; an animal known to have the one
            and said to show one of the others raises it too, in whichever messages the two stand.
    """

    id: str
    species: tuple[str, ...]
    sex: str
    sign: str
    phrases: Mapping[str, tuple[str, ...]]
    all_of: tuple[tuple[str, ...], ...]
    conditions: tuple[str, ...]
    signs: tuple[str, ...]
    level: str
    see_within_min: int | None
    vtl_colour: str
    reason: str
    ask_next: tuple[str, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Sign:
    """Something an owner sees or a vet finds, and by language the phrases that say it."""

    id: str
    name: str
    words: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A sign, or an analyte that is `high` or `low`; exactly one of `sign` and `analyte` is not "".

    Attributes:
        weight: `cardinal` is expected, `common` usual, `possible` seen; "" for a finding that argues against.
    """

    sign: str
    analyte: str
    direction: str
    weight: str


@dataclass(frozen=True, slots=True)
class Signalment:
    """What animal it is; a part that is None or empty says nothing.

    Attributes:
        ages: the source's words, where it gives no months.
    """

    age_months_min: Decimal | None = None
    age_months_max: Decimal | None = None
    sex: str = ""
    neutered: bool | None = None
    pregnant: bool | None = None
    lactating: bool | None = None
    breeds: tuple[str, ...] = ()
    ages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """A disease to think of.

    Attributes:
        only: who can have it at all (a pyometra needs a womb). signalment: who mostly has it.
        signs: what speaks for it; against: what speaks against it.
        cant_miss: must be named and ruled out whenever it fits, however seldom it is.
        first_tests: what to do first to confirm it or rule it out.
        toxin: the record of the poison, for a poisoning; "" for every other disease.
        plain: what owners call it, in words without jargon.
    """

    name: str
    names: tuple[str, ...]
    species: tuple[str, ...]
    only: Signalment
    signalment: Signalment
    signs: tuple[Finding, ...]
    against: tuple[Finding, ...]
    urgency: str
    cant_miss: bool
    first_tests: tuple[str, ...]
    toxin: str
    notes: str
    sources: tuple[Source, ...]
    plain: str = ""


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody to call."""

    name: str
    phone: str
    country: str
    kind: str
    fee: str
    sources: tuple[Source, ...]

    @property
    def json(self) -> Json:
        """As answers show it."""
        return {
            "name": self.name,
            "phone": self.phone,
            "country": self.country,
            "kind": self.kind,
            "fee": self.fee,
            "sources": [source.json for source in self.sources],
        }


@dataclass(frozen=True, slots=True)
class Records:
    """Everything in species_data, by name. The `*_by_name` indexes hold folded names (see units.fold).

    Attributes:
        drugs_by_name: a brand may hold several drugs, so each name gives a tuple.
        products_by_name: full names of products (`dark chocolate`), with their toxin.
        breeds_by_name: a breed's name may exist in several species.
        sexed_words: `mare`, `gelding`, `puppy`: species, sex, neutered and juvenile as far as the word says.
        conditions_by_name: a name like `bloat` may stand for another disease in another species.
    """

    drugs: Mapping[str, Drug]
    rules: tuple[RuleRecord, ...]
    toxins: Mapping[str, Toxin]
    species: Mapping[str, Species]
    analytes: Mapping[str, Analyte]
    flags: tuple[Flag, ...]
    contacts: tuple[Contact, ...]
    signs: Mapping[str, Sign]
    conditions: Mapping[str, Condition]
    drugs_by_name: Mapping[str, tuple[Drug, ...]] = field(repr=False)
    toxins_by_name: Mapping[str, Toxin] = field(repr=False)
    products_by_name: Mapping[str, tuple[Toxin, Product]] = field(repr=False)
    species_by_name: Mapping[str, Species] = field(repr=False)
    breeds_by_name: Mapping[str, tuple[Breed, ...]] = field(repr=False)
    analytes_by_name: Mapping[str, Analyte] = field(repr=False)
    rules_by_drug: Mapping[str, tuple[RuleRecord, ...]] = field(repr=False)
    rules_by_class: Mapping[str, tuple[RuleRecord, ...]] = field(repr=False)
    conditions_by_name: Mapping[str, tuple[Condition, ...]] = field(repr=False)

    def drugs_named(self, name: str) -> tuple[Drug, ...]:
        """Every drug that this generic, synonym or brand stands for; empty for an unknown name."""
        return self.drugs_by_name.get(fold(name), ())

    def species_named(self, name: str) -> Species | None:
        """The species of a clinic, lay or foreign word."""
        return self.species_by_name.get(fold(name))

    def breeds_named(self, name: str, species: str | None = None) -> tuple[Breed, ...]:
        """Breeds of that name, of one species where it is given."""
        found = self.breeds_by_name.get(fold(name), ())
        return tuple(breed for breed in found if species is None or breed.species == species)

    def analyte_named(self, name: str) -> Analyte | None:
        """The analyte of a name, abbreviation or LOINC code."""
        return self.analytes_by_name.get(fold(name))

    def conditions_named(self, name: str, species: str | None = None) -> tuple[Condition, ...]:
        """Conditions of that name, of one species where it is given."""
        found = self.conditions_by_name.get(fold(name), ())
        return tuple(one for one in found if species is None or species in one.species)

    def near_drugs(self, name: str) -> list[str]:
        """Generics whose names look most like an unknown one."""
        found = _nearest(name, self.drugs_by_name)
        return list(dict.fromkeys(drug.generic for key in found for drug in self.drugs_by_name[key]))

    def near_toxins(self, name: str) -> list[str]:
        """Toxins whose names look most like an unknown one."""
        return list(dict.fromkeys(self.toxins_by_name[key].name for key in _nearest(name, self.toxins_by_name)))

    def near_species(self, name: str) -> list[str]:
        """Species whose names look most like an unknown one."""
        return list(dict.fromkeys(self.species_by_name[key].name for key in _nearest(name, self.species_by_name)))


def _nearest(name: str, names: Iterable[str]) -> list[str]:
    wanted = fold(name)[:60]
    first, spaced = wanted[:1], " " in wanted
    alike = [
        known for known in names
        if abs(len(known) - len(wanted)) <= 3 and first in known[:2] and (" " in known) == spaced
    ]  # fmt: skip
    return difflib.get_close_matches(wanted, alike, n=5, cutoff=0.72)


class _Table:
    """One TOML table being read: every key is asked for once, and `end` refuses the ones nobody asked for."""

    def __init__(self, file: str, path: str, data: object) -> None:
        self.file = file
        self.path = path
        if not isinstance(data, dict):
            raise BadData(file, path, "must be a table")
        self.data: dict[str, Any] = data
        self.seen: set[str] = set()

    def wrong(self, key: str, problem: str) -> BadData:
        """The error for a key of this table."""
        return BadData(self.file, f"{self.path}.{key}" if self.path else key, problem)

    def take(self, key: str) -> Any:
        """The raw value, or None."""
        self.seen.add(key)
        return self.data.get(key)

    def text(self, key: str, default: str | None = None, among: tuple[str, ...] = ()) -> str:
        value = self.take(key)
        if value is None:
            if default is None:
                raise self.wrong(key, "is missing")
            return default
        if not isinstance(value, str) or (not value.strip() and default != "" and "" not in among):
            raise self.wrong(key, "must be words")
        if among and value not in among:
            raise self.wrong(key, f"is {value!r}, must be one of {', '.join(filter(None, among))}")
        return sys.intern(value.strip())

    def texts(self, key: str, among: tuple[str, ...] = (), required: bool = False) -> tuple[str, ...]:
        value = self.take(key)
        if value is None and not required:
            return ()
        listed = [value] if isinstance(value, str) else value
        if not isinstance(listed, list) or not all(isinstance(item, str) and item.strip() for item in listed):
            raise self.wrong(key, "must be a list of words")
        if required and not listed:
            raise self.wrong(key, "must not be empty")
        for item in listed:
            if among and item not in among:
                raise self.wrong(key, f"has {item!r}, must be of {', '.join(among)}")
        return tuple(sys.intern(item.strip()) for item in listed)

    def flag(self, key: str, default: bool | None = None) -> bool | None:
        value = self.take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.wrong(key, "must be true or false")
        return value

    def number(self, key: str, positive: bool = True) -> Decimal:
        value = self.maybe_number(key, positive)
        if value is None:
            raise self.wrong(key, "is missing")
        return value

    def maybe_number(self, key: str, positive: bool = True) -> Decimal | None:
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
            raise self.wrong(key, "must be a number")
        if value < 0 or (positive and value == 0):
            raise self.wrong(key, "must be more than 0" if positive else "must not be negative")
        return Decimal(value)

    def unit(self, key: str) -> str:
        """A unit we know, in UCUM's words."""
        value = self.text(key)
        known = canonical(value)
        if known is None:
            raise self.wrong(key, f"{value!r} is not a unit we know")
        return known

    def table(self, key: str) -> _Table | None:
        value = self.take(key)
        return None if value is None else _Table(self.file, f"{self.path}.{key}" if self.path else key, value)

    def tables(self, key: str) -> Iterator[_Table]:
        value = self.take(key)
        if value is None:
            return
        if not isinstance(value, list):
            raise self.wrong(key, "must be a list of tables")
        for index, item in enumerate(value):
            path = f"{self.path}.{key}" if self.path else key
            name = item.get("id") or item.get("name") if isinstance(item, dict) else None
            yield _Table(self.file, f"{path}[{name or index}]", item)

    def sources(self, key: str = "sources") -> tuple[Source, ...]:
        """The sources of the figures in this table.

        Raises:
            BadData: none given, or one that can't be looked up.
        """
        found = tuple(_source(table) for table in self.tables(key))
        if not found:
            raise self.wrong(key, "a figure needs a source")
        return found

    def range(self, key: str, unit: str | None = None, sources: bool = False) -> Range | None:
        """`{ min, max }`, with a `unit` of its own unless the key names it."""
        table = self.table(key)
        if table is None:
            return None
        low, high = table.number("min", positive=False), table.number("max")
        if low > high:
            raise table.wrong("min", "is more than max")
        result = Range(low, high, unit or table.unit("unit"), table.sources() if sources else ())
        table.end()
        return result

    def quantity(self, key: str, unit: str | None = None, sources: bool = False, what: bool = False) -> Quantity | None:
        """`{ value, unit }`, or without the unit where the key names it."""
        table = self.table(key)
        if table is None:
            return None
        result = Quantity(
            table.number("value"),
            unit or table.unit("unit"),
            table.text("what", "") if what else "",
            table.sources() if sources else (),
        )
        table.end()
        return result

    def by_language(self, key: str) -> dict[str, tuple[str, ...]]:
        table = self.table(key)
        if table is None:
            return {}
        result = {language: table.texts(language) for language in LANGUAGES}
        table.end()
        return {language: names for language, names in result.items() if names}

    def end(self) -> None:
        """Refuse keys that nobody asked for."""
        unknown = sorted(set(self.data) - self.seen)
        if unknown:
            raise self.wrong(unknown[0], "is not a key we know")


_one_source = cache(Source)
"""What many figures name is one object, as are equal words: half of what the records take in memory."""


def _source(table: _Table) -> Source:
    url = table.text("url")
    if not _URL.fullmatch(url):
        raise table.wrong("url", f"{url!r} is not a web address")
    read_on = table.take("read_on")
    if type(read_on) is not date or read_on < _READ_SINCE:
        raise table.wrong("read_on", "must be the day it was read, like 2026-11-21")
    source = _one_source(
        table.text("title"),
        url,
        table.text("publisher"),
        table.text("kind", among=SOURCE_KINDS),
        read_on,
        table.texts("supports"),
    )
    table.end()
    return source


def _identity(table: _Table, key: str = "id") -> str:
    value = table.text(key)
    if not _ID.fullmatch(value):
        raise table.wrong(key, f"{value!r} must be lower-case words joined by hyphens")
    return value


def _formulation(table: _Table) -> Formulation:
    breaks = table.take("splittable")
    pieces = {None: 1, False: 1, True: 2, "halves": 2, "quarters": 4}.get(
        breaks if not isinstance(breaks, list) else ""
    )
    if pieces is None:
        raise table.wrong("splittable", "must be true, false, halves or quarters")
    result = Formulation(
        form=table.text("form"),
        strength=table.number("strength"),
        unit=table.unit("unit"),
        pieces=pieces,
        sources=table.sources(),
    )
    table.end()
    return result


def _withdrawal(parent: _Table) -> Withdrawal | None:
    table = parent.table("withdrawal")
    if table is None:
        return None
    result = Withdrawal(
        table.maybe_number("meat_d", positive=False),
        table.maybe_number("milk_h", positive=False),
        table.maybe_number("eggs_d", positive=False),
    )
    table.end()
    return result


def _dose(table: _Table, generic: str) -> DoseRecord:
    amount = table.range("dose")
    if amount is None:
        raise table.wrong("dose", "is missing")
    interval, once = table.range("interval_h", "h"), bool(table.flag("once", False))
    kind = table.text("dose_kind", among=DOSE_KINDS)
    if (interval is None) != (once or kind == "cri"):
        raise table.wrong("interval_h", "give either interval_h or once = true")
    basis = table.text("basis", among=BASES)
    measured = dimensions(amount.unit) or ()
    want = {"per_kg": ("mass",), "per_m2": ("area",), "per_animal": ()}[basis] + (("time",) if kind == "cri" else ())
    if measured[0] not in _RECEPTACLES or measured[1:] != want:
        raise table.wrong("dose.unit", f"{amount.unit!r} does not fit basis {basis}, {kind}")
    if basis == "per_kg" and amount.unit.split("/")[1] != "kg":
        raise table.wrong("dose.unit", "must be per kg")
    printed = table.range("as_printed")
    if printed is not None and basis == "per_kg":
        _same_figure(table, amount, printed)
    result = DoseRecord(
        id=_identity(table),
        drug=generic,
        species=table.text("species"),
        life_stage=table.text("life_stage", ""),
        production_class=table.text("production_class", ""),
        indication=table.text("indication"),
        route=table.text("route", among=ROUTES),
        dose=amount,
        basis=basis,
        dose_kind=kind,
        per=table.text("per", among=("dose", "day")),
        interval_h=interval,
        once=once,
        max_single=_bound(table, "max_single", measured[0]),
        max_daily=_bound(table, "max_daily", measured[0]),
        duration_max_days=table.maybe_number("duration_max_days"),
        status=table.text("status", among=STATUSES),
        country=table.text("country", "", among=COUNTRIES),
        withdrawal=_withdrawal(table),
        notes=table.text("notes", ""),
        apart=table.text("apart", ""),
        sources=table.sources(),
    )
    table.end()
    return result


def _bound(table: _Table, key: str, numerator: str) -> Quantity | None:
    """A maximum in the same kind of amount as the dose: per kg, or whole."""
    bound = table.quantity(key)
    if bound is not None and dimensions(bound.unit) not in ((numerator,), (numerator, "mass"), (numerator, "area")):
        raise table.wrong(f"{key}.unit", f"{bound.unit!r} is not comparable with the dose")
    return bound


def _same_figure(table: _Table, amount: Range, printed: Range) -> None:
    """Labels print mg/lb beside mg/kg, and not every pair agrees (21 CFR's fenbendazole does not)."""
    for ours, theirs in ((amount.min, printed.min), (amount.max, printed.max)):
        converted = convert(theirs, printed.unit, amount.unit)
        if converted is None or abs(converted - ours) > ours * Decimal("0.12"):
            raise table.wrong("as_printed", f"{theirs} {printed.unit} is not {ours} {amount.unit}")


def _drug(root: _Table) -> Drug:
    generic = root.text("generic")
    if generic != generic.lower():
        raise root.wrong("generic", "must be lower case")
    brands = []
    for table in root.tables("brands"):
        brands.append(Brand(table.text("name"), table.text("country", "")))
        table.end()
    drug = Drug(
        generic=generic,
        synonyms=root.texts("synonyms"),
        brands=tuple(brands),
        atcvet=root.text("atcvet", ""),
        classes=root.texts("class", required=True),
        controlled=bool(root.flag("controlled", False)),
        human_otc=bool(root.flag("human_otc", False)),
        narrow=root.text("narrow", ""),
        formulations=tuple(_formulation(table) for table in root.tables("formulation")),
        doses=tuple(_dose(table, generic) for table in root.tables("dose")),
    )
    root.end()
    return drug


def _rule(table: _Table) -> RuleRecord:
    when = table.table("trigger")
    if when is None:
        raise table.wrong("trigger", "is missing")
    if not when.data:
        raise table.wrong("trigger", "must say when the rule applies")
    trigger = Trigger(
        species=when.texts("species"),
        breed=when.texts("breed"),
        gene=when.texts("gene"),
        condition=when.texts("condition"),
        co_drug=when.texts("co_drug"),
        co_class=when.texts("co_class"),
        production_class=when.texts("production_class"),
        jurisdiction=when.texts("jurisdiction", JURISDICTIONS),
        route=when.texts("route", ROUTES),
        sex=when.texts("sex", ("male", "female")),
        age_months_max=when.maybe_number("age_months_max"),
        age_months_min=when.maybe_number("age_months_min"),
        weight_kg_max=when.maybe_number("weight_kg_max"),
        weight_kg_min=when.maybe_number("weight_kg_min"),
        pregnant=when.flag("pregnant"),
        lactating=when.flag("lactating"),
        food_producing=when.flag("food_producing"),
        product_of=when.texts("product_of"),
    )
    when.end()
    action = table.text("action", among=ACTIONS)
    bound = table.table("limit")
    limit = None
    if bound is not None:
        limit = Limit(
            bound.number("value"), bound.unit("unit"), bound.text("per", "dose", among=("dose", "day", "once"))
        )
        bound.end()
    if (limit is None) == (action == "limit"):
        raise table.wrong("limit", "belongs to action limit, and to no other")
    drugs, classes = table.texts("drug"), table.texts("class")
    deed = _groups(table, "deed")
    if not drugs and not classes and not deed:
        raise table.wrong("drug", "a rule names a drug or a class, or a deed")
    rule = RuleRecord(
        id=_identity(table),
        trigger=trigger,
        drugs=drugs,
        classes=classes,
        action=action,
        limit=limit,
        severity=table.text("severity", among=SEVERITIES),
        text=table.text("text"),
        owner_text=table.text("owner_text"),
        mechanism=table.text("mechanism", ""),
        alternatives=table.texts("alternatives"),
        except_words=table.text("except", ""),
        except_dose_below=table.quantity("except_dose_below"),
        sources=table.sources(),
        deed=deed,
        unless=table.texts("unless"),
    )
    table.end()
    return rule


def _groups(table: _Table, key: str) -> tuple[tuple[str, ...], ...]:
    """Lists of phrases, one of each of which has to be there."""
    groups = table.take(key) or []
    if not isinstance(groups, list) or not all(
        isinstance(group, list) and group and all(isinstance(word, str) for word in group) for group in groups
    ):
        raise table.wrong(key, "must be a list of lists of words")
    return tuple(tuple(group) for group in groups)


def _product(table: _Table) -> Product:
    components = []
    for part in table.tables("components"):
        components.append(Component(part.text("agent"), part.number("value", positive=False), part.unit("unit")))
        part.end()
    content = table.quantity("content")
    if components:
        sums = [convert(part.value, part.unit, components[0].unit) for part in components]
        if None in sums:
            raise table.wrong("components", "must share a kind of unit")
        total = sum((value for value in sums if value is not None), Decimal(0))
        stated = None if content is None else convert(content.value, content.unit, components[0].unit)
        if content is not None and (stated is None or abs(stated - total) > total * Decimal("0.02")):
            raise table.wrong("content", f"is not the sum of its components, {total} {components[0].unit}")
        content = Quantity(total, components[0].unit)
    product = Product(
        name=table.text("name"),
        names=table.texts("names"),
        content=content,
        components=tuple(components),
        worst_case=bool(table.flag("worst_case", False)),
        unit_mass_g=table.quantity("unit_mass_g", "g", what=True),
        sources=table.sources(),
    )
    table.end()
    return product


def _toxin(root: _Table) -> Toxin:
    thresholds, unbounded = [], []
    for table in root.tables("threshold"):
        thresholds.append(
            Threshold(
                species=table.texts("species", required=True),
                value=table.number("value"),
                unit=table.unit("unit"),
                band=table.text("band", among=BANDS),
                effect=table.text("effect"),
                sources=table.sources(),
            )
        )
        if (dimensions(thresholds[-1].unit) or ())[1:] not in (("mass",), ()):
            raise table.wrong("unit", "must be per kg of the animal, or per animal")
        table.end()
    for table in root.tables("no_threshold"):
        unbounded.append(
            NoThreshold(
                species=table.texts("species", required=True),
                band=table.text("band", among=BANDS),
                effect=table.text("effect"),
                sources=table.sources(),
            )
        )
        table.end()
    emesis = None
    advice = root.table("emesis")
    if advice is not None:
        emesis = Emesis(advice.text("advised", among=EMESIS), advice.text("why"), advice.sources())
        advice.end()
    name = root.text("name")
    toxin = Toxin(
        name=name,
        title=root.text("title", name),
        names=root.texts("names"),
        other_names=root.by_language("other_names"),
        agent=root.text("agent"),
        category=root.text("category"),
        no_safe_amount_species=root.texts("no_safe_amount_species"),
        onset_h=root.range("onset_h", "h", sources=True),
        emesis_window_h=root.quantity("emesis_window_h", "h", sources=True),
        emesis=emesis,
        antidotes=root.texts("antidotes"),
        actions=root.texts("actions", required=True),
        owner_actions=root.texts("owner_actions", required=True),
        effects=root.texts("effects", required=True),
        differences=root.text("differences", ""),
        products=tuple(_product(table) for table in root.tables("product")),
        thresholds=tuple(thresholds),
        no_thresholds=tuple(unbounded),
    )
    root.end()
    if not thresholds and not unbounded:
        raise root.wrong("threshold", "a toxin needs a threshold or a no_threshold")
    return toxin


def _breed(table: _Table, species: str) -> Breed:
    genes = []
    for row in table.tables("genes"):
        frequency = row.number("frequency", positive=False)
        if frequency > 1:
            raise row.wrong("frequency", "is a share from 0 to 1")
        genes.append(Gene(row.text("gene"), frequency, row.sources()))
        row.end()
    breed = Breed(
        name=table.text("name"),
        species=species,
        names=table.texts("names"),
        genes=tuple(genes),
        weight_kg=table.range("weight_kg", "kg", sources=True),
        sensitivities=table.texts("sensitivities"),
    )
    table.end()
    return breed


def _species(root: _Table) -> Species:
    name = root.text("name")
    weight = root.range("weight_kg", "kg", sources=True)
    if weight is None:
        raise root.wrong("weight_kg", "is missing")
    vitals = []
    for table in root.tables("vital"):
        low, high = table.number("low"), table.number("high")
        if low > high:
            raise table.wrong("low", "is more than high")
        vitals.append(Vital(table.text("name"), table.text("unit"), low, high, table.sources()))
        table.end()
    species = Species(
        name=name,
        names=root.by_language("names"),
        juvenile=root.texts("juvenile"),
        female=root.texts("female"),
        male=root.texts("male"),
        neutered_male=root.texts("neutered_male"),
        neutered_female=root.texts("neutered_female"),
        food_producing=bool(root.flag("food_producing", False)),
        hindgut_fermenter=bool(root.flag("hindgut_fermenter", False)),
        can_vomit=bool(root.flag("can_vomit", False)),
        glucuronidation=root.text("glucuronidation", "normal", among=("normal", "deficient")),
        production_classes=root.texts("production_classes"),
        weight_kg=weight,
        surface_k=root.quantity("surface_k", "1", sources=True),
        vitals=tuple(vitals),
        breeds=tuple(_breed(table, name) for table in root.tables("breed")),
        groups=root.texts("groups", GROUPS),
        singular=root.text("singular", ""),
    )
    root.end()
    return species


def _analyte(root: _Table) -> Analyte:
    intervals = []
    for table in root.tables("interval"):
        low, high = table.number("low", positive=False), table.number("high")
        critical_low = table.maybe_number("critical_low", positive=False)
        critical_high = table.maybe_number("critical_high")
        limits = [limit for limit in (critical_low, low, high, critical_high) if limit is not None]
        if limits != sorted(limits):
            raise table.wrong("low", "critical_low, low, high, critical_high must rise")
        intervals.append(
            Interval(
                species=table.text("species"),
                unit=table.text("unit"),
                low=low,
                high=high,
                critical_low=critical_low,
                critical_high=critical_high,
                method_note=table.text("method_note", ""),
                sources=table.sources(),
            )
        )
        table.end()
    analyte = Analyte(
        name=root.text("name"),
        names=root.texts("names"),
        loinc=root.text("loinc", ""),
        unit=root.text("unit"),
        si_unit=root.text("si_unit"),
        factor=root.number("factor"),
        factor_sources=root.sources("factor_sources"),
        intervals=tuple(intervals),
    )
    root.end()
    for interval in analyte.intervals:
        if interval.unit not in (analyte.unit, analyte.si_unit):
            raise root.wrong("interval.unit", f"{interval.unit!r} is neither {analyte.unit} nor {analyte.si_unit}")
    return analyte


def _flag(table: _Table) -> Flag:
    minutes = table.maybe_number("see_within_min", positive=False)
    flag = Flag(
        id=_identity(table),
        species=table.texts("species", required=True),
        sex=table.text("sex", "", among=("", "male", "female")),
        sign=table.text("sign"),
        phrases=table.by_language("phrases"),
        all_of=_groups(table, "all_of"),
        conditions=table.texts("conditions"),
        signs=table.texts("signs"),
        level=table.text("level", among=LEVELS),
        see_within_min=None if minutes is None else int(minutes),
        vtl_colour=table.text("vtl_colour", among=COLOURS),
        reason=table.text("reason"),
        ask_next=table.texts("ask_next"),
        sources=table.sources(),
    )
    table.end()
    return flag


def _sign(table: _Table) -> Sign:
    identity, words = _identity(table), table.by_language("words")
    if not words.get("en"):
        raise table.wrong("words", "must have English phrases")
    sign = Sign(identity, table.text("name", identity.replace("-", " ")), words)
    table.end()
    return sign


def _finding(table: _Table, weighed: bool) -> Finding:
    sign, analyte = table.text("sign", ""), table.text("analyte", "")
    if bool(sign) == bool(analyte):
        raise table.wrong("sign", "give either sign or analyte")
    finding = Finding(
        sign=sign,
        analyte=analyte,
        direction=table.text("direction", among=("high", "low")) if analyte else "",
        weight=table.text("weight", among=WEIGHTS) if weighed else "",
    )
    table.end()
    return finding


def _signalment(parent: _Table, key: str) -> Signalment:
    table = parent.table(key)
    if table is None:
        return Signalment()
    low, high = table.maybe_number("age_months_min", positive=False), table.maybe_number("age_months_max")
    if low is not None and high is not None and low > high:
        raise table.wrong("age_months_min", "is more than age_months_max")
    result = Signalment(
        age_months_min=low,
        age_months_max=high,
        sex=table.text("sex", "", among=("male", "female")),
        neutered=table.flag("neutered"),
        pregnant=table.flag("pregnant"),
        lactating=table.flag("lactating"),
        breeds=table.texts("breeds"),
        ages=table.texts("ages", AGES),
    )
    table.end()
    return result


def _condition(root: _Table) -> Condition:
    condition = Condition(
        name=root.text("name"),
        names=root.texts("names"),
        species=root.texts("species", required=True),
        only=_signalment(root, "only"),
        signalment=_signalment(root, "signalment"),
        signs=tuple(_finding(table, weighed=True) for table in root.tables("signs")),
        against=tuple(_finding(table, weighed=False) for table in root.tables("against")),
        urgency=root.text("urgency", among=LEVELS[:3]),
        cant_miss=bool(root.flag("cant_miss", False)),
        first_tests=root.texts("first_tests", required=True),
        toxin=root.text("toxin", ""),
        notes=root.text("notes", ""),
        sources=root.sources(),
        plain=root.text("plain", ""),
    )
    root.end()
    if not condition.signs:
        raise root.wrong("signs", "is missing")
    every = [(one.sign, one.analyte, one.direction) for one in (*condition.signs, *condition.against)]
    for one in every:
        if every.count(one) > 1:
            raise root.wrong("signs", f"{one[0] or one[1]!r} is there twice")
    return condition


def _contact(table: _Table) -> Contact:
    contact = Contact(
        name=table.text("name"),
        phone=table.text("phone"),
        country=table.text("country", among=COUNTRIES),
        kind=table.text("kind"),
        fee=table.text("fee", ""),
        sources=table.sources(),
    )
    table.end()
    return contact


@dataclass(slots=True)
class _Shelves:
    """What the files gave so far, while they are read."""

    drugs: dict[str, Drug] = field(default_factory=dict)
    rules: list[tuple[str, RuleRecord]] = field(default_factory=list)
    toxins: dict[str, Toxin] = field(default_factory=dict)
    species: dict[str, Species] = field(default_factory=dict)
    analytes: dict[str, Analyte] = field(default_factory=dict)
    flags: list[Flag] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    signs: list[Sign] = field(default_factory=list)
    conditions: dict[str, Condition] = field(default_factory=dict)
    files: dict[tuple[str, str], str] = field(default_factory=dict)


def _read_file(shelves: _Shelves, folder: str, file: Path, name: str) -> None:
    """Put one file on its shelf."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadData(name, "(file)", f"is not TOML: {error}") from None
    root = _Table(name, "", data)
    if folder == "rules":
        shelves.rules += [(name, _rule(table)) for table in root.tables("rule")]
        root.end()
        return
    if folder == "triage":
        shelves.flags += [_flag(table) for table in root.tables("flag")]
        shelves.contacts += [_contact(table) for table in root.tables("contact")]
        root.end()
        return
    if folder == "conditions" and file.stem == "signs":
        shelves.signs += [_sign(table) for table in root.tables("sign")]
        root.end()
        return
    record: Drug | Toxin | Species | Condition | Analyte
    if folder == "drugs":
        record = _drug(root)
        key = record.generic
        shelves.drugs[key] = record
    elif folder == "toxins":
        record = _toxin(root)
        key = record.name
        shelves.toxins[key] = record
    elif folder == "species":
        record = _species(root)
        key = record.name
        shelves.species[key] = record
    elif folder == "conditions":
        record = _condition(root)
        key = record.name
        shelves.conditions[key] = record
    else:
        record = _analyte(root)
        key = record.name
        shelves.analytes[key] = record
    if fold(key) != fold(file.stem):
        raise BadData(name, "name", f"{key!r} belongs in a file of that name")
    shelves.files[folder, key] = name


FOLDERS = ("species", "drugs", "rules", "toxins", "analytes", "triage", "conditions")


def _files(root: Path) -> Iterator[tuple[str, Path, str]]:
    data = root / "species_data"
    for folder in FOLDERS:
        for file in sorted((data / folder).glob("*.toml")):
            yield folder, file, file.relative_to(root).as_posix()


def load(root: Path) -> Records:
    """Everything under `root/species_data`, checked and frozen.

    Raises:
        BadData: the first thing that is wrong, with its file and key.
    """
    shelves = _Shelves()
    for folder, file, name in _files(root):
        _read_file(shelves, folder, file, name)
    if not shelves.species:
        raise BadData("species_data/species", "(folder)", f"nothing to read under {root}")
    _spread_groups(shelves)
    for problem in _across(shelves):
        raise problem
    return _records(shelves)


def problems(root: Path) -> list[BadData]:
    """Everything that is wrong under `root/species_data`: one problem a file, then what does not fit across files."""
    shelves, found = _Shelves(), []
    for folder, file, name in _files(root):
        try:
            _read_file(shelves, folder, file, name)
        except BadData as problem:
            found.append(problem)
    _spread_groups(shelves)
    return found + list(_across(shelves))


def _spread_groups(shelves: _Shelves) -> None:
    """Put its members in the place of every group; a species' own name goes before a group's."""
    members = {
        group: tuple(name for name, species in shelves.species.items() if group in species.groups)
        for group in GROUPS
        if group not in shelves.species
    }

    def spread(names: tuple[str, ...]) -> tuple[str, ...]:
        every = (one for name in names for one in members.get(name) or (name,))
        return tuple(dict.fromkeys(every))

    for generic, drug in shelves.drugs.items():
        doses = []
        for dose in drug.doses:
            if not members.get(dose.species):
                doses.append(dose)
                continue
            said = f"Recorded for the group {dose.species.replace('_', ' ')}, not for this species alone."
            notes = f"{said} {dose.notes}".strip()
            doses += [
                replace(dose, id=f"{dose.id}-{name.replace(' ', '-')}", species=name, notes=notes)
                for name in members[dose.species]
            ]
        shelves.drugs[generic] = replace(drug, doses=tuple(doses))
    shelves.rules = [
        (file, replace(rule, trigger=replace(rule.trigger, species=spread(rule.trigger.species))))
        for file, rule in shelves.rules
    ]
    for name, toxin in shelves.toxins.items():
        shelves.toxins[name] = replace(
            toxin,
            no_safe_amount_species=spread(toxin.no_safe_amount_species),
            thresholds=tuple(replace(row, species=spread(row.species)) for row in toxin.thresholds),
            no_thresholds=tuple(replace(row, species=spread(row.species)) for row in toxin.no_thresholds),
        )
    shelves.flags = [replace(flag, species=spread(flag.species)) for flag in shelves.flags]
    for name, condition in shelves.conditions.items():
        shelves.conditions[name] = replace(condition, species=spread(condition.species))


def _across(shelves: _Shelves) -> Iterator[BadData]:
    """What one file can't know: names used twice, species and drugs that don't exist."""
    known = {*shelves.species, "any"}
    owners: dict[tuple[str, str], str] = {}

    def twice(space: str, names: Iterable[str], owner: str, file: str) -> Iterator[BadData]:
        for name in names:
            other = owners.setdefault((space, fold(name)), owner)
            if other != owner:
                yield BadData(file, owner, f"{space} {name!r} is also of {other}")

    for generic, drug in shelves.drugs.items():
        file = shelves.files.get(("drugs", generic), generic)
        yield from twice("name", (generic, *drug.synonyms), generic, file)
        for dose in drug.doses:
            yield from twice("dose id", (dose.id,), f"{generic}/{id(dose)}", file)
            if dose.species not in shelves.species:
                yield BadData(file, f"dose[{dose.id}].species", f"{dose.species!r} has no file in species/")
                continue
            classes = shelves.species[dose.species].production_classes
            if dose.production_class and dose.production_class not in classes:
                yield BadData(
                    file, f"dose[{dose.id}].production_class", f"is not one of {', '.join(classes) or 'none'}"
                )
    for drug in shelves.drugs.values():
        file = shelves.files.get(("drugs", drug.generic), drug.generic)
        for brand in drug.brands:
            other = owners.get(("name", fold(brand.name)))
            if other not in (None, drug.generic):
                yield BadData(file, "brands", f"{brand.name!r} is also a name of {other}")
    owners_of_names = {*shelves.drugs}
    drug_classes = {name for drug in shelves.drugs.values() for name in drug.classes}
    breeds = {fold(name) for species in shelves.species.values() for breed in species.breeds
              for name in (breed.name, *breed.names)}  # fmt: skip
    for file, rule in shelves.rules:
        key = f"rule[{rule.id}]"
        yield from twice("rule id", (rule.id,), f"{file}/{id(rule)}", file)
        for name in rule.trigger.species:
            if name not in known:
                yield BadData(file, key, f"species {name!r} has no file in species/")
        for name in rule.trigger.product_of:
            if name not in known:
                yield BadData(file, key, f"species {name!r} has no file in species/")
        for name in (*rule.drugs, *rule.trigger.co_drug):
            yield from _slip(name, owners_of_names, file, key, "drug")
        for name in (*rule.classes, *rule.trigger.co_class):
            yield from _slip(name, drug_classes, file, key, "class")
        for name in rule.trigger.breed:
            if fold(name) not in breeds:
                yield BadData(file, key, f"breed {name!r} is in no file of species/")
    for name, toxin in shelves.toxins.items():
        file = shelves.files.get(("toxins", name), name)
        yield from twice("toxin name", toxin.all_names, name, file)
        rows: list[Threshold | NoThreshold] = [*toxin.thresholds, *toxin.no_thresholds]
        for animal in (*toxin.no_safe_amount_species, *(animal for row in rows for animal in row.species)):
            if animal not in known:
                yield BadData(file, "species", f"{animal!r} has no file in species/")
        covered = {animal for row in toxin.no_thresholds for animal in row.species}
        for animal in toxin.no_safe_amount_species:
            if animal not in covered and "any" not in covered:
                yield BadData(file, "no_safe_amount_species", f"{animal} needs a no_threshold with its severity")
    for name, species in shelves.species.items():
        yield from twice("species name", species.all_names, name, shelves.files.get(("species", name), name))
        for breed in species.breeds:
            yield from twice(
                f"breed of {name}", (breed.name, *breed.names), breed.name, shelves.files.get(("species", name), name)
            )
    for name, analyte in shelves.analytes.items():
        file = shelves.files.get(("analytes", name), name)
        yield from twice("analyte name", (name, *analyte.names), name, file)
        for interval in analyte.intervals:
            if interval.species not in shelves.species:
                yield BadData(file, "interval.species", f"{interval.species!r} has no file in species/")
    for flag in shelves.flags:
        yield from twice("flag id", (flag.id,), f"{flag.id}/{id(flag)}", "species_data/triage")
        for animal in flag.species:
            if animal not in known:
                yield BadData("species_data/triage", f"flag[{flag.id}]", f"species {animal!r} has no file in species/")
        for name in set(flag.signs).difference(sign.id for sign in shelves.signs):
            yield BadData("species_data/triage", f"flag[{flag.id}]", f"sign {name!r} is not in signs.toml")
    for sign in shelves.signs:
        file = "species_data/conditions/signs.toml"
        yield from twice("sign id", (sign.id,), f"{sign.id}/{id(sign)}", file)
        yield from twice("sign phrase", (word for words in sign.words.values() for word in words), sign.id, file)
    yield from _conditions_across(shelves)


def _conditions_across(shelves: _Shelves) -> Iterator[BadData]:
    """Species, breeds, signs and analytes that conditions name, and names that two of one species share."""
    signs = {sign.id for sign in shelves.signs}
    owners: dict[tuple[str, str], str] = {}
    for name, condition in shelves.conditions.items():
        file = shelves.files.get(("conditions", name), name)
        animals = [shelves.species[animal] for animal in condition.species if animal in shelves.species]
        for animal in condition.species:
            if animal not in shelves.species:
                yield BadData(file, "species", f"{animal!r} has no file in species/")
            for word in (name, *condition.names):
                other = owners.setdefault((animal, fold(word)), name)
                if other != name:
                    yield BadData(file, "names", f"{word!r} is also of {other}, in the {animal}")
        breeds = {fold(word) for animal in animals for breed in animal.breeds for word in (breed.name, *breed.names)}
        for breed_name in (*condition.only.breeds, *condition.signalment.breeds):
            if fold(breed_name) not in breeds:
                yield BadData(file, "breeds", f"{breed_name!r} is no breed of {', '.join(condition.species)}")
        if condition.toxin and condition.toxin not in shelves.toxins:
            yield BadData(file, "toxin", f"{condition.toxin!r} has no file in toxins/")
        for finding in (*condition.signs, *condition.against):
            if finding.sign and finding.sign not in signs:
                yield BadData(file, "signs", f"{finding.sign!r} is not in signs.toml")
            if finding.analyte and finding.analyte not in shelves.analytes:
                yield BadData(file, "signs", f"{finding.analyte!r} has no file in analytes/")


def _slip(name: str, known: set[str], file: str, key: str, kind: str) -> Iterator[BadData]:
    """A rule may name what has no record yet, but not what looks like a misspelling of what has one."""
    if name not in known:
        near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.87)
        if near:
            yield BadData(file, key, f"{kind} {name!r} has no record; did you mean {near[0]!r}?")
        elif name != name.lower():
            yield BadData(file, key, f"{kind} {name!r} must be lower case")


def _named_only(name: str) -> Drug:
    """A drug that only rules name: they hold for it, and no dose is known."""
    return Drug(name, (), (), "", (), False, False, "", (), ())


def _records(shelves: _Shelves) -> Records:
    """The indexes over what was read."""
    known = {fold(name) for drug in shelves.drugs.values() for name in drug.names}
    for _, rule in shelves.rules:
        for name in (*rule.drugs, *rule.trigger.co_drug):
            if name not in shelves.drugs and fold(name) not in known:
                shelves.drugs[name] = _named_only(name)
    drugs: dict[str, tuple[Drug, ...]] = {}
    for drug in shelves.drugs.values():
        for name in {fold(name): None for name in drug.names}:
            drugs[name] = (*drugs.get(name, ()), drug)
    toxins: dict[str, Toxin] = {}
    products: dict[str, tuple[Toxin, Product]] = {}
    for toxin in shelves.toxins.values():
        own = {fold(name) for name in toxin.all_names}
        for name in own:
            toxins[name] = toxin
        for product in toxin.products:
            for name in {fold(name): None for name in (product.name, *product.names)}:
                says_toxin = any(re.search(rf"\b{re.escape(word)}\b", name) for word in own)
                if says_toxin or name == fold(product.name):
                    products.setdefault(name, (toxin, product))
    breeds: dict[str, tuple[Breed, ...]] = {}
    for species in shelves.species.values():
        for breed in species.breeds:
            for name in {fold(name): None for name in (breed.name, *breed.names)}:
                breeds[name] = (*breeds.get(name, ()), breed)
    analytes: dict[str, Analyte] = {}
    for analyte in shelves.analytes.values():
        for name in (analyte.name, *analyte.names, *((analyte.loinc,) if analyte.loinc else ())):
            analytes[fold(name)] = analyte
    conditions: dict[str, tuple[Condition, ...]] = {}
    for condition in shelves.conditions.values():
        for name in {fold(name): None for name in (condition.name, *condition.names)}:
            conditions[name] = (*conditions.get(name, ()), condition)
    by_drug: dict[str, tuple[RuleRecord, ...]] = {}
    by_class: dict[str, tuple[RuleRecord, ...]] = {}
    for _, rule in shelves.rules:
        for name in rule.drugs:
            by_drug[name] = (*by_drug.get(name, ()), rule)
        for name in rule.classes:
            by_class[name] = (*by_class.get(name, ()), rule)
    return Records(
        drugs=shelves.drugs,
        rules=tuple(rule for _, rule in shelves.rules),
        toxins=shelves.toxins,
        species=shelves.species,
        analytes=shelves.analytes,
        flags=tuple(shelves.flags),
        contacts=tuple(shelves.contacts),
        signs={sign.id: sign for sign in shelves.signs},
        conditions=shelves.conditions,
        drugs_by_name=drugs,
        toxins_by_name=toxins,
        products_by_name=products,
        species_by_name={fold(name): species for species in shelves.species.values() for name in species.all_names},
        breeds_by_name=breeds,
        analytes_by_name=analytes,
        rules_by_drug=by_drug,
        rules_by_class=by_class,
        conditions_by_name=conditions,
    )


class PerRecords(Generic[T]):
    """`make`, its result kept for the last four sets of records; those can't be hashed, and are told by identity."""

    def __init__(self, make: Callable[[Records], T]) -> None:
        self._make = make
        self._kept: list[tuple[Records, T]] = []

    def __call__(self, records: Records) -> T:
        """What is made of these records."""
        for known, made in self._kept:
            if known is records:
                return made
        made = self._make(records)
        self.keep(records, made)
        return made

    def keep(self, records: Records, made: T) -> None:
        """Know what was made of these records before."""
        self._kept = [*self._kept[-3:], (records, made)]


per_records = PerRecords


def cross_check(records: Records) -> list[str]:
    """Doses of one drug, species and route that lie ten times apart without a word on why: most likely a slip."""
    found = []
    for drug in records.drugs.values():
        for index, one in enumerate(drug.doses):
            for other in drug.doses[index + 1 :]:
                if (
                    (one.species, one.route, one.per) != (other.species, other.route, other.per)
                    or one.apart
                    or other.apart
                ):
                    continue
                low, high = sorted(
                    (one, other), key=lambda dose: convert(dose.dose.max, dose.dose.unit, one.dose.unit) or 0
                )
                above = convert(high.dose.min, high.dose.unit, low.dose.unit)
                if above is not None and above >= low.dose.max * 10:
                    found.append(f"{high.id} is ten times {low.id} or more; say why in `apart`")
    return found


def ruleset(root: Path) -> str:
    """A short name for exactly these data files and prompts: changes with any byte of them."""
    digest = hashlib.sha256()
    prompts = sorted((root / "prompts").rglob("*.md"))
    for file in [*sorted((root / "species_data").rglob("*.toml")), *prompts]:
        content = file.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{file.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:12]
