"""The calculators by name: their inputs read and checked, their answers whole, their list with worked examples."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from app.base.errors import Invalid
from app.clinic import bedside, dosing, ratios
from app.clinic.check import unique_needs
from app.clinic.formulas import Formulas
from app.clinic.measures import can_be, in_own_unit, looks_like, read_unit
from app.clinic.patient import FIGURE_MAX, Patient, PatientShape, need, normalise
from app.clinic.records import Analyte, Records
from app.clinic.sheets import Calculator, Figure, Given, Input, Json, Outcome
from app.clinic.units import canonical, convert, fold, number, shown

ALL: Mapping[str, Calculator] = {row.name: row for row in (*bedside.CALCULATORS, *ratios.CALCULATORS)}
_WRITTEN = re.compile(r"\s*(-?\d+(?:\.\d+)?|-?\.\d+)\s*([^\d\s].*)?")
_LEAST = Decimal("1e-9")
_WORD_MAX = 200


def named(name: str) -> Calculator:
    """The calculator of a name.

    Raises:
        Invalid: none has it; names the nearest.
    """
    wanted = "_".join(fold(name).split())
    found = ALL.get(wanted)
    if found is not None:
        return found
    near = difflib.get_close_matches(wanted, ALL, n=3, cutoff=0.5)
    tail = f" Near it: {', '.join(near)}." if near else ""
    raise Invalid(f"No calculator has that name.{tail} There are: {', '.join(ALL)}.", param="calculator")


def calculate(
    calculator: Calculator, inputs: Mapping[str, Any], patient: Patient, records: Records, formulas: Formulas
) -> Json:
    """The answer of a calculator; what is missing is asked for.

    Args:
        inputs: by name: a number in the input's unit, `{"value", "unit"}`, or words like `5 mg/kg`.

    Raises:
        Invalid: an input nobody knows, or one that is no such figure; names it.
    """
    known = {row.name: row for row in calculator.inputs}
    for name in inputs:
        if name not in known:
            listed = ", ".join(known)
            raise Invalid(
                f"{calculator.name} has no input {name[:80]!r}; it has {listed}.",
                code="unknown_parameter",
                param=f"inputs.{name[:80]}",
            )
    given = Given({}, patient, records, formulas)
    needs: list[Json] = list(patient.needs)
    if "weight_kg" in known and inputs.get("weight_kg") is None and patient.weight_kg is not None:
        given.values["weight_kg"] = patient.weight_kg
    asked = 0
    for row in calculator.inputs:
        value = inputs.get(row.name)
        if value is not None:
            asked += _take(row, value, given, needs)
        elif row.required and row.name not in given.values:
            needs.append(
                need(f"inputs.{row.name}", f"{calculator.title.lower()} needs it", row.ask or _question(row))
            )  # fmt: skip
            asked += 1
    outcome = calculator.run(given) if not asked else Outcome()
    for name in calculator.sources:
        source = formulas.coefficient(name, patient.species_name)
        outcome.cite(source.sources if source else ())
    return {
        "covered": outcome.covered,
        "calculator": calculator.name,
        "title": calculator.title,
        "inputs": {name: _shown_input(value) for name, value in given.values.items()},
        "result": outcome.result_json(),
        "results": [
            {"name": name, "value": dosing.significant(value), "unit": unit} for name, value, unit in outcome.also
        ],
        "rows": outcome.rows,
        "formula": outcome.formula or calculator.formula,
        "steps": outcome.steps,
        "notes": outcome.notes,
        "urgency": outcome.urgency,
        "basis": calculator.basis,
        "needs": unique_needs([*needs, *outcome.needs]),
        "not_checked": outcome.not_checked,
        "sources": [source.json for source in outcome.sources],
    }


def _question(row: Input) -> str:
    return f"{row.description.rstrip('.')}?" + (f" [{row.unit}]" if row.unit and row.unit != "ratio" else "")


def _shown_input(value: Any) -> Any:
    """An input as it was understood."""
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, Figure):
        return {"value": number(value.value), "unit": value.unit}
    if isinstance(value, dosing.Strength):
        return {"value": number(value.value), "unit": f"{value.unit}/mL" if value.per_ml else value.unit}
    return value


def _take(row: Input, value: Any, given: Given, needs: list[Json]) -> int:
    """Read one input into `given`; 1 where it must be asked again, else 0."""
    param = f"inputs.{row.name}"
    if row.kind == "flag":
        if not isinstance(value, bool):
            raise Invalid(f"{row.name} must be true or false.", param=param)
        given.values[row.name] = value
        return 0
    if row.kind == "word":
        if not isinstance(value, str) or not value.strip() or len(value) > _WORD_MAX:
            raise Invalid(f"{row.name} must be words, up to {_WORD_MAX} characters.", param=param)
        given.values[row.name] = value
        return 0
    figure = _figure(row, value, param)
    given.raw[row.name] = figure
    if row.kind == "dose":
        given.values[row.name] = _dose(row, figure, param)
        return 0
    if row.kind == "strength":
        strength = dosing.read_strength(figure.value, figure.unit)
        if strength is None:
            raise Invalid(f"Write {row.name} with its unit, like 20 mg/mL, 2 % or 50 mg.", param=f"{param}.unit")
        given.values[row.name] = strength
        return 0
    return _number(row, figure, given, needs, param)


def _dose(row: Input, figure: Figure, param: str) -> Figure:
    known, rate = canonical(figure.unit), row.unit == "rate"
    if known is None or not (bedside.is_rate(known) if rate else bedside.is_dose(known)):
        example = "5 mcg/kg/min or 0.1 mg/kg/h" if rate else "5 mg/kg"
        raise Invalid(f"Write {row.name} with its unit, like {example}.", param=f"{param}.unit")
    return Figure(figure.value, known)


def _figure(row: Input, value: Any, param: str) -> Figure:
    """A value with its unit, out of any of the three forms.

    Raises:
        Invalid: it is none of them, or out of range.
    """
    unit = row.unit
    if isinstance(value, str):
        match = _WRITTEN.fullmatch(value[:100])
        if match is None:
            raise Invalid(f"{row.name} must be a number, like 12 or 12 {row.unit or 'mg/kg'}.", param=param)
        value, unit = Decimal(match[1]), (match[2] or row.unit).strip()
    elif isinstance(value, Mapping):
        for key in value:
            if key not in ("value", "unit"):
                raise Invalid(f"{row.name} has value and unit.", code="unknown_parameter", param=f"{param}.{key}"[:200])
        unit = value.get("unit", row.unit)
        value = value.get("value")
        if not isinstance(unit, str) or len(unit) > _WORD_MAX:
            raise Invalid(f"{row.name}: the unit must be words.", param=f"{param}.unit")
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise Invalid(f"{row.name} must be a number, or an object with value and unit.", param=param)
    try:
        exact = Decimal(str(value))
    except (InvalidOperation, ValueError):
        raise Invalid(f"{row.name} must be a number.", param=param) from None
    if not exact.is_finite() or abs(exact) > FIGURE_MAX:
        raise Invalid(f"{row.name} must be a number up to {FIGURE_MAX}.", param=param)
    if exact < 0 and not row.signed:
        raise Invalid(f"{row.name} must not be negative.", param=param)
    if exact == 0 and not row.zero:
        raise Invalid(f"{row.name} must be more than 0.", param=param)
    if exact and abs(exact) < _LEAST:
        raise Invalid(f"{row.name} is too small to be true.", param=param)
    return Figure(exact, unit)


def _number(row: Input, figure: Figure, given: Given, needs: list[Json], param: str) -> int:
    """A number in the input's own unit; 1 where its unit can't be right."""
    if row.name == "pieces" and figure.value not in (1, 2, 4):
        raise Invalid("pieces must be 1, 2 or 4.", param=param)
    analyte = given.records.analytes.get(row.analyte)
    value = figure.value if not row.unit or figure.unit == row.unit else _in_unit(row, figure, analyte)
    if value is None:
        raise Invalid(f"{row.name} can't be given in {figure.unit[:40]!r}; use {row.unit}.", param=f"{param}.unit")
    if analyte is not None and not row.name.startswith("urine_"):
        interval = ratios.interval_of(given.records, analyte.name, given.species or "dog")
        if interval is not None and not can_be(analyte, value, interval):
            meant = looks_like(analyte, value, figure.value, interval)
            if meant is not None:
                why = f"{shown(figure.value)} {figure.unit} can't be true; {meant} would fit"
                needs.append(need(param, why, f"Is {row.name.replace('_', ' ')} {shown(figure.value)} {meant}?"))
                return 1
    if row.name == "weight_kg":
        bounds = None if given.patient.species is None else given.patient.species.weight_kg
        if bounds is not None and not bounds.min <= value <= bounds.max:
            why = f"{shown(value)} kg is outside {shown(bounds.min)} to {shown(bounds.max)} kg for the species"
            needs.append(need(param, why, "Please weigh again, and say the unit (kg or lb)."))
            return 1
    given.values[row.name] = value
    return 0


def _in_unit(row: Input, figure: Figure, analyte: Analyte | None) -> Decimal | None:
    if analyte is not None:
        return in_own_unit(analyte, figure.value, figure.unit)
    converted = convert(figure.value, figure.unit, row.unit)
    if converted is not None:
        return converted
    top, bottom = read_unit(figure.unit), read_unit(row.unit)
    if top is None or bottom is None or top[0] != bottom[0]:
        return None
    return figure.value * top[1] / bottom[1]


def listing(records: Records, formulas: Formulas) -> list[Json]:
    """Every calculator with its inputs, formula, sources and a worked example, computed now."""
    return [_row(row, records, formulas) for row in ALL.values()]


def _row(calculator: Calculator, records: Records, formulas: Formulas) -> Json:
    patient = normalise(PatientShape.model_validate(dict(calculator.example_patient)), records)
    answer = calculate(calculator, calculator.example, patient, records, formulas)
    return {
        "object": "clinic.calculator",
        "name": calculator.name,
        "title": calculator.title,
        "formula": calculator.formula,
        "basis": calculator.basis,
        "inputs": [
            {
                "name": row.name,
                "kind": row.kind,
                "unit": row.unit or None,
                "analyte": row.analyte or None,
                "required": row.required,
                "description": row.description,
            }
            for row in calculator.inputs
        ],
        "example": {
            "patient": dict(calculator.example_patient),
            "inputs": dict(calculator.example),
            "result": answer["result"],
            "results": answer["results"],
            "steps": answer["steps"],
        },
        "sources": answer["sources"],
    }
