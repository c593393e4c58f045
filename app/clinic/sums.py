"""Calculators that a question asks for: recognised by its words, their inputs taken out of its figures.

`maintenance fluids for a 20 kg dog, 8 % dehydrated` is the calculator `fluid_plan`; what it lacks is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from app.base.errors import Invalid
from app.clinic.calculators import ALL, calculate
from app.clinic.formulas import Formulas
from app.clinic.lexicon import vocabulary
from app.clinic.patient import Patient, need
from app.clinic.reading import Figure, Measurement, Medication, Reading, figure
from app.clinic.records import Records
from app.clinic.units import convert

Json = dict[str, Any]

SUMS_MAX = 4
_NEAR = 5
_UNITS_WORD = r"[a-z%\u00b5\u03bc\u00b0]+(?:\s*/\s*[a-z0-9]+)?"
_CONVERTED = (
    rf"convert\w*\s+(?P<value>-?[\d.]+)\s*(?P<unit>{_UNITS_WORD})\s+(?:of\s+)?(?P<of>[a-z ]*?)\s*"
    rf"\b(?:in)?to\s+(?P<to>{_UNITS_WORD})"
)
_DROPS = r"(\d+)\s*(?:drops|gtts?)\s*(?:/|per)\s*ml"
OWNERS_TOO = frozenset(("energy", "body_surface", "unit_conversion"))
"""What tells an owner nothing that only a vet may decide."""


OF_DRUGS = frozenset(("cri", "cri_bag", "potassium"))
"""What is not worked out for a drug that must not be given so."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a question says, as far as calculators need it.

    Attributes:
        values, vitals: by name, of the animal that is computed for.
    """

    text: str
    words: Sequence[str]
    figures: Sequence[Figure]
    values: Mapping[str, Measurement]
    vitals: Mapping[str, Measurement]
    medications: Sequence[Medication]
    records: Records


Reader = Callable[[Said], Any]


def _is_at(said: Said, one: Figure, cues: frozenset[str]) -> bool:
    """Whether one of these words stands right before a figure, articles and `of` aside."""
    at = one.start - 1
    while at >= 0 and said.words[at] in ("a", "the", "of", "is", "=", ":", "about"):
        at -= 1
    return at >= 0 and said.words[at] in cues


def _given(one: Figure | None, unit: str) -> Any:
    return None if one is None else {"value": one.top, "unit": unit}


def _percent(cue: str) -> Reader:
    """The percentage beside a word that begins so: `8 % dehydrated`."""

    def read(said: Said) -> Any:
        places = [place for place, word in enumerate(said.words) if word.startswith(cue)]
        found = [one for one in said.figures if one.dimension == "percent"]
        near = [one for one in found if any(-_NEAR <= place - one.end <= _NEAR for place in places)]
        return near[0].top if near else None if places else Decimal(0)

    return read


def _per(dimension: str, *per: str) -> Reader:
    """The figure of these units: `60 mL/h`, `40 mEq/L`."""

    def read(said: Said) -> Any:
        below = {"day": "d", "tablet": "unit"}
        found = next((one for one in said.figures if one.dimension == dimension and one.per == per), None)
        return None if found is None else _given(found, "/".join((found.unit, *(below.get(one, one) for one in per))))

    return read


def _first(*readers: Reader) -> Reader:
    def read(said: Said) -> Any:
        return next((found for reader in readers if (found := reader(said)) is not None), None)

    return read


_OVER = vocabulary("over in within next for during")


def _hours(said: Said) -> Any:
    """`over 12 hours`."""
    found = next((one for one in said.figures if one.unit in ("h", "day") and _is_at(said, one, _OVER)), None)
    return _given(found, "d" if found is not None and found.unit == "day" else "h")


def _bag(said: Said) -> Any:
    """`a 1 L bag`, `in 500 mL`."""
    volumes = [one for one in said.figures if one.dimension == "volume" and not one.per and one.unit in ("mL", "L")]
    beside = [one for one in volumes if "bag" in said.words[one.start - 2 : one.end + 2] or one.top * 1000 >= 1000]
    found = next(iter([one for one in beside if (convert(one.top, one.unit, "mL") or 0) >= 50]), None)
    return None if found is None else _given(found, found.unit)


def _rate(said: Said) -> Any:
    """An infusion of the caller's own: `50 mcg/kg/min`."""
    for one in said.figures:
        if one.dimension in ("mass", "activity", "charge") and one.per[-1:] in (("min",), ("h",), ("day",)):
            return _given(one, "/".join((one.unit, *one.per)).replace("day", "d"))
    return None


def _strength(said: Said) -> Any:
    """`20 mg/mL`, `2 mEq/mL`, `2 %` of a drug."""
    for one in said.figures:
        if one.dimension in ("mass", "activity", "charge", "amount") and one.per == ("mL",):
            return {"value": one.top, "unit": f"{one.unit}/mL"}
    found = next((one.strength for one in said.medications if one.strength is not None), None)
    return None if found is None else {"value": found[0], "unit": found[1]}


def _after(*cues: str, most: Decimal | None = None) -> Reader:
    """The bare number or percentage behind one of these words: `target 22`, `donor pcv 40`."""
    wanted = frozenset(cues)

    def read(said: Said) -> Any:
        for one in said.figures:
            if one.dimension not in ("", "percent") or (most is not None and one.top > most):
                continue
            if not wanted.isdisjoint(said.words[max(0, one.start - 3) : one.start]):
                return one.top
            if one.top != one.value and "to" in wanted:
                return one.top
        return None

    return read


def _value(name: str) -> Reader:
    """A laboratory value; one without its unit only where there is no doubt which it is."""

    def read(said: Said) -> Any:
        one = said.values.get(name)
        if one is None:
            return None
        if one.unit is None:
            analyte = said.records.analytes[name]
            return one.value if analyte.factor == 1 or (analyte.unit == "%" and one.value > 1) else None
        return {"value": one.value, "unit": one.unit}

    return read


def _vital(name: str) -> Reader:
    def read(said: Said) -> Any:
        one = said.vitals.get(name)
        return None if one is None else one.value

    return read


def _drops(said: Said) -> Any:
    found = re.search(_DROPS, said.text.lower())
    return None if found is None else Decimal(found[1])


def _conversion(name: str) -> Reader:
    """A part of `convert 120 umol/L creatinine to mg/dL`."""

    def read(said: Said) -> Any:
        found = re.search(_CONVERTED, said.text.lower())
        if found is None:
            return None
        of = found["of"].strip()
        return (
            Decimal(found["value"])
            if name == "value"
            else (found[name].replace(" ", "") if name != "of" else of or None)
        )

    return read


_TARGET = _after("to", "target", "goal", "aim", "wanted", "desired")
_ML_PER_H = _first(_per("volume", "h"))
_WATER = _after("fraction", "water", most=Decimal(1))


@dataclass(frozen=True, slots=True)
class Ask:
    """How a calculator is asked for.

    Attributes:
        phrases: any of them asks for it, ` `-joined words.
        also, unless: and one of these words stands in the text, and none of those.
        inputs: how each input is read; the weight and what comes from the patient are the calculator's own.
    """

    calculator: str
    phrases: tuple[str, ...]
    inputs: Mapping[str, Reader]
    also: frozenset[str] = frozenset()
    unless: frozenset[str] = frozenset()


def _asks(calculator: str, phrases: str, also: str = "", unless: str = "", **inputs: Reader) -> Ask:
    return Ask(calculator, tuple(phrases.split("|")), inputs, vocabulary(also), vocabulary(unless))


ASKS = (
    _asks(
        "fluid_plan",
        "maintenance fluid|maintenance fluids|fluid maintenance|fluid rate|fluids rate|rate of fluids|fluids for|"
        "fluid plan|fluid therapy|fluid requirement|fluid requirements|fluid deficit|fluid needs|how much fluid|"
        "how much fluids|how many fluids|ml of fluid|ml of fluids|mls of fluid|mls of fluids|% dehydrated|"
        "% dehydration|percent dehydrated|rehydrate|rehydration",
        dehydration_percent=_percent("dehydr"), replace_over_h=_hours,
        maintenance_ml_per_kg_day=_first(_per("volume", "kg", "day"), _per("volume", "kg", "h")),
    ),
    _asks("shock_bolus", "shock bolus|shock dose|shock fluids|shock volume|fluid bolus|fluids in shock"),
    _asks("energy", "rer|mer|kcal|calories|resting energy|energy requirement|energy requirements|energy need|"
                    "energy needs|maintenance energy", factor=_after("factor", "x", most=Decimal(10))),
    _asks("cri", "cri|constant rate infusion|constant rate|continuous infusion|syringe pump|infusion rate", "min h hr "
          "hour day d", dose=_rate, strength=_strength),
    _asks("cri_bag", "cri|constant rate infusion|continuous infusion", "bag", dose=_rate, bag_ml=_bag,
          rate_ml_per_h=_ML_PER_H, strength=_strength),
    _asks("body_surface", "bsa|body surface|surface area"),
    _asks("drip_rate", "drip rate|drops per minute|drops a minute|drops / min|gtt / min|drop rate",
          rate_ml_per_h=_ML_PER_H, drops_per_ml=_drops),
    _asks("potassium", "kcl|potassium chloride|potassium supplementation|add potassium|potassium to add|spike",
          "bag supplementation add spike litre liter l", bag_ml=_bag, rate_ml_per_h=_ML_PER_H,
          target_meq_per_l=_first(_per("charge", "L"), _per("amount", "L")),
          strength=_first(_per("charge", "mL"), _per("amount", "mL"))),
    _asks("blood_volume", "blood volume|circulating volume"),
    _asks("transfusion", "transfusion|transfuse|blood transfusion|packed red cells|prbc|whole blood",
          "pcv hct haematocrit hematocrit transfusion transfuse", "plasma", pcv=_value("pcv"), pcv_wanted=_TARGET,
          pcv_donor=_after("donor", "bag", "unit")),
    _asks("shock_index", "shock index", heart_rate=_vital("heart_rate"), systolic_pressure=_vital("systolic_pressure")),
    _asks("sodium_deficit", "sodium deficit", sodium=_value("sodium"), sodium_wanted=_TARGET,
          body_water_fraction=_WATER),
    _asks("free_water_deficit", "free water deficit|water deficit", sodium=_value("sodium"), sodium_wanted=_TARGET,
          body_water_fraction=_WATER),
    _asks("cpr", "cpr drugs|cpr sheet|cpr chart|crash drugs|crash sheet|code drugs|resuscitation drugs|"
                 "emergency drug sheet|emergency drugs"),
    _asks("sodium_potassium_ratio", "na k ratio|na / k|na : k|sodium potassium ratio|sodium to potassium ratio",
          sodium=_value("sodium"), potassium=_value("potassium")),
    _asks("albumin_globulin_ratio", "a / g ratio|ag ratio|a : g ratio|albumin globulin ratio|albumin to globulin ratio",
          albumin=_value("albumin"), globulin=_value("globulin"), total_protein=_value("total protein")),
    _asks("anion_gap", "anion gap", sodium=_value("sodium"), potassium=_value("potassium"),
          chloride=_value("chloride"), bicarbonate=_value("bicarbonate")),
    _asks("osmolality", "osmolality|osmolarity|osmolal gap|osmolar gap|osmol gap", sodium=_value("sodium"),
          glucose=_value("glucose"), urea_nitrogen=_value("urea nitrogen"), measured=_after("measured")),
    _asks("corrected_sodium", "corrected sodium|correct sodium|correct the sodium|corrected na|sodium corrected",
          sodium=_value("sodium"), glucose=_value("glucose")),
    _asks("corrected_calcium", "corrected calcium|correct calcium|correct the calcium|corrected ca|calcium corrected",
          total_calcium=_value("total calcium"), albumin=_value("albumin")),
    _asks("calcium_phosphorus_product", "calcium phosphorus product|calcium phosphate product|ca x p|caxp|ca p product|"
          "ca / p product", total_calcium=_value("total calcium"), phosphorus=_value("phosphorus")),
    _asks("absolute_reticulocytes", "absolute reticulocyte|absolute reticulocytes|absolute retic|absolute retics",
          reticulocyte_percent=_value("reticulocytes"), rbc=_value("rbc")),
    _asks("corrected_reticulocytes", "corrected reticulocyte|corrected reticulocytes|corrected retic|corrected retics|"
          "retic correction", reticulocyte_percent=_value("reticulocytes"), pcv=_value("pcv"),
          normal_pcv=_after("normal")),
    _asks("upc", "upc|protein creatinine ratio|protein / creatinine|protein to creatinine", "protein",
          urine_protein=_after("protein"), urine_creatinine=_after("creatinine")),
    _asks("iris_ckd", "iris stage|iris staging|iris ckd|iris stages", creatinine=_value("creatinine"),
          sdma=_value("sdma"), systolic_pressure=_vital("systolic_pressure"), upc=_after("upc")),
    Ask("unit_conversion", ("convert",), {"value": _conversion("value"), "from": _conversion("unit"),
                                          "to": _conversion("to"), "analyte": _conversion("of")}),
)  # fmt: skip
_BY_START: dict[str, list[tuple[Ask, str]]] = {}
for _ask in ASKS:
    for _phrase in _ask.phrases:
        _BY_START.setdefault(_phrase.split()[0], []).append((_ask, _phrase))
_RATES = frozenset((per, time) for per in ("kg", "lb") for time in ("min", "h"))
_OF_RATES = frozenset(("cri", "cri_bag"))
_BEFORE: Mapping[str, tuple[str, ...]] = {"cri": ("cri_bag",)}
"""What is more exact where both are asked for."""


def asked(reading: Reading) -> list[Ask]:
    """The calculators that a text asks for by name, or by the rate of an infusion: `dopamine 5 mcg/kg/min`."""
    bag = frozenset(reading.words)
    starts = bag & _BY_START.keys()
    rated = any(one.per in _RATES for one in reading.medications)
    if not starts and not rated:
        return []
    joined = f" {' '.join(reading.words)} "
    names = {ask.calculator for start in starts for ask, phrase in _BY_START[start] if f" {phrase} " in joined}
    names |= _OF_RATES if rated else frozenset()
    found = [
        ask for ask in ASKS
        if ask.calculator in names
        and (not ask.also or not ask.also.isdisjoint(bag))
        and ask.unless.isdisjoint(bag)
    ] if names else []  # fmt: skip
    names = {ask.calculator for ask in found}
    return [ask for ask in found if names.isdisjoint(_BEFORE.get(ask.calculator, ()))][:SUMS_MAX]


_OF_ANOTHER = ("donor", "donors", "donor's", "normal", "target", "goal", "wanted", "desired", "bag")
_BEFORE_MAX = 16


def own_values(reading: Reading) -> Sequence[Measurement]:
    """The values that were measured in the patient: not `donor pcv 40`, `normal pcv 45`."""
    return [
        one for one in reading.analytes
        if not reading.text[max(0, one.span[0] - _BEFORE_MAX) : one.span[0]].lower().rstrip().endswith(_OF_ANOTHER)
    ]  # fmt: skip


class Whose(NamedTuple):
    """An animal to compute for: its place in the reading, its place among the patients, and itself."""

    said_as: int | None
    place: int | None
    patient: Patient


def computed(
    asks: Iterable[Ask],
    reading: Reading,
    animals: Sequence[Whose],
    records: Records,
    formulas: Formulas,
    done: Sequence[str],
    needs: list[Json],
) -> list[Json]:
    """The calculators asked for, one row an animal, in the shape of `calculations`; what is missing goes to `needs`.

    Args:
        done: formulas that the laboratory values have been put into already.
    """
    rows: list[Json] = []
    left = [ask for ask in asks if ALL[ask.calculator].formula not in done]
    figures = _figures(reading.words) if left else ()
    for ask in left:
        calculator = ALL[ask.calculator]
        for said_as, place, patient in animals:
            said = Said(
                text=reading.text,
                words=reading.words,
                figures=figures,
                values={one.name: one for one in reversed(own_values(reading)) if one.animal in (said_as, None)},
                vitals={one.name: one for one in reading.vitals if one.animal in (said_as, None)},
                medications=reading.medications,
                records=records,
            )
            inputs = {name: value for name, reader in ask.inputs.items() if (value := reader(said)) is not None}
            if ask.calculator in ("cri", "cri_bag") and "dose" not in inputs:
                continue  # the doses on record answer that
            try:
                answer = calculate(calculator, inputs, patient, records, formulas)
            except Invalid as refused:
                needs.append(need(refused.param or "inputs", "the figure can't be used", str(refused)))
                continue
            needs += answer["needs"]
            if answer["steps"] or answer["notes"] or answer["rows"]:
                kept = ("result", "results", "rows", "formula", "steps", "notes", "inputs", "sources")
                row = {"name": calculator.title, "calculator": calculator.name, "patient": place}
                rows.append(row | {name: answer[name] for name in kept})
    return rows


def _figures(words: Sequence[str]) -> list[Figure]:
    """The quantities of a text, in their order."""
    found, place, listed = [], 0, list(words)
    while place < len(listed):
        one = figure(listed, place) if "0" <= listed[place][0] <= "9" else None
        if one is not None:
            found.append(one)
        place = place + 1 if one is None else one.end
    return found
