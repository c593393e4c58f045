"""Drugs against an animal, each other and their records' doses. What could not be checked is never cleared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from app.clinic import dosing, rules
from app.clinic.lexicon import lexicon, meant, scan
from app.clinic.patient import MedicationShape, Patient, need
from app.clinic.records import DoseRecord, Drug, Records, RuleRecord
from app.clinic.units import convert, dimensions, fold, shown, spelt
from app.clinic.written import Written, read_line

Json = dict[str, Any]

TENFOLD = Decimal(10)
MUCH_ABOVE = Decimal("1.5")
ROUNDING = Decimal("1.05")
STOPPED_DAYS_MAX = 30


@dataclass(frozen=True, slots=True)
class Entry:
    """One drug that the animal gets or may get."""

    written: Written
    drug: Drug
    line: int


@dataclass(frozen=True, slots=True)
class PerKg:
    """A given dose per kg: of one administration and of a day, in `unit` (`mg`, `[IU]`, ...) per kg."""

    single: Decimal
    daily: Decimal | None
    unit: str


def check(
    patient: Patient,
    lines: Sequence[str | MedicationShape],
    records: Records,
    jurisdiction: str | None = None,
    audience: str = "clinician",
    today: date | None = None,
) -> Json:
    """Findings of rules and doses over the lines and the patient's own medications, gravest first.

    Returns:
        `findings`, `checked`, `not_checked`, `needs`, `covered`. An empty `findings` says nothing of what stands in
        `not_checked`. Without a species only what two drugs do to each other in any animal is found.
    """
    needs: list[Json] = list(patient.needs)
    not_checked: list[Json] = []
    findings: list[Json] = []
    checked: list[Json] = []
    entries: list[Entry] = []
    for index, (line, text) in enumerate(_lines(patient, lines, today, not_checked)):
        for written in read_line(line, records):
            entries += [Entry(written, drug, index) for drug in written.drugs]
            if not written.drugs:
                near = records.near_drugs(written.name)
                not_checked.append({"text": text, "why": "unknown_drug", "nearest": near})
            for word in written.unknown:
                not_checked.append({"text": word, "why": "not_understood", "nearest": records.near_drugs(word)})
    species = patient.species
    if species is None:
        why = "unknown_species" if patient.species_words else "missing_species"
        not_checked += [{"text": entry.written.text, "drug": entry.drug.generic, "why": why} for entry in entries]
        near = records.near_species(patient.species_words) if patient.species_words else []
        pairs, entries = entries, []
        covered = False
    else:
        near, covered, pairs = [], bool(entries), []
    merged: dict[str, Json] = {}
    for position, entry in enumerate(pairs):
        others = [other for place, other in enumerate(pairs) if place != position]
        matches, _ = rules.hold(patient, _given(entry, None, others, records), jurisdiction, records)
        for match in matches:
            if not match.rule.trigger.species and (match.rule.trigger.co_drug or match.rule.trigger.co_class):
                _merge(merged, rules.finding(match, _named(match.rule, entry, others), audience))
    for position, entry in enumerate(entries):
        others = [other for place, other in enumerate(entries) if place != position]
        dose = per_kg(entry.written, patient)
        matches, open_rules = rules.hold(patient, _given(entry, dose, others, records), jurisdiction, records)
        for match in matches:
            if match.rule.limit is not None and within_limit(match.rule, dose, patient):
                continue
            _merge(merged, rules.finding(match, _named(match.rule, entry, others), audience))
        for left in open_rules:
            needs.append(left.ask)
            if rules.RANKS[left.rule.severity] < rules.RANKS["moderate"]:
                not_checked.append(
                    {"text": entry.written.text, "drug": entry.drug.generic, "why": left.why, "rule": left.rule.id}
                )
        for allergy in patient.allergies:
            if _allergic(allergy, entry.drug, records):
                _merge(merged, _allergy_finding(allergy, entry.drug))
        dosed = _dose_findings(entry, dose, patient, records, needs, not_checked)
        findings += dosed[0]
        aspects = _aspects(patient, entry, len(entries) > 1, dosed[1], jurisdiction)
        checked.append({"drug": entry.drug.generic, "as": entry.written.text, "aspects": aspects})
    every = [*_unmirrored(merged, records), *findings]
    return {
        "covered": covered,
        "nearest": near,
        "findings": sorted(every, key=lambda row: rules.RANKS[row["severity"]]),
        "checked": checked,
        "not_checked": not_checked,
        "needs": unique_needs(needs),
    }


def _given(entry: Entry, dose: PerKg | None, others: list[Entry], records: Records) -> rules.Given:
    """A drug as it is given, beside the others."""
    return rules.Given(
        drug=entry.drug,
        route=entry.written.route,
        dose_mg_per_kg=dose.single if dose and dose.unit == "mg" else None,
        co_drugs=frozenset(other.drug.generic for other in others),
        co_classes=frozenset(name for other in others for name in other.drug.classes),
        product_of=_made_for(entry.written.text, records),
    )


def _made_for(text: str, records: Records) -> str | None:
    """The kind of animal that a line names beside its drug: `moxidectin horse gel`."""
    words, _ = scan(text)
    found = (meant(lexicon(records), words, place) for place in range(len(words)))
    return next((term.value for hit in found if hit for term in hit[0] if term.kind == "species"), None)


def unique_needs(needs: Sequence[Json]) -> list[Json]:
    """One question a field, the first one asked."""
    by_field: dict[str, Json] = {}
    for row in needs:
        by_field.setdefault(row["field"], row)
    return list(by_field.values())


def _lines(
    patient: Patient, lines: Sequence[str | MedicationShape], today: date | None, not_checked: list[Json]
) -> list[tuple[str | MedicationShape, str]]:
    """Everything to check: what is asked, and what the animal gets already."""
    wanted: list[tuple[str | MedicationShape, str]] = []
    for line in (*lines, *patient.medications):
        text = line if isinstance(line, str) else line.name
        stopped_on = line.stopped_on if isinstance(line, MedicationShape) else None
        if stopped_on is not None and today is not None and (today - stopped_on).days > STOPPED_DAYS_MAX:
            not_checked.append({"text": text, "why": "stopped_over_30_days_ago"})
            continue
        if (line, text) not in wanted:
            wanted.append((line, text))
    return wanted


def per_kg(written: Written, patient: Patient) -> PerKg | None:
    """The dose per kg that a line comes to; None without an amount, a strength or a weight."""
    if written.amount is None:
        return None
    parts = written.unit.split("/")
    single = written.amount
    if len(parts) == 2 and dimensions(written.unit) is not None and parts[1] in ("kg", "lb"):
        converted = convert(single, written.unit, f"{parts[0]}/kg")
        assert converted is not None
        single = converted
    elif len(parts) == 1 and patient.weight_kg is not None and dimensions(written.unit) is not None:
        single = single / patient.weight_kg
    elif len(parts) == 2 and parts[1] == "m2":
        share = dosing.body_of(patient.weight_kg, patient.species).m2_per_kg
        if share is None:
            return None
        single = single * share
    else:
        return None
    unit = "mg" if dimensions(parts[0]) == ("mass",) else parts[0]
    in_unit = convert(single, parts[0], unit)
    assert in_unit is not None
    interval = written.interval_h
    if written.per_day:
        share = min(interval / 24, Decimal(1)) if interval else Decimal(1)
        return PerKg(in_unit * share, in_unit, unit)
    daily = None if interval is None else in_unit * max(24 / interval, Decimal(1)) if interval <= 24 else in_unit
    return PerKg(in_unit, in_unit if written.once else daily, unit)


def within_limit(rule: RuleRecord, dose: PerKg | None, patient: Patient) -> bool:
    """Whether a known dose keeps to a rule's limit; unknown ones never do."""
    limit = rule.limit
    if limit is None or dose is None:
        return False
    amount = dose.daily if limit.per == "day" else dose.single
    if amount is None:
        return False
    if "/" in limit.unit:
        bound = convert(limit.value, limit.unit, f"{dose.unit}/kg")
        return bound is not None and amount <= bound
    bound = convert(limit.value, limit.unit, dose.unit)
    return bound is not None and patient.weight_kg is not None and amount * patient.weight_kg <= bound


def _named(rule: RuleRecord, entry: Entry, others: list[Entry]) -> list[str]:
    """The drug, and those others that the rule is about."""
    co = [
        other.drug.generic
        for other in others
        if other.drug.generic in rule.trigger.co_drug or set(other.drug.classes) & set(rule.trigger.co_class)
    ]
    return list(dict.fromkeys([entry.drug.generic, *co]))


def _merge(merged: dict[str, Json], finding: Json) -> None:
    known = merged.setdefault(finding["rule"], finding)
    known["drugs"] = list(dict.fromkeys([*known["drugs"], *finding["drugs"]]))


def _unmirrored(merged: dict[str, Json], records: Records) -> list[Json]:
    """The findings, without those that say of two drugs the other way round what a graver or earlier one says."""
    if len([row for row in merged.values() if len(row["drugs"]) > 1]) < 2:
        return list(merged.values())
    between = {
        rule.id: place for place, rule in enumerate(records.rules) if rule.trigger.co_drug or rule.trigger.co_class
    }
    ranked = sorted(
        (name for name in merged if name in between),
        key=lambda name: (rules.RANKS[merged[name]["severity"]], between[name]),
    )
    said: dict[frozenset[str], str] = {}
    dropped: set[str] = set()
    for name in ranked:
        drugs = merged[name]["drugs"]
        first = said.setdefault(frozenset(drugs), drugs[0])
        if first != drugs[0]:
            dropped.add(name)
    return [row for name, row in merged.items() if name not in dropped]


def _allergic(allergy: str, drug: Drug, records: Records) -> bool:
    named = {other.generic for other in records.drugs_named(allergy)}
    words = f" {fold(allergy)} "
    return drug.generic in named or any(f" {fold(name)} " in words for name in (*drug.names, *drug.classes))


def _allergy_finding(allergy: str, drug: Drug) -> Json:
    return {
        "rule": "patient-allergy",
        "severity": "absolute",
        "severity_label": rules.LABELS["absolute"],
        "action": "forbid",
        "drugs": [drug.generic],
        "text": f"Its own record lists an allergy: {allergy}. Do not give {drug.generic} without settling that first.",
        "mechanism": "",
        "except": None,
        "assumed": [],
        "alternatives": [],
        "jurisdiction": None,
        "source": None,
        "sources": [],
    }


def _aspects(patient: Patient, entry: Entry, several: bool, dosed: bool, jurisdiction: str | None) -> list[str]:
    """What the facts at hand allowed to check."""
    breeding = patient.pregnant is not None or patient.sex == "male" or bool(patient.neutered)
    known = (
        ("species", True),
        ("breed", patient.breed is not None),
        ("age", patient.age_months is not None),
        ("conditions", bool(patient.conditions)),
        ("allergies", bool(patient.allergies)),
        ("pregnancy", breeding),
        ("interactions", several),
        ("route", entry.written.route is not None),
        ("dose", dosed),
        ("jurisdiction", jurisdiction is not None),
    )
    return [name for name, has in known if has]


def _dose_findings(
    entry: Entry, dose: PerKg | None, patient: Patient, records: Records, needs: list[Json], not_checked: list[Json]
) -> tuple[list[Json], bool]:
    """Findings on the dose itself, and whether it could be compared with a record."""
    drug, written = entry.drug, entry.written
    row = {"text": written.text, "drug": drug.generic}
    own = [record for record in drug.doses if record.species == patient.species_name]
    if not own:
        not_checked.append({**row, "why": "no_record_for_species" if drug.has_record else "no_record"})
        return [], False
    if written.amount is None:
        if written.count is not None:
            not_checked.append({**row, "why": "missing_strength"})
            needs.append(
                need("strength", "tablets without a strength are no dose", f"How many mg is one of {drug.generic}?")
            )
        return [], False
    if dimensions(written.unit) == ("volume",) and not any(_in_volume(record) for record in own):
        not_checked.append({**row, "why": "missing_strength"})
        needs.append(
            need(
                "strength",
                "millilitres without a strength are no dose",
                f"What is the strength of {drug.generic} (mg/mL)?",
            )
        )
        return [], False
    if written.unit.endswith(("/kg/min", "/kg/h")):
        findings, compared = _rate(written.amount, written.unit, own, drug)
        if not compared:
            not_checked.append({**row, "why": "not_comparable"})
        return findings, compared
    if dose is None:
        if patient.weight_kg is None and "/" not in written.unit:
            not_checked.append({**row, "why": "missing_weight"})
            needs.append(
                need("weight", f"the dose of {drug.generic} can't be judged without it", "What does it weigh?")
            )
        else:
            not_checked.append({**row, "why": "not_comparable"})
        return [], False
    routed = [record for record in own if dosing.same_route(record, written.route)]
    if not routed:
        not_checked.append({**row, "why": "no_record_for_route"})
    candidates = routed or own
    if written.interval_h is not None and not written.once:
        candidates = [record for record in candidates if not record.once] or candidates
    findings, compared = judge(dose, candidates, drug, patient)
    if not compared:
        not_checked.append({**row, "why": "not_comparable"})
    return findings, compared and bool(routed)


def _rate(rate: Decimal, unit: str, records: Sequence[DoseRecord], drug: Drug) -> tuple[list[Json], bool]:
    """The rate of an infusion against those on record, and whether there is one to compare it with."""
    spans = [
        (low, high, record)
        for record in records
        if record.dose_kind == "cri" and record.status != "unverified"
        and (low := convert(record.dose.min, record.dose.unit, unit)) is not None
        and (high := convert(record.dose.max, record.dose.unit, unit)) is not None
    ]  # fmt: skip
    if not spans:
        return [], False
    _, most, highest = max(spans, key=lambda span: span[1])
    least = min(low for low, _, _ in spans)
    says = f"{drug.generic}: {_say(rate, unit)} by infusion given, {_say_range(least, most, unit)} on record"
    if rate >= most * TENFOLD:
        text = f"{says}. Ten times or more: most likely a slip of the decimal point or the unit. Do not give."
        return [_dose_finding("dose-tenfold", "absolute", drug, text, highest)], True
    if rate > most * ROUNDING:
        severity = "high" if rate > most * MUCH_ABOVE else "moderate"
        text = f"{says}. That is {shown(rate / most, 2)} times the highest."
        return [_dose_finding("dose-above-range", severity, drug, text, highest)], True
    if rate * ROUNDING < least:
        return [_dose_finding("dose-below-range", "info", drug, f"{says}. That is below the range.", highest)], True
    return [], True


def _in_volume(record: DoseRecord) -> bool:
    return (dimensions(record.dose.unit) or ("",))[0] == "volume"


def judge(dose: PerKg, records: Sequence[DoseRecord], drug: Drug, patient: Patient) -> tuple[list[Json], bool]:
    """A dose against the range of its records, and whether any of them could be compared.

    Ten times the highest recorded dose is an absolute finding, above a maximum or one and a half times the highest a
    high one, above it at all a moderate one; above a least dose, which names no highest, never more than moderate.
    """
    body = dosing.body_of(patient.weight_kg, patient.species)
    comparable = [row for row in records if dosing.single_per_kg(row, body, dose.unit) is not None]
    span = dosing.range_per_kg(comparable, body, dose.unit)
    if span is None:
        return [], False
    low, high = span
    unit = f"{dose.unit}/kg"
    highest = max(comparable, key=lambda row: (dosing.single_per_kg(row, body, dose.unit) or span)[1])
    says = f"{drug.generic}: {_say(dose.single, unit)} given, {_say_range(low, high, unit)} on record"
    if dose.single >= high * TENFOLD:
        text = f"{says}. Ten times or more: most likely a slip of the decimal point or the unit. Do not give."
        return [_dose_finding("dose-tenfold", "absolute", drug, text, highest)], True
    found: list[Json] = []
    limits = [row for row in comparable if row.max_single is not None]
    over = [row for row in limits if _over_single(row, dose, patient)]
    if limits and len(over) == len(limits) == len(comparable):
        text = f"{says}. That is more than the most a single dose may be."
        found.append(_dose_finding("dose-above-maximum", "high", drug, text, over[0]))
    elif dose.single > high * MUCH_ABOVE:
        least = highest.dose_kind == "minimum"
        text = f"{says}. That is {shown(dose.single / high, 2)} times the {'least dose' if least else 'highest'}."
        found.append(_dose_finding("dose-above-range", "moderate" if least else "high", drug, text, highest))
    elif dose.single > high * ROUNDING:
        text = f"{says}. That is above the range."
        found.append(_dose_finding("dose-above-range", "moderate", drug, text, highest))
    elif dose.single * TENFOLD <= low:
        text = f"{says}. A tenth or less: check the unit and the decimal point."
        found.append(_dose_finding("dose-tenth", "moderate", drug, text, highest))
    elif dose.single * ROUNDING < low:
        found.append(_dose_finding("dose-below-range", "info", drug, f"{says}. That is below the range.", highest))
    if not found:
        found += _daily(dose, comparable, drug, patient, unit)
    return found, True


def _daily(dose: PerKg, records: Sequence[DoseRecord], drug: Drug, patient: Patient, unit: str) -> list[Json]:
    """The day's total, where single doses are in range but come too often."""
    if dose.daily is None:
        return []
    body = dosing.body_of(patient.weight_kg, patient.species)
    totals = [(dosing.daily_per_kg(row, body, dose.unit), row) for row in records]
    most, record = max(totals, key=lambda pair: pair[0])
    for row in records:
        if row.max_daily is not None and patient.species is not None:
            bound = dosing.whole(row.max_daily, patient.weight_kg, patient.species)
            amount = None if bound is None else convert(bound.value, bound.unit, dose.unit)
            if amount is not None and patient.weight_kg is not None:
                most = max(most, amount / patient.weight_kg)
    if dose.daily <= most * ROUNDING:
        return []
    severity = "high" if dose.daily > most * MUCH_ABOVE else "moderate"
    text = f"{drug.generic}: {_say(dose.daily, unit)} a day given, {_say(most, unit)} a day is the most on record."
    return [_dose_finding("daily-dose-above-range", severity, drug, text, record)]


def _over_single(record: DoseRecord, dose: PerKg, patient: Patient) -> bool:
    assert record.max_single is not None
    if patient.species is None or patient.weight_kg is None:
        return False
    bound = dosing.whole(record.max_single, patient.weight_kg, patient.species)
    most = None if bound is None else convert(bound.value, bound.unit, dose.unit)
    return most is not None and dose.single * patient.weight_kg > most * ROUNDING


def _say(value: Decimal, unit: str) -> str:
    return f"{shown(value)} {spelt(unit)}"


def _say_range(low: Decimal, high: Decimal, unit: str) -> str:
    return _say(low, unit) if low == high else f"{shown(low)} to {_say(high, unit)}"


def _dose_finding(rule: str, severity: str, drug: Drug, text: str, record: DoseRecord) -> Json:
    return {
        "rule": rule,
        "severity": severity,
        "severity_label": rules.LABELS[severity],
        "action": "forbid" if severity == "absolute" else "caution",
        "drugs": [drug.generic],
        "text": text,
        "mechanism": "",
        "except": None,
        "assumed": [],
        "alternatives": [],
        "jurisdiction": None,
        "source": record.sources[0].json,
        "sources": [source.json for source in record.sources],
    }
