"""Laboratory values: units made one, each held against its interval, what several say together, the gravest first."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from app.clinic import ratios
from app.clinic.check import unique_needs
from app.clinic.dosing import significant
from app.clinic.formulas import Formulas, Pattern, Test
from app.clinic.measures import bounds, can_be, candidates, in_own_unit, in_si, is_urea, looks_like, read_unit
from app.clinic.patient import Patient, need
from app.clinic.records import LEVELS, Analyte, Interval, Records, Source
from app.clinic.sheets import Figure, Given, Outcome
from app.clinic.units import fold, number, shown

Json = dict[str, Any]

COMPARATORS = ("<", "<=", ">", ">=")
_BLOOD = frozenset(("", "blood", "whole blood", "serum", "plasma", "edta", "heparin", "venous", "venous blood"))
_ACUTE = frozenset(
    ("potassium", "sodium", "glucose", "ionised calcium", "total calcium", "pcv", "platelets", "lactate",
     "triglycerides", "blood ph")
)  # fmt: skip
"""Analytes whose critical values endanger life within hours; those of others are urgent."""
NEAREST_MAX = 8
_ORDER = {"LL": 0, "HH": 0, "L": 1, "H": 1, None: 2, "N": 3}
_YOUNG_MONTHS = 4
_MAY_BE_NONE = frozenset(("band neutrophils", "upc", "reticulocytes"))
"""What can be nothing at all; a sodium or a creatinine of 0 is a slip, and nothing is derived from it."""
_SHORT = {
    "pt": "prothrombin time", "bhba": "beta-hydroxybutyrate", "ketone": "beta-hydroxybutyrate", "mg": "magnesium",
    "ketones": "beta-hydroxybutyrate", "img": "ionised magnesium", "p": "phosphorus", "co2": "bicarbonate",
    "got": "ast", "ap": "alp", "bil": "total bilirubin", "amy": "amylase", "lac": "lactate", "neu": "neutrophils",
    "lym": "lymphocytes", "eo": "eosinophils", "band": "band neutrophils", "sg": "urine specific gravity",
    "ua": "uric acid", "ba": "bile acids", "specfpl": "pancreatic lipase",
}  # fmt: skip
"""What panels print and free text can't mean, because it is also another word."""
_RED = frozenset(("pcv", "rbc", "haemoglobin"))


ROWS_MIN = 2
"""With fewer lines that name an analyte and a value, it is no sheet."""
MAY_BE_ROW = re.compile(r"\d ?[-\u2013] ?\d|/ ?[dmu\u00b5\u03bc]?l\b|%|\bfl\b", re.IGNORECASE)
"""A range, a unit or a share: what a line of results has."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One value as it was given.

    Attributes:
        name: as written, or a LOINC code. unit: None where none was given.
        low, high: the laboratory's own range, in the value's unit.
    """

    name: str
    value: Decimal
    unit: str | None = None
    comparator: str = ""
    low: Decimal | None = None
    high: Decimal | None = None
    specimen: str = ""


@dataclass(slots=True)
class _Read:
    """One value that was understood. `own` is in the analyte's own unit; `lowest` and `highest` what it may be."""

    given: Measured
    analyte: Analyte
    unit: str
    own: Decimal
    flag: str | None = None

    @property
    def exact(self) -> bool:
        return not self.given.comparator

    def span(self, unit: str) -> tuple[Decimal | None, Decimal | None]:
        """From and to where the true value lies, in the analyte's own or SI unit."""
        value = in_si(self.analyte, self.own) if unit == self.analyte.si_unit else self.own
        return (
            None if self.given.comparator.startswith("<") else value,
            None if self.given.comparator.startswith(">") else value,
        )


@dataclass(slots=True)
class _Page:
    """The answer while it is written."""

    results: list[Json] = field(default_factory=list)
    needs: list[Json] = field(default_factory=list)
    not_checked: list[Json] = field(default_factory=list)
    nearest: list[str] = field(default_factory=list)
    urgencies: list[str] = field(default_factory=list)
    critical: list[str] = field(default_factory=list)
    patterns: list[Json] = field(default_factory=list)


def may_be_sheet(text: str) -> bool:
    """Whether a text has lines enough that could be results; most have none, and are read no further."""
    return "\n" in text and sum(MAY_BE_ROW.search(line) is not None for line in text.splitlines()) >= ROWS_MIN


def judge(patient: Patient, measured: Sequence[Measured], records: Records, formulas: Formulas) -> Json:
    """The whole answer over a patient's values."""
    page = _Page(needs=list(patient.needs))
    reads: dict[str, _Read] = {}
    percent: Decimal | None = None
    for row in measured:
        analyte = analyte_of(row, records)
        if analyte is None:
            _unknown(row, records, page)
        elif analyte.name == "reticulocytes" and row.unit is not None and (read_unit(row.unit) or ("",))[0] == "1":
            percent = row.value * 100 if row.unit.strip() != "%" else row.value
            page.results.append(_bare(row, analyte.name, "a share; the absolute count is judged"))
        elif fold(row.specimen) not in _BLOOD and not analyte.name.startswith(("urine", "upc")):
            page.results.append(_bare(row, analyte.name, f"the interval is of blood, not of {row.specimen}"))
            page.not_checked.append({"text": f"{row.name} ({row.specimen})", "why": "other_specimen"})
        else:
            read = _one(row, analyte, patient, formulas, page)
            if read is not None and analyte.name in reads:
                page.not_checked.append({"text": row.name, "why": "given_twice"})
            elif read is not None:
                reads[analyte.name] = read
    derived, extra = _derived(reads, percent, patient, records, formulas, page)
    patterns = sorted(
        [*page.patterns, *_patterns(reads, extra, patient, formulas)], key=lambda row: LEVELS.index(row["urgency"])
    )
    page.urgencies += [row["urgency"] for row in patterns]
    if any(row["flag"] not in (None, "N") for row in page.results):
        page.urgencies.append("routine")
    page.results.sort(key=lambda row: _ORDER[row["flag"]])
    every = [source for row in page.results for source in row["sources"]]
    every += [source for rows in (derived, patterns) for row in rows for source in row["sources"]]
    return {
        "covered": any(row["flag"] is not None for row in page.results) or bool(derived),
        "urgency": min(page.urgencies, key=LEVELS.index) if page.urgencies else None,
        "critical": page.critical,
        "results": page.results,
        "derived": derived,
        "patterns": patterns,
        "nearest": page.nearest,
        "needs": unique_needs(page.needs),
        "not_checked": page.not_checked,
        "sources": list({(row["url"], row["title"]): row for row in every}.values()),
    }


def analyte_of(row: Measured, records: Records) -> Analyte | None:
    """The analyte of a panel's word, where `pt` is no patient and `lead` no cable."""
    first = "urine" if fold(row.specimen) == "urine" else None
    words = ([f"urine {row.name}"] if first else []) + [row.name, f"serum {row.name}", f"blood {row.name}"]
    short = _SHORT.get(fold(row.name))
    return next((one for word in [*words, short or ""] if (one := records.analyte_named(word)) is not None), None)


def _bare(row: Measured, analyte: str, why: str) -> Json:
    """A result that is not judged."""
    return {
        "analyte": analyte,
        "name": row.name,
        "value": number(row.value),
        "comparator": row.comparator or None,
        "unit": row.unit,
        "si": None,
        "conventional": None,
        "interval": None,
        "record_interval": None,
        "flag": None,
        "fold": None,
        "why": why,
        "sources": [],
    }


def _unknown(row: Measured, records: Records, page: _Page) -> None:
    """A name nobody knows: only the caller's own range can judge it."""
    known = records.analytes_by_name if len(page.not_checked) < NEAREST_MAX else ()  # looking takes milliseconds each
    near = difflib.get_close_matches(fold(row.name)[:60], known, n=3, cutoff=0.7)
    names = [records.analytes_by_name[name].name for name in near]
    page.nearest += [name for name in dict.fromkeys(names) if name not in page.nearest]
    page.not_checked.append({"text": row.name, "why": "unknown_analyte"})
    result = _bare(row, row.name, "no analyte of that name is on record; judged by your range alone")
    flag, why = _flag(row.value, row.comparator, row.low, row.high, None, None)
    if row.low is not None or row.high is not None:
        result |= {"flag": flag, "interval": _interval(row.low, row.high, row.unit, "caller")}
        result["why"] += f"; {why}" if why else ""
    else:
        result["why"] = "no analyte of that name is on record"
    page.results.append(result)


def _interval(low: Decimal | None, high: Decimal | None, unit: str | None, source: str) -> Json:
    return {
        "low": None if low is None else significant(low, 4),
        "high": None if high is None else significant(high, 4),
        "unit": unit,
        "source": source,
    }


def _unit_of(row: Measured, analyte: Analyte, interval: Interval | None, page: _Page) -> tuple[str, str] | None:
    """The unit a value is in, and what was assumed; None where it has to be asked."""
    path = f"analytes[{row.name}].unit"
    if row.unit:
        own = in_own_unit(analyte, row.value, row.unit, row.name)
        if own is None:
            page.needs.append(need(path, f"{row.unit} is no unit of {analyte.name}", _which_unit(analyte)))
            return None
        meant = looks_like(analyte, own, row.value, interval) if interval is not None else None
        if meant is not None:
            why = f"{shown(row.value)} {row.unit} can't be true; {shown(row.value)} {meant} would fit"
            page.needs.append(need(path, why, f"Is {analyte.name} {shown(row.value)} {meant}?"))
            return None
        return row.unit, ""
    units = candidates(analyte)
    if len(units) == 1:
        return units[0], ""
    possible = []
    for unit in units:
        own = in_own_unit(analyte, row.value, unit)
        if own is not None and (interval is None or can_be(analyte, own, interval)):
            possible.append(unit)
    if len(possible) == 1 and interval is not None:
        page.needs.append(need(path, f"read as {possible[0]}, the only unit that fits", _which_unit(analyte)))
        return possible[0], f"no unit was given; {possible[0]} is the only one that fits"
    page.needs.append(need(path, "without its unit it can't be judged", _which_unit(analyte)))
    return None


def _which_unit(analyte: Analyte) -> str:
    return f"In which unit is {analyte.name}: {' or '.join(candidates(analyte))}?"


def _one(row: Measured, analyte: Analyte, patient: Patient, formulas: Formulas, page: _Page) -> _Read | None:
    """One value judged; None where its unit has to be asked first."""
    interval = next((one for one in analyte.intervals if one.species == patient.species_name), None)
    found = _unit_of(row, analyte, interval or _any_interval(analyte), page)
    if found is None:
        page.results.append(_bare(row, analyte.name, "its unit has to be known first"))
        page.not_checked.append({"text": row.name, "why": "unknown_unit"})
        return None
    unit, assumed = found
    if analyte.name == "urine specific gravity" and 1000 <= row.value < 1100:
        row, assumed = (
            replace(row, value=row.value / 1000),
            f"{shown(row.value, 6)} read as {shown(row.value / 1000, 6)}",
        )
    own = in_own_unit(analyte, row.value, unit, row.name)
    assert own is not None
    read = _Read(row, analyte, unit, own)
    limits = None if interval is None else bounds(analyte, interval)
    notes = [assumed] if assumed else []
    if is_urea(row.name, unit) and analyte.factor != 1:
        notes.append("read as urea (x 0.1665 to mmol/L); say urea nitrogen or BUN where that was measured")
    low, high, source = row.low, row.high, "caller"
    if low is None and high is None and limits is not None:
        low, high, source = limits[0], limits[1], "record"
    elif low is not None or high is not None:
        low, high = (None if limit is None else in_own_unit(analyte, limit, unit, row.name) for limit in (low, high))
        notes.append("flagged by the range you gave")
    critical = (None, None) if limits is None else limits[2:]
    read.flag, why = _flag(own, row.comparator, low, high, *critical)
    notes += [why] if why else []
    result = _bare(row, analyte.name, "")
    result |= {
        "unit": unit,
        "si": {"value": significant(in_si(analyte, own)), "unit": analyte.si_unit},
        "conventional": {"value": significant(own), "unit": analyte.unit},
        "interval": None
        if low is None and high is None
        else _interval(_back(analyte, low, unit, row), _back(analyte, high, unit, row), unit, source),
        "record_interval": None
        if limits is None or interval is None
        else {
            **_interval(_back(analyte, limits[0], unit, row), _back(analyte, limits[1], unit, row), unit, "record"),
            "method": interval.method_note or None,
        },
    }
    _exceptions(read, patient, formulas, result, notes, source)
    if read.flag in ("L", "LL", "H", "HH"):
        end, of = (low, "lower limit") if read.flag in ("L", "LL") else (high, "upper limit")
        result["fold"] = None if not end else {"times": significant(own / end, 3), "of": of}
    if interval is None:
        why = "missing_species" if patient.species is None else "no_record_for_species"
        page.not_checked.append({"text": row.name, "why": why})
        notes.append("no interval of this species is on record")
    else:
        result["sources"] += [one.json for one in interval.sources]
    result["flag"] = read.flag
    result["why"] = "; ".join(notes) or None
    if read.flag in ("LL", "HH"):
        page.critical.append(analyte.name)
        page.urgencies.append("emergency" if analyte.name in _ACUTE else "urgent")
    page.results.append(result)
    return read


def _any_interval(analyte: Analyte) -> Interval | None:
    """Any species' interval, to see whether a unit can be right."""
    return analyte.intervals[0] if analyte.intervals else None


def _back(analyte: Analyte, own: Decimal | None, unit: str, row: Measured) -> Decimal | None:
    """A limit in the unit of the value."""
    if own is None:
        return None
    each = in_own_unit(analyte, Decimal(1), unit, row.name)
    assert each is not None
    return own / each


def _flag(
    value: Decimal,
    comparator: str,
    low: Decimal | None,
    high: Decimal | None,
    critical_low: Decimal | None,
    critical_high: Decimal | None,
) -> tuple[str | None, str]:
    """The flag, and why there is none or why it is not the whole truth."""
    if low is None and high is None:
        return None, ""
    if comparator.startswith("<"):
        if low is not None and value <= low:
            return ("LL" if critical_low is not None and value <= critical_low else "L"), ""
        if (low is None or low == 0) and high is not None and value <= high:
            return "N", ""
        return None, "anything below that may be low, normal or high"
    if comparator.startswith(">"):
        if high is not None and value >= high:
            return ("HH" if critical_high is not None and value >= critical_high else "H"), ""
        return None, "anything above that may be low, normal or high"
    if low is not None and value < low:
        return ("LL" if critical_low is not None and value <= critical_low else "L"), ""
    if high is not None and value > high:
        return ("HH" if critical_high is not None and value >= critical_high else "H"), ""
    if (critical_low is not None and value <= critical_low) or (critical_high is not None and value >= critical_high):
        return "N", "within that range, but past the critical limit on record: check the range"
    return "N", ""


def _exceptions(read: _Read, patient: Patient, formulas: Formulas, result: Json, notes: list[str], source: str) -> None:
    """What an interval does not know: age, a hen in lay, breeds."""
    groups = () if patient.species is None else patient.species.groups
    if read.analyte.name == "total calcium" and "bird" in groups and read.flag in ("H", "HH"):
        row = formulas.coefficient("laying-hen-calcium")
        if patient.sex != "male" and row is not None:
            read.flag = None
            notes.append(row.text)
            result["sources"] += [one.json for one in row.sources]
    if patient.juvenile and source == "record":
        notes.append("the interval is of adults; a growing animal may differ")
    if read.analyte.name == "pcv" and read.flag in ("L", "LL"):
        grade = formulas.band("anaemia", read.own, "%", patient.species_name)
        if grade is not None:
            notes.append(f"{grade.label} anaemia")
            result["sources"] += [one.json for one in grade.sources]
    age = patient.age_months
    if read.analyte.name in _RED and read.flag in ("L", "LL") and age is not None and age < _YOUNG_MONTHS:
        row = formulas.coefficient("young-red-cells")
        if row is not None:
            notes.append(row.text)
            result["sources"] += [one.json for one in row.sources]
    breed = patient.breed
    words = "" if breed is None else " ".join(breed.sensitivities).lower()
    name = read.analyte.name
    telling = {"pcv": "higher pcv", "t4": "lower t4", "platelets": "t4 and platelets", "potassium": "high potassium"}
    if breed is not None and name in telling and telling[name] in words and read.flag not in (None, "N"):
        notes.append(f"{breed.name}: {next(one for one in breed.sensitivities if telling[name] in one.lower())}")


def _derived(
    reads: dict[str, _Read],
    percent: Decimal | None,
    patient: Patient,
    records: Records,
    formulas: Formulas,
    page: _Page,
) -> tuple[list[Json], dict[str, Decimal]]:
    """Values that come of several, and by name those that patterns test."""
    exact = {name: read.own for name, read in reads.items() if read.exact and (read.own > 0 or name in _MAY_BE_NONE)}
    raw = {name: Figure(read.given.value, read.unit) for name, read in reads.items()}
    given = Given({name.replace(" ", "_"): value for name, value in exact.items()}, patient, records, formulas, raw)
    rows: list[Json] = []
    extra: dict[str, Decimal] = {}

    def compute(name: str, calculator: str, tested: str = "") -> Outcome:
        found = next(row for row in ratios.CALCULATORS if row.name == calculator)
        outcome = found.run(given)
        if outcome.result is not None and tested:
            extra[tested] = outcome.result[0]
        if outcome.result is not None or outcome.label is not None:
            rows.append(_derived_row(name, found.formula, outcome))
            page.urgencies += [outcome.urgency] if outcome.urgency else []
        return outcome

    have = exact.keys()
    if have >= {"sodium", "potassium"}:
        compute("sodium:potassium", "sodium_potassium_ratio", "sodium potassium ratio")
    if "albumin" in have and ("globulin" in have or "total protein" in have):
        compute("albumin:globulin", "albumin_globulin_ratio", "albumin globulin ratio")
    if have >= {"sodium", "potassium", "chloride", "bicarbonate"}:
        compute("anion gap", "anion_gap", "anion gap")
    if have >= {"sodium", "glucose", "urea nitrogen"}:
        if "osmolality" in have:
            given.values["measured"] = exact["osmolality"]
        outcome = compute("calculated osmolality", "osmolality")
        extra |= {also: value for also, value, _ in outcome.also}
    if have >= {"sodium", "glucose"} and reads["glucose"].flag in ("H", "HH"):
        compute("sodium corrected for glucose", "corrected_sodium", "corrected sodium")
    if have >= {"total calcium", "phosphorus"}:
        compute("calcium x phosphorus", "calcium_phosphorus_product", "calcium phosphorus product")
    if have >= {"band neutrophils", "neutrophils"} and exact["neutrophils"] > 0:
        extra["band share"] = exact["band neutrophils"] / exact["neutrophils"]
    _reticulocytes(reads, percent, exact, given, page, compute)
    if _high(reads, "creatinine") or _high(reads, "urea nitrogen"):
        if "urine specific gravity" in have:
            outcome = compute("azotaemia by urine gravity", "azotaemia")
            if outcome.urgency and outcome.label:
                page.patterns.append(_azotaemia(outcome))
        else:
            page.urgencies += ["urgent"] if _high(reads, "creatinine") else []
            why = "it tells a prerenal from a renal azotaemia"
            page.needs.append(need("analytes[urine specific gravity]", why, "What is the urine specific gravity?"))
    if patient.species_name in ("dog", "cat") and (_stage(reads, given, "creatinine") or _stage(reads, given, "sdma")):
        compute("IRIS stage, if the disease is chronic and stable", "iris_ckd")
    elif "upc" in have:
        band = formulas.band("upc", exact["upc"], "ratio", patient.species_name)
        if band is not None and patient.species is not None:
            outcome = Outcome(result=(exact["upc"], "ratio"), label=band.label, sources=list(band.sources))
            rows.append(_derived_row("proteinuria (IRIS)", "protein / creatinine", outcome))
    return rows, extra


def _azotaemia(outcome: Outcome) -> Json:
    """The class of an azotaemia as a pattern."""
    assert outcome.label is not None
    return {
        "id": "azotaemia-prerenal" if "prerenal" in outcome.label else "azotaemia-renal",
        "name": outcome.label,
        "why": " ".join(outcome.notes),
        "urgency": outcome.urgency,
        "analytes": ["creatinine", "urea nitrogen", "urine specific gravity"],
        "sources": _json(outcome.sources),
    }


def _high(reads: dict[str, _Read], name: str) -> bool:
    return name in reads and reads[name].flag in ("H", "HH")


def _stage(reads: dict[str, _Read], given: Given, name: str) -> bool:
    """Whether a value lies beyond IRIS stage 1."""
    read = reads.get(name)
    if read is None or not read.exact:
        return False
    band = given.formulas.band(name, read.own, read.analyte.unit, given.species)
    return band is not None and band.label != "1"


def _reticulocytes(
    reads: dict[str, _Read], percent: Decimal | None, exact: dict[str, Decimal], given: Given, page: _Page, compute: Any
) -> None:
    """The absolute count from the percentage; and the regeneration it shows, where there is an anaemia."""
    if percent is not None and "rbc" in exact:
        given.values["reticulocyte_percent"] = percent
        outcome = compute("absolute reticulocytes", "absolute_reticulocytes")
        if outcome.result is not None and "reticulocytes" not in reads:
            analyte = given.records.analytes["reticulocytes"]
            row = Measured("reticulocytes", outcome.result[0], analyte.unit)
            reads["reticulocytes"] = _Read(row, analyte, analyte.unit, outcome.result[0])
    elif percent is not None:
        page.needs.append(
            need("analytes[rbc]", "a percentage misleads; the absolute count is judged", "How many red cells?")
        )


def _derived_row(name: str, formula: str, outcome: Outcome) -> Json:
    return {
        "name": name,
        "result": outcome.result_json(),
        "formula": formula,
        "steps": outcome.steps,
        "notes": outcome.notes,
        "not_checked": outcome.not_checked,
        "sources": [source.json for source in outcome.sources],
    }


def _patterns(reads: dict[str, _Read], extra: dict[str, Decimal], patient: Patient, formulas: Formulas) -> list[Json]:
    """The patterns that hold for this species."""
    found: list[Pattern] = []
    for pattern in formulas.patterns:
        if pattern.species and patient.species_name not in pattern.species:
            continue
        if all(_holds(test, reads, extra) for test in pattern.tests):
            found.append(pattern)
    replaced = {name for pattern in found for name in pattern.replaces}
    return [
        {
            "id": pattern.id,
            "name": pattern.name,
            "why": pattern.why,
            "urgency": pattern.urgency,
            "analytes": list(dict.fromkeys(test.of for test in pattern.tests)),
            "sources": _json(pattern.sources),
        }
        for pattern in found
        if pattern.id not in replaced
    ]


def _json(sources: Sequence[Source]) -> list[Json]:
    return [source.json for source in sources]


def _holds(test: Test, reads: dict[str, _Read], extra: dict[str, Decimal]) -> bool:
    """Whether a condition surely holds: a value behind `<` or `>` counts only where all it may be fits."""
    if test.of in extra:
        return test.holds(extra[test.of])
    read = reads.get(test.of)
    if read is None or (test.flags and read.flag not in test.flags):
        return False
    low, high = read.span(test.unit)
    if low is not None and high is not None:
        return test.holds(low)
    if low is None:
        assert high is not None
        reached = test.below if test.below is not None else test.most
        return test.least is None and test.above is None and (reached is None or high <= reached)
    reached = test.above if test.above is not None else test.least
    return test.below is None and test.most is None and (reached is None or low >= reached)
