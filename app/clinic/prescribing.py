"""The dose answer: every recorded dose that fits the animal, computed, with what a rule forbids or lowers taken out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from app.base.errors import Invalid
from app.clinic import dosing, rules
from app.clinic.check import PerKg, judge, unique_needs
from app.clinic.dosing import Amount, Strength
from app.clinic.patient import Patient, need
from app.clinic.records import DoseRecord, Drug, Quantity, Records, Species
from app.clinic.units import canonical, convert, dimensions, fold, number, shown, spelt
from app.clinic.written import read_line

Json = dict[str, Any]

ROUNDING = (
    "amounts unrounded; volumes rounded down to 0.01 mL; tablets rounded down to the parts they may be broken into, "
    "up to 2 % above the figure counting as the figure unless a maximum holds"
)
_LEAST_DOSE_REACH = Decimal(2)
"""Bands of labels that give a least dose reach to about twice of it."""
_NOT_INJECTED = frozenset(("TOP", "OPH", "OTIC", "FEED", "WATER"))
_NAMED_STRENGTH = re.compile(r"(\d+(?:\.\d+)?) mg/mL")
_INJECTED = frozenset(("SC", "IM", "IV", "IO", "IP", "CRI"))
LEAST = "amounts unrounded; volumes rounded down to 0.01 mL; tablets rounded up, because the label gives a least dose"


@dataclass(frozen=True, slots=True)
class DoseQuestion:
    """What is asked of a drug.

    Attributes:
        per_kg: the caller's own figure to check, with its unit.
        weight_basis: actual | ideal.
    """

    drug: str
    route: str | None = None
    indication: str | None = None
    strength: tuple[Decimal, str] | None = None
    tablet_strengths_mg: tuple[Decimal, ...] = ()
    per_kg: tuple[Decimal, str] | None = None
    weight_basis: str = "actual"


@dataclass(slots=True)
class _Page:
    """What the answer holds while it is written."""

    needs: list[Json] = field(default_factory=list)
    warnings: list[Json] = field(default_factory=list)
    not_checked: list[Json] = field(default_factory=list)


def prescribe(
    patient: Patient, question: DoseQuestion, records: Records, jurisdiction: str | None, audience: str
) -> Json:
    """Doses, warnings and what is still to ask; unverified and forbidden doses are warned of, not given.

    Raises:
        Invalid: a strength or a route that is none.
    """
    page = _Page(needs=list(patient.needs))
    strength = _strength(question)
    drugs = records.drugs_named(question.drug)
    if not drugs:
        drugs = tuple(drug for written in read_line(question.drug, records) for drug in written.drugs)
    if not drugs or patient.species is None:
        return _not_covered(patient, question, drugs, records, page)
    answers = [_of_drug(drug, patient, question, strength, records, jurisdiction, audience, page) for drug in drugs]
    doses = [dose for rows in answers for dose in rows]
    recorded = any(record.species == patient.species_name for drug in drugs for record in drug.doses)
    if not recorded:
        page.not_checked.append({"text": question.drug, "why": "no_record_for_species"})
    species_with = sorted({record.species for drug in drugs for record in drug.doses})
    sources = _unique([source for dose in doses for source in dose["sources"]])
    return {
        "covered": recorded,
        "drug": drugs[0].generic,
        "drugs": [drug.generic for drug in drugs],
        "nearest": [],
        "recorded_species": species_with,
        "controlled": any(drug.controlled for drug in drugs),
        "narrow": " ".join(drug.narrow for drug in drugs if _concerns(drug.narrow, patient, records)) or None,
        "formulations": [_formulation(row) for drug in drugs for row in drug.formulations],
        "doses": doses,
        "warnings": page.warnings,
        "calculation": _calculation(patient, question, doses, sources),
        "needs": unique_needs(page.needs),
        "not_checked": page.not_checked,
        "sources": sources,
    }


def _unique(sources: list[Json]) -> list[Json]:
    return list({(source["url"], source["title"]): source for source in sources}.values())


def _not_covered(
    patient: Patient, question: DoseQuestion, drugs: tuple[Drug, ...], records: Records, page: _Page
) -> Json:
    near: list[str] = []
    if not drugs:
        near = records.near_drugs(question.drug)
        page.not_checked.append({"text": question.drug, "why": "unknown_drug"})
    elif patient.species_words:
        near = records.near_species(patient.species_words)
        page.not_checked.append({"text": patient.species_words, "why": "unknown_species"})
    else:
        page.not_checked.append({"text": question.drug, "why": "missing_species"})
    return {
        "covered": False,
        "drug": drugs[0].generic if drugs else None,
        "drugs": [drug.generic for drug in drugs],
        "nearest": near,
        "recorded_species": sorted({record.species for drug in drugs for record in drug.doses}),
        "controlled": any(drug.controlled for drug in drugs),
        "narrow": None,
        "formulations": [],
        "doses": [],
        "warnings": [],
        "calculation": None,
        "needs": unique_needs(page.needs),
        "not_checked": page.not_checked,
        "sources": [],
    }


def _strength(question: DoseQuestion) -> Strength | None:
    if question.strength is None:
        return None
    read = dosing.read_strength(*question.strength)
    if read is None:
        raise Invalid("Write a strength as mg/mL, %, or mg for a tablet.", param="strength.unit")
    return read


def _of_drug(
    drug: Drug,
    patient: Patient,
    question: DoseQuestion,
    strength: Strength | None,
    records: Records,
    jurisdiction: str | None,
    audience: str,
    page: _Page,
) -> list[Json]:
    """One drug's doses for this animal, those of the jurisdiction's own labels first."""
    own = [record for record in drug.doses if record.species == patient.species_name and _suits(record, patient)]
    chosen = [record for record in own if dosing.same_route(record, question.route)]
    if own and not chosen:
        page.not_checked.append({"text": f"{drug.generic} {question.route}", "why": "no_record_for_route"})
    matching = [record for record in chosen if question.indication is None or _about(record, question.indication)]
    if chosen and not matching:
        page.not_checked.append({"text": question.indication, "why": "no_record_for_indication"})
        matching = chosen
    if question.indication is None:
        for record in _far_above(matching):
            if any(_about(record, illness) for illness in patient.conditions):
                continue
            text = f"{drug.generic} for {record.indication}, ten times the other doses or more: name the use to see it"
            page.not_checked.append({"text": text, "why": "indication_needed"})
            matching.remove(record)
    weight_kg = _weight(patient, question, page)
    taken = [other for line in patient.medications for written in read_line(line, records) for other in written.drugs]
    rows: list[Json] = []
    for record in sorted(matching, key=lambda row: row.country != jurisdiction):
        row = _dose(record, drug, patient, weight_kg, question, strength, records, taken, jurisdiction, audience, page)
        if row is not None:
            rows.append(row)
    if not matching:
        _warn(page, drug, patient, None, question.route, records, taken, jurisdiction, audience)
    if rows and weight_kg is None and any(row["basis"] != "per_animal" for row in rows):
        page.needs.append(
            need("weight", "the amount depends on it; until then the dose is shown per kg", "What does it weigh?")
        )
    if rows and strength is None and not question.tablet_strengths_mg:
        sold = [f"{shown(row.strength)} {spelt(row.unit)} {row.form}" for row in drug.formulations]
        known = f" On record: {'; '.join(dict.fromkeys(sold))}." if sold else ""
        ask = f"Which strength of {drug.generic} is at hand?{known}"
        page.needs.append(need("strength", "for the volume or the tablets", ask))
    if question.per_kg is not None:
        _own_figure(question.per_kg, drug, matching, patient, page)
    return rows


def _far_above(records: Sequence[DoseRecord]) -> list[DoseRecord]:
    """Those of a special use whose figure no one may take for the usual one."""
    return [
        one
        for one in records
        if one.apart and (usual := [row.dose.max for row in records if not row.apart and _is_like(row, one)])
        and one.dose.min >= 10 * max(usual)
    ]  # fmt: skip


def _is_like(one: DoseRecord, other: DoseRecord) -> bool:
    """Whether two figures can be compared as they stand."""
    return (one.route, one.basis, one.per, one.dose.unit) == (other.route, other.basis, other.per, other.dose.unit)


def _suits(record: DoseRecord, patient: Patient) -> bool:
    """Whether a record's life stage and production class don't contradict the animal's."""
    stage = fold(record.life_stage)
    if patient.juvenile is False and stage in ("juvenile", "puppy", "kitten", "foal", "calf", "neonate"):
        return False
    if record.production_class and patient.production_class:
        return set(fold(record.production_class).split()) <= set(fold(patient.production_class).split())
    return True


def _about(record: DoseRecord, indication: str) -> bool:
    """Whether a record's use shares a telling word with what is asked."""
    asked = {word for word in fold(indication).split() if len(word) > 3}
    words = fold(record.indication).split()
    return any(word.startswith(part[:6]) for part in asked for word in words)


def _weight(patient: Patient, question: DoseQuestion, page: _Page) -> Decimal | None:
    if question.weight_basis != "ideal":
        return patient.weight_kg
    if patient.ideal_weight_kg is None:
        ask = need(
            "ideal_weight_kg", "the dose was asked per kg of ideal weight", "What would it weigh in good condition?"
        )
        page.needs.append(ask)
    return patient.ideal_weight_kg


def _warn(
    page: _Page,
    drug: Drug,
    patient: Patient,
    dose_mg_per_kg: Decimal | None,
    route: str | None,
    records: Records,
    taken: list[Drug],
    jurisdiction: str | None,
    audience: str,
) -> list[rules.Match]:
    """The rules that hold for this dose; each is warned of once."""
    others = [other for other in taken if other.generic != drug.generic]
    given = rules.Given(
        drug=drug,
        route=route,
        dose_mg_per_kg=dose_mg_per_kg,
        co_drugs=frozenset(other.generic for other in others),
        co_classes=frozenset(name for other in others for name in other.classes),
    )
    matches, open_rules = rules.hold(patient, given, jurisdiction, records)
    known = {row.get("rule") for row in page.warnings}
    for match in matches:
        if match.rule.id not in known:
            co = [other.generic for other in others if other.generic in match.rule.trigger.co_drug
                  or set(other.classes) & set(match.rule.trigger.co_class)]  # fmt: skip
            page.warnings.append(rules.finding(match, list(dict.fromkeys([drug.generic, *co])), audience))
    for left in open_rules:
        if rules.RANKS[left.rule.severity] < rules.RANKS["moderate"]:
            page.needs.append(left.ask)
            row = {"text": drug.generic, "why": left.why, "rule": left.rule.id}
            if row not in page.not_checked:
                page.not_checked.append(row)
    return matches


def _dose(
    record: DoseRecord,
    drug: Drug,
    patient: Patient,
    weight_kg: Decimal | None,
    question: DoseQuestion,
    strength: Strength | None,
    records: Records,
    taken: list[Drug],
    jurisdiction: str | None,
    audience: str,
    page: _Page,
) -> Json | None:
    """One row of `doses`, or None where it must not be recommended."""
    assert patient.species is not None
    single = dosing.single_per_kg(record, dosing.body_of(weight_kg, patient.species), "mg")
    highest = None if single is None else single[1]
    matches = _warn(page, drug, patient, highest, record.route, records, taken, jurisdiction, audience)
    if record.status == "unverified":
        text = f"A dose of {drug.generic} for {record.indication} is on record without a source that stands; not shown."
        page.warnings.append({"rule": "unverified-dose", "severity": "info", "text": text, "drugs": [drug.generic]})
        return None
    if any(match.rule.action == "forbid" and match.rule.severity == "absolute" for match in matches):
        return None
    amount = dosing.per_animal(record, weight_kg, patient.species)
    if amount is None and record.basis == "per_m2" and weight_kg is not None:
        text = f"{drug.generic} is dosed per m²; no surface formula for {patient.species.name} is on record."
        page.warnings.append({"rule": "no-surface-formula", "severity": "info", "text": text, "drugs": [drug.generic]})
    for match in matches:
        amount = _limited(amount, match, weight_kg, patient.species)
    each = _each(record, amount)
    forbidden = [
        match.rule.id for match in matches if match.rule.action == "forbid" and rules.PRESUMED_FOOD not in match.assumed
    ]
    row = _row(record, amount, each, patient, weight_kg, jurisdiction)
    row |= {
        "volume": _volume(each, strength) if _may_go(record, drug, strength) else None,
        "tablets": _tablets(each, drug, record, question, strength, any(match.rule.limit for match in matches)),
        "rounding": LEAST if record.dose_kind == "minimum" else ROUNDING,
        "rules": [match.rule.id for match in matches],
        "advised": not forbidden,
    }
    return row


def _limited(amount: Amount | None, match: rules.Match, weight_kg: Decimal | None, species: Species) -> Amount | None:
    """The amount under a rule's limit for one dose."""
    limit = match.rule.limit
    if amount is None or limit is None or limit.per == "day":
        return amount
    bound = dosing.whole(Quantity(limit.value, limit.unit), weight_kg, species)
    most = None if bound is None else convert(bound.value, bound.unit, amount.unit)
    return amount if most is None else dosing.lowered(amount, most, f"rule {match.rule.id}")


def _each(record: DoseRecord, amount: Amount | None) -> Amount | None:
    """One administration, where the record gives the amount of a day in several."""
    if amount is None or record.per != "day" or record.interval_h is None or record.interval_h.min >= 24:
        return amount
    share = record.interval_h.min / 24
    return Amount(
        amount.min * share, amount.max * share, amount.unit, f"{amount.formula} x interval_h / 24", amount.capped
    )


def _row(
    record: DoseRecord,
    amount: Amount | None,
    each: Amount | None,
    patient: Patient,
    weight_kg: Decimal | None,
    jurisdiction: str | None,
) -> Json:
    """The parts of a dose row that come straight from record and weight."""
    assert patient.species is not None
    interval = record.interval_h
    unit_per = {"min": number(record.dose.min), "max": number(record.dose.max), "unit": record.dose.unit}
    elsewhere = record.status == "label" and jurisdiction is not None and record.country not in ("", jurisdiction)
    return {
        "id": record.id,
        "indication": record.indication,
        "life_stage": record.life_stage or None,
        "production_class": record.production_class or None,
        "route": record.route,
        "basis": "cri" if record.dose_kind == "cri" else record.basis,
        "kind": record.dose_kind,
        "per_kg": unit_per if record.basis == "per_kg" else None,
        "per_m2": unit_per if record.basis == "per_m2" else None,
        "per": record.per,
        "amount": None if amount is None else dosing.json_amount(amount),
        "per_administration": None if each is None else dosing.json_amount(each),
        "capped": amount.capped or None if amount else None,
        "formula": amount.formula if amount else "weight_kg x dose per kg",
        "interval_h": None if interval is None else {"min": number(interval.min), "max": number(interval.max)},
        "frequency": dosing.frequency(record),
        "max_single": _maximum(record, "max_single", weight_kg, patient),
        "max_daily": _maximum(record, "max_daily", weight_kg, patient),
        "duration_days": None if record.duration_max_days is None else number(record.duration_max_days),
        "status": record.status,
        "jurisdiction": record.country or None,
        "labelled_here": None if jurisdiction is None or record.status != "label" else not elsewhere,
        "withdrawal": _withdrawal(record, patient, elsewhere, jurisdiction),
        "notes": record.notes or None,
        "sources": [source.json for source in record.sources],
    }


def _maximum(record: DoseRecord, name: str, weight_kg: Decimal | None, patient: Patient) -> Json | None:
    bound = record.max_single if name == "max_single" else record.max_daily
    if bound is None or patient.species is None:
        return None
    for_this = dosing.whole(bound, weight_kg, patient.species) or bound
    return {"value": dosing.significant_down(for_this.value), "unit": for_this.unit}


def _withdrawal(record: DoseRecord, patient: Patient, elsewhere: bool, jurisdiction: str | None) -> Json | None:
    """Present for every animal that may be eaten; null figures say why."""
    printed = record.withdrawal
    assert patient.species is not None
    eaten = patient.species.food_producing or patient.food_producing
    if not eaten and (printed is None or patient.food_producing is False):
        return None
    figures: Json = {"meat_d": None, "milk_h": None, "eggs_d": None}
    if printed is None:
        why = "the record holds no withdrawal period; ask the label, or FARAD or your authority for extra-label use"
        return {**figures, "why": why}
    shown_figures = {name: None if value is None else number(value) for name, value in
                     (("meat_d", printed.meat_d), ("milk_h", printed.milk_h), ("eggs_d", printed.eggs_d))}  # fmt: skip
    if elsewhere:
        why = f"the figures on record are of the {record.country} label; none of a {jurisdiction} label is on record"
        return {**figures, "why": why, "label": {"jurisdiction": record.country, **shown_figures}}
    if record.status != "label":
        return {**figures, "why": "extra-label use: no label gives a period; ask FARAD or your authority"}
    missing = [name for name in ("meat_d", "milk_h") if shown_figures[name] is None]
    gap = f"the {record.country or 'cited'} label gives none on record for {', '.join(missing)}" if missing else None
    return {**shown_figures, "why": gap}


def _may_go(record: DoseRecord, drug: Drug, strength: Strength | None) -> bool:
    """Whether what is at hand may go this way: an oral suspension is never injected, an injection never poured on.

    A record that names the strength it is of (`1.8 mg/mL product only`) is of no other.
    """
    if strength is None:
        return True
    named = _NAMED_STRENGTH.search(record.indication)
    if named is not None and strength.per_ml and Decimal(named[1]) != strength.value:
        return False
    if record.route not in _INJECTED and record.route not in _NOT_INJECTED:
        return True
    sold = [
        row.form.lower() for row in drug.formulations
        if row.unit.startswith(strength.unit) and row.strength == strength.value
    ]  # fmt: skip
    injected = [form for form in sold if "inject" in form or "infusion" in form]
    return not sold or (bool(injected) if record.route in _INJECTED else len(injected) < len(sold))


def _volume(each: Amount | None, strength: Strength | None) -> Json | None:
    """Volume of one administration."""
    if each is None:
        return None
    if dimensions(each.unit.split("/")[0]) == ("volume",):
        return dosing.span(each.min, each.max, each.unit)
    if strength is None or not strength.per_ml:
        return None
    numerator, *time = each.unit.split("/")
    factor_in = convert(Decimal(1), numerator, strength.unit)
    if factor_in is None:
        return None
    exact = [value * factor_in / strength.value for value in (each.min, each.max)]
    low, high = (dosing.volume_step(value) for value in exact)
    note: str | None = None
    if high == 0 or time:
        low, high = exact
        note = None if time else "too little to draw up: dilute"
    result = {
        **dosing.span(low, high, "/".join(["mL", *time])),
        "strength": {"value": number(strength.value), "unit": f"{strength.unit}/mL"},
    }
    return result if note is None else {**result, "note": note}


def _concerns(narrow: str, patient: Patient, records: Records) -> bool:
    """Whether a drug's margin is narrow for this animal: it names its kind, or none at all."""
    words = fold(narrow.replace(":", " ").replace(";", " ")).split()
    kinds = {kind.name for word in words if (kind := records.species_by_name.get(word)) is not None}
    return bool(narrow) and (not kinds or patient.species_name in kinds)


def _tablets(
    each: Amount | None,
    drug: Drug,
    record: DoseRecord,
    question: DoseQuestion,
    strength: Strength | None,
    limited: bool,
) -> list[Json]:
    """Tablets of each strength at hand, else of each on record; those in range and fewest first."""
    if each is None or record.route != "PO" or record.dose_kind == "cri":
        return []
    sizes = list(question.tablet_strengths_mg)
    if strength is not None:
        in_mg = None if strength.per_ml else convert(strength.value, strength.unit, "mg")
        sizes += [] if in_mg is None else [in_mg]
    elif not sizes:
        solid = [convert(row.strength, row.unit, "mg") for row in drug.formulations if dosing.is_solid(row)]
        sizes = [size for size in solid if size is not None]
    rows = []
    bounded = limited or record.max_single is not None or record.max_daily is not None
    for size in sorted(set(sizes)):
        pieces = dosing.pieces_of(drug, size)
        found = dosing.tablets_for(each, size, pieces, record.dose_kind == "minimum", bounded)
        if found is not None:
            rows.append(found)
    if record.dose_kind == "minimum" and rows:
        # A least dose has no highest one: what is near it is meant, not whatever tablet lies above it.
        low = convert(each.min, each.unit, "mg") or Decimal(0)
        most_meant = max(low * _LEAST_DOSE_REACH, min(row.amount for row in rows))
        rows = [replace(row, fits=row.fits and row.amount <= most_meant) for row in rows]
        rows.sort(key=lambda row: (not row.fits, row.amount, row.count))
    else:
        rows.sort(key=lambda row: (not row.fits, row.count))
    most = convert(each.max, each.unit, "mg") or Decimal(1)
    return [
        {
            "strength_mg": number(row.strength),
            "count": number(row.count),
            "amount_mg": number(row.amount),
            "in_range": row.fits,
            "percent_of_dose": int(row.amount * 100 / most),
            "broken_into": {1: "whole only", 2: "halves", 4: "quarters"}[row.pieces],
        }
        for row in rows
    ]


def _own_figure(
    given: tuple[Decimal, str], drug: Drug, matching: list[DoseRecord], patient: Patient, page: _Page
) -> None:
    """The caller's own figure against the records; what is found joins the warnings."""
    value, unit = given
    known = canonical(unit)
    measured = dimensions(unit)
    if known is None or measured is None or measured[1:] != ("mass",):
        raise Invalid("Write your figure per kg, like 0.1 mg/kg.", param="per_kg.unit")
    top = "mg" if measured[0] == "mass" else known.split("/")[0]
    in_unit = convert(value, unit, f"{top}/kg")
    assert in_unit is not None
    findings, compared = judge(PerKg(in_unit, None, top), matching, drug, patient)
    page.warnings[:0] = findings
    if not compared:
        page.not_checked.append({"text": f"{shown(value)} {unit}", "why": "not_comparable"})
    elif not findings:
        low, high = dosing.range_per_kg(matching, dosing.body_of(patient.weight_kg, patient.species), top) or (
            in_unit,
            in_unit,
        )
        text = f"{drug.generic}: {shown(in_unit)} {spelt(top)}/kg is within {shown(low)} to {shown(high)} on record."
        row = {"rule": "dose-within-range", "severity": "info", "text": text, "drugs": [drug.generic]}
        page.warnings.append(row)


def _formulation(row: Any) -> Json:
    return {
        "form": row.form,
        "strength": {"value": number(row.strength), "unit": row.unit},
        "broken_into": {1: "whole only", 2: "halves", 4: "quarters"}[row.pieces],
        "sources": [source.json for source in row.sources],
    }


def _calculation(patient: Patient, question: DoseQuestion, doses: list[Json], sources: list[Json]) -> Json | None:
    if not doses:
        return None
    weight = patient.ideal_weight_kg if question.weight_basis == "ideal" else patient.weight_kg
    inputs: Json = {
        "weight_kg": None if weight is None else number(round(weight, 6)),
        "weight_basis": question.weight_basis,
    }
    if question.strength is not None:
        inputs["strength"] = {"value": number(question.strength[0]), "unit": question.strength[1]}
    return {
        "name": "dose",
        "inputs": inputs,
        "formula": "; ".join(dict.fromkeys(dose["formula"] for dose in doses)),
        "result": [
            {"dose": dose["id"], "amount": dose["amount"], "volume": dose["volume"], "tablets": dose["tablets"]}
            for dose in doses
        ],
        "sources": sources,
    }
