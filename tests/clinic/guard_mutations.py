"""Correct sentences about the doses on record, in many phrasings, and the same with one slip in each.

A model that writes a dose writes it in one of these ways; a slip is one wrong word or figure. What is harmful is
decided here from the record alone, so that the guard's own reading can be found wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from app.clinic import rules, units
from app.clinic.records import DoseRecord, Drug, Records

USED = (
    "acepromazine", "alprazolam", "amitriptyline", "amlodipine", "amoxicillin", "amoxicillin clavulanate",
    "apomorphine", "atropine", "azithromycin", "benazepril", "buprenorphine", "butorphanol", "carprofen",
    "cefazolin", "cefovecin", "cephalexin", "cetirizine", "clindamycin", "cyclosporine", "deracoxib",
    "dexamethasone", "dexmedetomidine", "diazepam", "digoxin", "diphenhydramine", "doxycycline", "enalapril",
    "enrofloxacin", "famotidine", "fenbendazole", "firocoxib", "fluconazole", "fluoxetine", "flunixin",
    "furosemide", "gabapentin", "grapiprant", "hydromorphone", "itraconazole", "ivermectin", "ketamine",
    "levetiracetam", "levothyroxine", "marbofloxacin", "maropitant", "meloxicam", "methadone", "methimazole",
    "metoclopramide", "metronidazole", "midazolam", "mirtazapine", "oclacitinib", "omeprazole", "ondansetron",
    "phenobarbital", "phenylbutazone", "pimobendan", "praziquantel", "prednisolone", "prednisone", "propofol",
    "robenacoxib", "selamectin", "sildenafil", "spironolactone", "sucralfate", "telmisartan", "theophylline",
    "tramadol", "trazodone", "trimethoprim sulfadiazine", "xylazine",
)  # fmt: skip
WEIGHTS_KG = {"dog": 20, "cat": 4, "rabbit": 2, "horse": 500, "cattle": 600}
ABOVE = Decimal("2.1")
"""So many times the most on record, given once or in a day, is an overdose here."""

_ROUTES = {
    "PO": "by mouth", "IV": "IV", "IM": "IM", "SC": "SC", "TOP": "topically", "IO": "IO", "OTM": "OTM",
    "PR": "rectally",
    "LOCAL": "by local infiltration", "EPI": "epidurally", "INH": "inhaled", "IMM": "into the udder",
    "IP": "IP", "IN": "intranasal", "OPH": "in the eye",
}  # fmt: skip
_NOTED = {"IN": "intranasal", "LOCAL": "local block"}
_SPANISH = {"PO": "por v\u00eda oral", "dog": "al perro", "cat": "al gato"}
_GERMAN = {"dog": "dem Hund", "cat": "der Katze"}
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


@dataclass(frozen=True, slots=True)
class Given:
    """A dose as a sentence will state it.

    Attributes:
        amount, unit, basis: per kg or for the animal, as the record has it.
        hours: between doses [h]; None for a single one.
        weight: of the animal [kg]. heavy: the unit its weight is said in.
    """

    drug: str
    name: str
    species: str
    amount: Decimal
    unit: str
    basis: str
    per_day: bool
    route: str
    hours: Decimal | None
    weight: Decimal
    law: str
    per: str = "kg"

    @property
    def patient(self) -> dict[str, Any]:
        """The animal as a request states it."""
        told: dict[str, Any] = {"species": self.species, "weight_kg": float(self.weight)}
        return told | ({"food_producing": False} if self.species in ("horse", "rabbit") else {})

    @property
    def figure(self) -> str:
        """`4.4 mg/kg`."""
        return f"{plain(self.amount)} {self.stroke}"

    @property
    def stroke(self) -> str:
        """`mg/kg`."""
        per = f"/{self.per}" if self.basis == "per_kg" else ""
        return f"{units.spelt(self.unit)}{per}{'/day' if self.per_day else ''}"

    @property
    def whole(self) -> str:
        """For this animal, `88 mg`."""
        amount = self.amount * self.weight if self.basis == "per_kg" else self.amount
        if self.per == "lb":
            amount /= units.KG_PER_LB
        return f"{plain(amount)} {units.spelt(self.unit)}{' a day' if self.per_day else ''}"

    @property
    def how(self) -> str:
        """The route in words."""
        return _ROUTES.get(self.route, self.route)

    @property
    def often(self) -> str:
        """`every 12 hours`."""
        return "once" if self.hours is None else f"every {plain(self.hours)} hours"


def plain(value: Decimal) -> str:
    """Without an exponent or trailing zeros, at most four places after the point."""
    text = f"{round(value, 4):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def spelled(value: Decimal) -> str | None:
    """`twenty-two`, `zero point one`; None for what nobody spells out."""
    text = plain(value)
    whole, _, part = text.partition(".")
    number = int(whole)
    if len(part) > 2 or number > 999:
        return None
    tens, ones = divmod(number % 100, 10)
    words = _TEENS[ones] if tens == 1 else " ".join(one for one in (_TENS[tens], _DIGITS[ones] if ones else "") if one)
    if number >= 100:
        words = f"{_DIGITS[number // 100]} hundred" + (f" and {words}" if words else "")
    words = words or "zero"
    return words + (" point " + " ".join(_DIGITS[int(one)] for one in part) if part else "")


def _spelled_out(one: Given) -> str | None:
    number = spelled(one.amount)
    kind = {"mg": "milligrams", "g": "grams", "ug": "micrograms"}.get(one.unit)
    if number is None or kind is None:
        return None
    per = {"kg": " per kilogram", "lb": " per pound"}[one.per] if one.basis == "per_kg" else ""
    return (
        f"Give {number} {kind}{per} of {one.name} {one.how} {one.often}{' as the daily dose' if one.per_day else ''}."
    )


def _spanish(one: Given) -> str:
    how = _SPANISH["PO"] if one.route == "PO" else one.how
    often = "una sola vez" if one.hours is None else f"cada {plain(one.hours)} horas"
    figure = one.figure.replace(".", ",").replace("/day", "/d\u00eda")
    return f"Administre {one.name} {figure} {how} {often}."


def _german(one: Given) -> str:
    often = "einmal" if one.hours is None else f"alle {plain(one.hours)} Stunden"
    figure = one.figure.replace(".", ",").replace("/day", "/Tag")
    how = "oral" if one.route == "PO" else one.how
    return f"Geben Sie {_GERMAN.get(one.species, 'dem Tier')} {one.name} {figure} {how} {often}."


PHRASINGS: dict[str, Callable[[Given], str | None]] = {
    "note": lambda one: (
        f"{one.name.capitalize()} {one.figure} {one.route} q{plain(one.hours)}h."
        if one.hours
        else f"{one.name.capitalize()} {one.figure} {one.route} once."
    ),
    "start": lambda one: f"Start {one.name} at {one.figure} {one.how} {one.often} and see him again on Friday.",
    "bullet": lambda one: f"**Plan**\n\n- **{one.name.capitalize()}**: {one.figure} {one.how}, {one.often}\n- Rest",
    "table": lambda one: (
        "| Drug | Dose | Route | Interval |\n|---|---|---|---|\n"
        f"| {one.name.capitalize()} | {one.figure} | {one.how} | {one.often} |\n"
    ),
    "fields": lambda one: f"Drug: {one.name}\n- Dose: {one.figure}\n- Route: {one.how}\n- Frequency: {one.often}\n",
    "two sentences": lambda one: (
        f"{one.name.capitalize()} is a good choice here. The dose is {one.figure} {one.how} {one.often}."
    ),
    "it": lambda one: f"I would use {one.name}. Give it {one.how} at {one.figure} {one.often}.",
    "whole": lambda one: f"For this {one.species}, give {one.whole} of {one.name} {one.how} {one.often}.",
    "owner": lambda one: (
        f"Your vet will want you to give {one.whole} of {one.name} {one.often}. Call us if anything changes."
    ),
    "before": lambda one: f"{one.figure} of {one.name} {one.how} {one.often} is the usual dose.",
    "at the end": lambda one: f"Once he is stable, {one.name} can be given {one.how} {one.often}, at {one.figure}.",
    "spelled out": _spelled_out,
    "Spanish": _spanish,
    "German": _german,
}


ROUTELESS = frozenset(("fields", "two sentences", "it", "owner"))
"""Phrasings whose first sentence gives the drug without a route."""


def route_matters(one: Given, records: Records) -> bool:
    """Whether some other route of this drug is forbidden to this kind of animal."""
    return any(
        rule.action == "forbid"
        and rule.trigger.route
        and (not rule.trigger.species or one.species in rule.trigger.species)
        for rule in rules.of_drug(records.drugs[one.drug], records)
    )


def every_dose(records: Records) -> Iterator[tuple[Given, DoseRecord, Drug]]:
    """Each comparable dose on record of the drugs most used."""
    for generic in USED:
        drug = records.drugs.get(generic)
        for row in drug.doses if drug is not None else ():
            unit = row.dose.unit.split("/")
            if row.status == "unverified" or row.dose_kind == "cri" or row.basis == "per_m2":
                continue
            if unit[0] not in ("mg", "ug", "g", "[IU]", "mEq") or "(ABCB1) test" in row.indication:
                continue  # the latter is right only for a dog that was tested, which these are not
            weight = typical_kg(row.species, records)
            hours = row.interval_h.max if row.interval_h is not None else None
            law = row.country or "EU"
            assert drug is not None
            yield Given(generic, generic, row.species, row.dose.max, unit[0], row.basis, row.per == "day", row.route,
                        hours, weight, law), row, drug  # fmt: skip


def typical_kg(species: str, records: Records) -> Decimal:
    """A weight in the middle of a kind's [kg]."""
    span = records.species[species].weight_kg
    return Decimal(WEIGHTS_KG.get(species) or f"{(span.min * span.max).sqrt():.2g}")


def brands(one: Given, drug: Drug, records: Records) -> Iterator[Given]:
    """The same dose under each trade name that is this drug's alone."""
    for brand in drug.brands[:2]:
        owners = [other for other in records.drugs.values() if any(row.name == brand.name for row in other.brands)]
        if len(owners) == 1:
            yield replace(one, name=brand.name)


def mutations(one: Given) -> Iterator[tuple[str, Given]]:
    """The slips that a model makes, by name."""
    yield "tenfold", replace(one, amount=one.amount * 10)
    if one.basis == "per_kg":
        yield "lb for kg", replace(one, per="lb")
    if one.unit == "ug":
        yield "mg for mcg", replace(one, unit="mg")
    if one.unit == "mg":
        yield "g for mg", replace(one, unit="g")
    if one.hours is not None and one.hours >= 24:
        yield "q4h for q24h", replace(one, hours=Decimal(4))


def harmless(one: Given) -> Iterator[tuple[str, Given]]:
    """Changes that overdose nobody."""
    yield "as recorded", one
    yield "half", replace(one, amount=one.amount / 2)


def _per_kg(amount: Decimal, unit: str, basis: str, weight: Decimal) -> Decimal:
    fine = units.convert(amount, unit, "ug") if unit in ("mg", "ug", "g") else amount
    assert fine is not None
    return fine / weight if basis == "per_animal" else fine


def _alike(unit: str, other: str) -> bool:
    """Whether two units measure the same."""
    return unit == other or (unit in ("mg", "ug", "g") and other in ("mg", "ug", "g"))


def times_the_record(one: Given, drug: Drug, *, routed: bool = True) -> Decimal:
    """How many times the most on record this is, single or daily, whichever is more; `routed` by its own route."""
    rows = [
        row
        for row in drug.doses
        if row.species == one.species and row.status != "unverified" and row.dose_kind != "cri"
        and row.basis != "per_m2" and _alike(row.dose.unit.split("/")[0], one.unit)
        and (row.route == one.route or not routed)
    ]  # fmt: skip
    amount = one.amount / units.KG_PER_LB if one.per == "lb" else one.amount
    given = _per_kg(amount, one.unit, one.basis, one.weight)
    each = [_per_kg(row.dose.max, row.dose.unit.split("/")[0], row.basis, one.weight) for row in rows]
    daily = [
        most * (Decimal(1) if row.per == "day" or row.interval_h is None else max(24 / row.interval_h.min, Decimal(1)))
        for row, most in zip(rows, each, strict=True)
    ]
    single = given / max(max(each), max(daily) if one.per_day else Decimal(0))
    if one.hours is None or any(row.interval_h is None and row.per != "day" for row in rows):
        return single
    often = Decimal(1) if one.per_day else max(24 / one.hours, Decimal(1))
    return max(single, given * often / max(daily))


def banned(records: Records) -> Iterator[tuple[Given, str]]:
    """Each drug of these given, at a dose of another species, to a kind of animal that must not have it; the rule."""
    doses = {given.drug: given for given, _, _ in every_dose(records)}
    for generic, given in doses.items():
        for rule in rules.of_drug(records.drugs[generic], records):
            trigger = rule.trigger
            if rule.action != "forbid" or rule.severity not in ("absolute", "high") or not only_species(rule):
                continue
            if trigger.route and not {"PO", "IV", "SC", "IM"}.intersection(trigger.route):
                continue
            for species in trigger.species:
                if species not in records.species:
                    continue
                weight = typical_kg(species, records)
                route = next((one for one in ("PO", "IV", "SC", "IM") if one in trigger.route), "PO")
                law = next(iter(trigger.jurisdiction), "EU")
                yield replace(given, species=species, weight=weight, route=route, law=law), rule.id


def only_species(rule: Any) -> bool:
    """Whether a rule holds for a kind of animal whatever else is known of it."""
    trigger = rule.trigger
    listed = (trigger.breed, trigger.gene, trigger.condition, trigger.co_drug, trigger.co_class,
              trigger.production_class, trigger.sex)  # fmt: skip
    bounds = (trigger.age_months_max, trigger.age_months_min, trigger.weight_kg_max, trigger.weight_kg_min,
              trigger.pregnant, trigger.lactating, trigger.food_producing)  # fmt: skip
    return bool(trigger.species) and not any(listed) and all(part is None for part in bounds) \
        and not rule.except_words and rule.except_dose_below is None  # fmt: skip
