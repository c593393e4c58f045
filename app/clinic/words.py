"""The clinic's answers as plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.clinic.units import spelt

Answer = Mapping[str, Any]


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(part for part in parts if part) + "\n"


def _span(row: Mapping[str, Any]) -> str:
    """`{min, max, unit}` as `1.2 to 2.4 mg`."""
    unit = spelt(row["unit"])
    return f"{row['min']} {unit}" if row["min"] == row["max"] else f"{row['min']} to {row['max']} {unit}"


def _patient(answer: Answer) -> str:
    patient = answer.get("patient") or {}
    weight = f"{patient['weight_kg']} kg" if patient.get("weight_kg") is not None else None
    said = [patient.get("breed"), patient.get("species"), weight]
    return f"Patient: {', '.join(part for part in said if part)}" if any(said) else ""


def _sources(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    every = {row["url"]: row for row in rows if row}
    if not every:
        return []
    return ["Sources:", *(f"  {row['title']} <{row['url']}>, read {row['read_on']}" for row in every.values())]


def _left(answer: Answer) -> list[str]:
    """What was not checked and what to ask."""
    lines = [f"Not checked: {row['text']} ({row['why'].replace('_', ' ')})" for row in answer.get("not_checked", ())]
    if answer.get("nearest"):
        lines.append(f"Did you mean: {', '.join(answer['nearest'])}?")
    return lines + [f"Please say: {row['ask']} ({row['why']})" for row in answer.get("needs", ())]


def describe_dose(answer: Answer) -> str:
    """The answer of `dose`, a paragraph for each dose."""
    lines = [_patient(answer), f"Drug: {answer['drug'] or 'unknown'}"]
    for dose in answer["doses"]:
        basis = dose["per_kg"] or dose["per_m2"]
        amount = _span(dose["amount"]) if dose["amount"] else "not computed"
        figure = f" ({_span(basis)})" if basis else " (per animal)"
        per = " a day" if dose["per"] == "day" else ""
        lines += ["", f"{dose['indication']}, {dose['route']}", f"  {amount}{per}{figure}, {dose['frequency']}"]
        if dose["volume"]:
            lines.append(f"  volume {_span(dose['volume'])}")
        for tablet in dose["tablets"]:
            fit = "" if tablet["in_range"] else ", less than the figure"
            lines.append(f"  {tablet['count']} x {tablet['strength_mg']} mg = {tablet['amount_mg']} mg{fit}")
        where = f", {dose['jurisdiction']}" if dose["jurisdiction"] else ""
        lines.append(f"  status: {dose['status'].replace('_', ' ')}{where}")
        if not dose["advised"]:
            lines.append(f"  NOT ADVISED: {', '.join(dose['rules'])}")
        if dose["withdrawal"]:
            kept = [
                f"{name} {value}" for name, value in dose["withdrawal"].items() if value is not None and name != "label"
            ]
            lines.append(f"  withdrawal: {', '.join(kept)}")
        if dose["notes"]:
            lines.append(f"  {dose['notes']}")
    if answer["warnings"]:
        lines += ["", *(f"! {row['severity']}: {row['text']}" for row in answer["warnings"])]
    if answer["calculation"]:
        lines += ["", f"Formula: {answer['calculation']['formula']}"]
    return _lines([*lines, *_left(answer), *_sources(answer["sources"])])


def describe_exposure(answer: Answer) -> str:
    """The answer of `exposure`."""
    lines = [_patient(answer)]
    if not answer["covered"]:
        lines.append("No record of this substance: nothing is cleared.")
    else:
        dose = answer["dose"]
        lines.append(f"Agent: {answer['agent']}")
        lines.append(f"Dose: {dose['value']} {spelt(dose['unit'])}" if dose else "Dose: not known")
        lines.append(f"Severity: {answer['severity'].replace('_', ' ')} ({answer['urgency'].replace('_', ' ')})")
        if answer["no_safe_amount"]:
            lines.append("No amount is known to be safe.")
        lines += [
            f"  from {row['value']} {spelt(row['unit'])}: {row['band'].replace('_', ' ')}: {row['effect']}"
            for row in answer["thresholds"]
            if row["value"] is not None
        ]
    lines.append(f"Vomiting: {answer['emesis']['advised']}: {answer['emesis']['why']}")
    lines += [f"- {action}" for action in answer["actions"]]
    lines += [f"Assumed: {text}" for text in answer["assumptions"]]
    if answer["calculation"]:
        lines.append(f"Formula: {answer['calculation']['formula']}")
    lines += [f"Call: {row['name']} {row['phone']}" for row in answer["contacts"]]
    return _lines([*lines, *_left(answer), *_sources(answer["sources"])])


def describe_check(answer: Answer) -> str:
    """The answer of `check`, gravest first."""
    lines = [_patient(answer)]
    for row in answer["findings"]:
        lines.append(f"! {row['severity_label']} ({', '.join(row['drugs'])}): {row['text']}")
        if row["alternatives"]:
            lines.append(f"    instead: {', '.join(row['alternatives'])}")
    if not answer["findings"]:
        lines.append("No finding for what was checked.")
    for row in answer["checked"]:
        lines.append(f"Checked: {row['as']} as {row['drug']} ({', '.join(row['aspects'])})")
    return _lines([*lines, *_left(answer), *_sources(row["source"] for row in answer["findings"])])


def describe_guard(answer: Answer) -> str:
    """The answer of `guard`: the verdict, what was found, and the text as it may go out."""
    verdict = answer["verdict"] or "not judged in full"
    lines = [_patient(answer), f"Verdict: {verdict}"]
    lines += [f"! {row['severity']}, {row['action']} ({row['rule']}): {row['text']}" for row in answer["findings"]]
    lines += _left(answer)
    lines += ["Text:", answer["corrected"].rstrip("\n")]
    return _lines([*lines, *_sources(row["source"] for row in answer["findings"])])


def describe_triage(answer: Answer) -> str:
    """The answer of `triage`, the level first."""
    within = f", within {answer['see_within_min']} min" if answer["see_within_min"] is not None else ""
    level = answer["level"].replace("_", " ").upper()
    lines = [_patient(answer), f"{level} (colour {answer['vtl_colour']}{within})", answer["reason"]]
    lines += [f"! {row['sign']}: {row['reason']}" for row in answer["red_flags"]]
    lines += [
        f"{row['text']}: {row['flag'] or 'not judged'}"
        + (f" (range {row['interval']['low']} to {row['interval']['high']})" if row["interval"] else "")
        for row in answer["vitals"]
    ]
    lines += [f"Named but not counted: {row['sign']} ({row['why'].replace('_', ' ')})" for row in answer["not_raised"]]
    lines += [f"? {question}" for question in answer["ask_next"]]
    lines += [f"Call: {row['name']} {row['phone']}" for row in answer["contacts"]]
    return _lines([*lines, *_left(answer), *_sources(row["source"] for row in answer["red_flags"])])


def describe_differentials(answer: Answer) -> str:
    """The answer of `differentials`, in its order."""
    found = [f"{'no ' if row['direction'] == 'absent' else ''}{row['finding']}" for row in answer["findings"]]
    lines = [_patient(answer), f"Findings: {', '.join(found) or 'none understood'}"]
    for row in answer["differentials"]:
        mark = "!" if row["cant_miss"] else " "
        lines += ["", f"{mark} {row['rank']}. {row['condition']} ({row['urgency']}): {row['why']}"]
        lines += [f"     + {one['text']}{' (' + one['weight'] + ')' if one['weight'] else ''}" for one in row["for"]]
        lines += [f"     - {one['text']}" for one in row["against"]]
        lines.append(f"     next: {'; '.join(row['next_tests'])}")
    lines += ["", *(f"Ruled out: {row['condition']} ({row['why']})" for row in answer["ruled_out"])]
    if answer["left_out"]["count"]:
        lines.append(f"Not listed: {answer['left_out']['count']} that fit less")
    lines += [f"? {row['ask']}" for row in answer["ask_next"]]
    return _lines([*lines, *_left(answer), *_sources(answer["sources"])])


def describe_labs(answer: Answer) -> str:
    """The answer of `labs`: the urgency, a table of the values, what they say together."""
    urgency = f"URGENCY: {answer['urgency'].upper().replace('_', ' ')}" if answer["urgency"] else ""
    lines = [_patient(answer), urgency]
    if answer["critical"]:
        lines.append(f"Critical: {', '.join(answer['critical'])}")
    rows: list[tuple[str, ...]] = [("", "value", "range", "flag", "")]
    for row in answer["results"]:
        unit = spelt(row["unit"] or "").removesuffix("ratio")
        value = f"{row['comparator'] or ''}{row['value']} {unit}".strip()
        rows.append((row["analyte"], value, _bounds(row["interval"]), row["flag"] or "-", _times(row["fold"])))
    lines += ["", *_columns(rows), ""]
    lines += [f"  {row['analyte']}: {row['why']}" for row in answer["results"] if row["why"]]
    for row in answer["derived"]:
        lines.append(f"{row['name']}: {_result(row['result'])}")
        lines += [f"    {note}" for note in (*row["steps"], *row["notes"])]
    lines += [f"! {row['urgency']}: {row['name']}. {row['why']}" for row in answer["patterns"]]
    return _lines([*lines, *_left(answer), *_sources(answer["sources"])])


def _bounds(interval: Mapping[str, Any] | None) -> str:
    if interval is None:
        return "not on record"
    low, high = ("" if interval[end] is None else str(interval[end]) for end in ("low", "high"))
    return f"{low}-{high}" + (" (yours)" if interval["source"] == "caller" else "")


def _times(fold: Mapping[str, Any] | None) -> str:
    return "" if fold is None else f"{fold['times']} x {fold['of']}"


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    """Rows as aligned columns."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _result(result: Mapping[str, Any] | None) -> str:
    if result is None:
        return "not computed"
    unit = result["unit"] or ""
    if unit == "stage":
        return str(result["label"])
    value = f"{result['value']} {'' if unit == 'ratio' else spelt(unit)}".strip()
    return f"{value} ({result['label']})" if "label" in result else value


def describe_calculate(answer: Answer) -> str:
    """The answer of `calculate`: the result, the arithmetic, what it means."""
    lines = [_patient(answer), answer["title"] + ("" if answer["rows"] else f": {_result(answer['result'])}")]
    lines += [f"  {row['name']}: {row['value']} {spelt(row['unit'])}".rstrip() for row in answer["results"]]
    for row in answer["rows"]:
        amount = "not computed" if row["amount"] is None else _span(row["amount"])
        volumes = ", ".join(
            f"{one['volume']['value']} mL of {one['strength']['value']} {spelt(one['strength']['unit'])}"
            for one in row["volumes"]
        )
        lines.append(
            f"- {row['drug']} {row['route']}: {amount}{' = ' + volumes if volumes else ''}, {row['frequency']}"
        )
        lines.append(f"    {row['indication']} ({_span(row['per_kg'])}). {row['notes'] or ''}")
    lines += [f"Formula: {answer['formula']}", *(f"  {step}" for step in answer["steps"])]
    lines += [f"! {note}" if note.isupper() or note.startswith("TOO") else f"* {note}" for note in answer["notes"]]
    lines.append(f"Rests on: {answer['basis']}")
    return _lines([*lines, *_left(answer), *_sources(answer["sources"])])


def describe_extract(answer: Answer) -> str:
    """The answer of `extract`."""
    lines = []
    for patient in answer["patients"]:
        kept = {name: value for name, value in patient.items() if value not in (None, [], {}) and name != "spans"}
        lines.append("Patient: " + ", ".join(f"{name} {_flat(value)}" for name, value in kept.items()))
    for row in answer["medications"]:
        amount = "" if row["amount"] is None else f" {row['amount']} {row['unit'] or ''}"
        lines.append(f"Drug: {row['name']}{amount} ({row['status']})")
    for row in answer["exposures"]:
        amount = "amount not known" if row["amount"] is None else f"{row['amount']} {row['unit'] or ''}".strip()
        lines.append(f"Exposure: {row['substance']}, {amount}")
    lines += [
        f"Value: {row['name']} {row['comparator'] or ''}{row['value']} {row['unit'] or ''}"
        for row in answer["analytes"]
    ]
    lines += [f"Sign: {row['sign']}" for row in answer["signs"]]
    return _lines([*lines, *_left(answer)]) if lines or answer["needs"] else "Nothing was read from this text.\n"


def _flat(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(part) for part in value.values())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
