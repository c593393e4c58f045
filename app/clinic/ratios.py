"""Calculators of laboratory values: ratios, gaps, corrections and stages; figures from species_data/calculators."""

from __future__ import annotations

from decimal import Decimal

from app.clinic.formulas import Band, Formulas, Pattern
from app.clinic.measures import bounds, in_own_unit, in_si, read_unit
from app.clinic.records import Interval, Records
from app.clinic.sheets import Calculator, Given, Input, Outcome
from app.clinic.units import canonical, convert, shown

SODIUM = Input("sodium", "number", "Sodium.", "mEq/L", "sodium")
POTASSIUM = Input("potassium", "number", "Potassium.", "mEq/L", "potassium")
CHLORIDE = Input("chloride", "number", "Chloride.", "mEq/L", "chloride")
BICARBONATE = Input("bicarbonate", "number", "Bicarbonate or total CO2.", "mEq/L", "bicarbonate")
GLUCOSE = Input("glucose", "number", "Glucose.", "mg/dL", "glucose")
UREA = Input("urea_nitrogen", "number", "Urea nitrogen (mg/dL) or urea (mmol/L).", "mg/dL", "urea nitrogen")
_FAHRENHEIT = frozenset(("f", "°f", "fahrenheit", "[degf]", "degf"))
_CELSIUS = frozenset(("c", "°c", "cel", "celsius", "degc"))


def interval_of(records: Records, analyte: str, species: str | None) -> Interval | None:
    """The reference interval of an analyte for a species."""
    found = records.analytes.get(analyte)
    rows = () if found is None else found.intervals
    return next((row for row in rows if row.species == species), None)


def pattern_named(formulas: Formulas, name: str) -> Pattern | None:
    """A pattern by its id."""
    return next((row for row in formulas.patterns if row.id == name), None)


def _held_against(out: Outcome, given: Given, of: str, value: Decimal) -> None:
    """Put a value beside its usual range."""
    usual = given.formulas.usual(of, given.species)
    if usual is None:
        out.left(f"{of} of {given.species or 'an unnamed species'}", "no_record_for_species")
        return
    where = "below" if value < usual.low else "above" if value > usual.high else "within"
    unit = "" if usual.unit == "ratio" else f" {usual.unit}"
    said = f" ({usual.text})" if usual.text else ""
    out.notes.append(f"{where} {shown(usual.low)} to {shown(usual.high)}{unit}{said}")
    out.cite(usual.sources)


def _say(out: Outcome, formulas: Formulas, name: str, species: str | None = None) -> None:
    """Add what a coefficient's row says, with its source."""
    row = formulas.coefficient(name, species)
    if row is not None:
        out.notes.append(row.text)
        out.cite(row.sources)


def sodium_potassium(given: Given) -> Outcome:
    """Sodium over potassium."""
    out = Outcome()
    sodium, potassium = given.number("sodium"), given.number("potassium")
    value = out.step("sodium / potassium", f"{shown(sodium, 6)} / {shown(potassium, 6)}", sodium / potassium, "ratio")
    out.result = (value, "ratio")
    pattern = pattern_named(given.formulas, "low-sodium-potassium")
    if pattern is None or given.species not in pattern.species:
        out.left(f"ratio of {given.species or 'an unnamed species'}", "no_record_for_species")
        return out
    out.cite(pattern.sources)
    limit = pattern.tests[0].below
    if pattern.tests[0].holds(value):
        out.notes.append(pattern.why)
        out.urgency = pattern.urgency
    else:
        out.notes.append(f"Not below {limit}: hypoadrenocorticism is less likely, not ruled out.")
    return out


def albumin_globulin(given: Given) -> Outcome:
    """Albumin over globulin; globulin from total protein where it is not given."""
    out = Outcome()
    albumin, globulin, protein = given.number("albumin"), given.maybe("globulin"), given.maybe("total_protein")
    if globulin is None and protein is not None:
        globulin = out.step("globulin", f"{shown(protein, 6)} - {shown(albumin, 6)}", protein - albumin, "g/dL")
    if globulin is None:
        out.ask("globulin", "the ratio needs it", "What is globulin, or total protein?")
        return out
    if globulin <= 0:
        out.ask("total_protein", "globulin comes out at nothing or less", "Are total protein and albumin right?")
        return out
    value = out.step("albumin / globulin", f"{shown(albumin, 6)} / {shown(globulin, 6)}", albumin / globulin, "ratio")
    out.result = (value, "ratio")
    _held_against(out, given, "albumin globulin ratio", value)
    return out


def anion_gap(given: Given) -> Outcome:
    """(Na + K) - (Cl + HCO3)."""
    out = Outcome()
    sodium, potassium = given.number("sodium"), given.number("potassium")
    chloride, bicarbonate = given.number("chloride"), given.number("bicarbonate")
    working = f"({shown(sodium, 6)} + {shown(potassium, 6)}) - ({shown(chloride, 6)} + {shown(bicarbonate, 6)})"
    value = out.step("anion gap", working, sodium + potassium - chloride - bicarbonate, "mEq/L")
    out.result = (value, "mEq/L")
    if value < 0:
        out.ask("chloride", "a gap below zero is almost always a slip", "Are all four values right?")
    _held_against(out, given, "anion gap", value)
    _say(out, given.formulas, "anion-gap-without-potassium")
    return out


def osmolality(given: Given) -> Outcome:
    """2 Na + glucose / 18 + urea nitrogen / 2.8, and the gap to a measured value."""
    out = Outcome()
    sodium, glucose, urea = given.number("sodium"), given.number("glucose"), given.number("urea_nitrogen")
    rows = [given.formulas.coefficient(name) for name in ("sodium-factor", "glucose-divisor", "urea-nitrogen-divisor")]
    if None in rows:
        out.covered = False
        return out
    times, by_glucose, by_urea = (row.value if row else None for row in rows)
    assert times is not None and by_glucose is not None and by_urea is not None
    for row in rows:
        out.cite(row.sources if row else ())
    working = f"{times} x {shown(sodium, 6)} + {shown(glucose, 6)} / {by_glucose} + {shown(urea, 6)} / {by_urea}"
    value = times * sodium + glucose / by_glucose + urea / by_urea
    out.step("osmolality", working, value, "mOsm/kg")
    out.result = (value, "mOsm/kg")
    measured = given.maybe("measured")
    if measured is not None:
        gap = out.step("osmolality gap", f"{shown(measured, 6)} - {shown(value, 6)}", measured - value, "mOsm/kg")
        out.also.append(("osmolality gap", gap, "mOsm/kg"))
        _held_against(out, given, "osmolality gap", gap)
        _say(out, given.formulas, "osmolality-gap-meaning")
    return out


def corrected_sodium(given: Given) -> Outcome:
    """Sodium as it would be with normal glucose."""
    out = Outcome()
    sodium, glucose, normal = given.number("sodium"), given.number("glucose"), given.maybe("normal_glucose")
    step = given.formulas.coefficient("sodium-glucose-step")
    if step is None or step.value is None:
        out.covered = False
        return out
    if normal is None:
        analyte, interval = given.records.analytes["glucose"], interval_of(given.records, "glucose", given.species)
        if interval is None:
            out.ask("normal_glucose", "the rise is counted from it", "What is the upper limit of normal glucose?")
            return out
        normal = bounds(analyte, interval)[1]
        out.notes.append(f"The rise is counted from {shown(normal)} mg/dL, the upper limit for the species.")
        out.cite(interval.sources)
    out.cite(step.sources)
    rise = max(glucose - normal, Decimal(0))
    working = f"{shown(sodium, 6)} + {step.value} x ({shown(glucose, 6)} - {shown(normal, 6)}) / 100"
    if not rise:
        working, out.notes = shown(sodium, 6), [*out.notes, "Glucose is not raised: nothing to correct."]
    out.result = (out.step("corrected sodium", working, sodium + step.value * rise / 100, "mEq/L"), "mEq/L")
    return out


def calcium_phosphorus(given: Given) -> Outcome:
    """Calcium times phosphorus."""
    out = Outcome()
    calcium, phosphorus = given.number("total_calcium"), given.number("phosphorus")
    working = f"{shown(calcium, 6)} x {shown(phosphorus, 6)}"
    out.result = (out.step("calcium x phosphorus", working, calcium * phosphorus, "mg2/dL2"), "mg2/dL2")
    out.left("limit of the product", "no_sourced_figure")
    return out


def corrected_calcium(given: Given) -> Outcome:
    """No number: why it is not computed."""
    out = Outcome()
    _say(out, given.formulas, "calcium-not-corrected")
    out.covered = bool(out.notes)
    return out


def absolute_reticulocytes(given: Given) -> Outcome:
    """Reticulocytes by volume, and what they say of regeneration."""
    out = Outcome()
    percent, red = given.number("reticulocyte_percent"), given.number("rbc")
    row = given.formulas.coefficient("reticulocytes-absolute")
    if row is None or row.value is None:
        out.covered = False
        return out
    out.cite(row.sources)
    working = f"{shown(percent, 6)} x {shown(red, 6)} x {row.value}"
    value = out.step("reticulocytes", working, percent * red * row.value, "10*3/uL")
    out.result = (value, "10*3/uL")
    barren = given.formulas.coefficient("reticulocytes-horse", given.species)
    if barren is not None and given.species in barren.species:
        out.notes.append(barren.text)
        out.cite(barren.sources)
        return out
    band = given.formulas.band("reticulocytes", value, "10*3/uL", given.species)
    if band is None or given.species is None:
        out.left(f"regeneration of {given.species or 'an unnamed species'}", "no_record_for_species")
        return out
    out.label = band.label
    out.notes.append(f"regeneration: {band.label}" + (f" ({band.text})" if band.text else ""))
    out.cite(band.sources)
    _say(out, given.formulas, "reticulocytes-time")
    return out


def corrected_reticulocytes(given: Given) -> Outcome:
    """The percentage as if red cells were not fewer."""
    out = Outcome()
    percent, pcv, normal = given.number("reticulocyte_percent"), given.number("pcv"), given.number("normal_pcv")
    working = f"{shown(percent, 6)} x {shown(pcv, 6)} / {shown(normal, 6)}"
    out.result = (out.step("corrected reticulocytes", working, percent * pcv / normal, "%"), "%")
    _say(out, given.formulas, "reticulocytes-corrected")
    out.left("production index (maturation time by PCV)", "no_sourced_figure")
    return out


def upc(given: Given) -> Outcome:
    """Urine protein over urine creatinine, with the IRIS sub-stage."""
    out = Outcome()
    protein, creatinine = given.number("urine_protein"), given.number("urine_creatinine")
    working = f"{shown(protein, 6)} / {shown(creatinine, 6)}"
    value = out.step("protein / creatinine", working, protein / creatinine, "ratio")
    out.result = (value, "ratio")
    _substage(out, given, "upc", value, "ratio")
    out.notes.append("Judge it only with a quiet sediment and without blood, and when it persists.")
    return out


def _substage(out: Outcome, given: Given, of: str, value: Decimal, unit: str) -> Band | None:
    band = given.formulas.band(of, value, unit, given.species)
    if band is None or given.species is None:
        out.left(f"{of} of {given.species or 'an unnamed species'}", "no_record_for_species")
        return None
    said = f" ({band.text})" if band.text else ""
    out.notes.append(f"{of}: {band.label}{said}")
    out.cite(band.sources)
    if of == "upc":
        treat = given.formulas.coefficient("upc-treat", given.species)
        if treat is not None and treat.value is not None and value >= treat.value:
            out.notes.append(f"{treat.text} ({treat.value})")
            out.cite(treat.sources)
    if of == "systolic pressure":
        _say(out, given.formulas, "iris-pressure-age")
    return band


def iris_ckd(given: Given) -> Outcome:
    """The IRIS stage of chronic kidney disease with sub-stages; the graver of creatinine and SDMA."""
    out = Outcome()
    stages: dict[str, int] = {}
    for name in ("creatinine", "sdma"):
        value = given.maybe(name)
        if value is None:
            continue
        unit = _scale_unit(given, name)
        if unit == "umol/L":
            value = in_si(given.records.analytes[name], value)
        band = given.formulas.band(name, value, unit, given.species)
        if band is None or given.species is None:
            out.left(f"{name} of {given.species or 'an unnamed species'}", "no_record_for_species")
            continue
        stages[name] = int(band.label)
        out.steps.append(f"{name} {shown(value, 6)} {unit}: stage {band.label}")
        out.cite(band.sources)
    if given.maybe("creatinine") is None and given.maybe("sdma") is None:
        out.ask("creatinine", "the stage is by creatinine, SDMA or both", "What are creatinine and SDMA?")
    elif stages:
        _stage(out, given, stages)
    else:
        out.covered = given.species is None
    pressure, ratio = given.maybe("systolic_pressure"), given.maybe("upc")
    for of, value, unit in (("systolic pressure", pressure, "mmHg"), ("upc", ratio, "ratio")):
        name = of.replace(" ", "_")
        if value is not None:
            _substage(out, given, of, value, unit)
        elif stages:
            out.ask(name, "a stage is whole only with its sub-stages", f"What is the {_SPOKEN[name]}?")
    return out


_SPOKEN = {"systolic_pressure": "systolic blood pressure", "upc": "urine protein:creatinine ratio"}


def _scale_unit(given: Given, name: str) -> str:
    """The unit whose printed limits hold: the one the value came in."""
    if name == "sdma":
        return "ug/dL"
    read = read_unit(given.raw[name].unit) if name in given.raw else None
    return "umol/L" if read is not None and read[0] == "mol/l" else "mg/dL"


def _stage(out: Outcome, given: Given, stages: dict[str, int]) -> None:
    """The stage, and what two that disagree mean."""
    stage = max(stages.values())
    out.label, out.result = f"IRIS stage {stage}", (Decimal(stage), "stage")
    if len(stages) == 2 and stages["sdma"] != stages["creatinine"]:
        _say(out, given.formulas, "iris-disagreement")
        if stages["sdma"] < stages["creatinine"]:
            out.notes.append("SDMA lies in a lower stage than creatinine: staged by creatinine; repeat both.")
        elif stages["sdma"] - stages["creatinine"] > 1:
            out.notes.append("They lie more than one stage apart: repeat both before acting on the stage.")
    elif len(stages) == 1:
        other = "sdma" if "creatinine" in stages else "creatinine"
        out.left(f"{'SDMA' if other == 'sdma' else other} (the graver of the two decides)", "missing_value")
    if stage == 1:
        out.notes.append("Stage 1 needs another sign of kidney disease (urine gravity, protein, imaging): "
                         "these values alone do not make the diagnosis.")  # fmt: skip
    _say(out, given.formulas, "iris-conditions")
    if given.values.get("stable") is not True:
        out.ask("stable", "in dehydration, shock or acute injury the stage is not valid", "Stable, hydrated, fasted?")


def azotaemia(given: Given) -> Outcome:
    """Where an azotaemia comes from, by urine gravity."""
    out = Outcome()
    gravity, creatinine = given.number("urine_specific_gravity"), given.maybe("creatinine")
    band = given.formulas.band("urine specific gravity", gravity, "ratio", given.species)
    if given.species is None or band is None:
        out.left(f"urine of {given.species or 'an unnamed species'}", "no_record_for_species")
        out.covered = False
        return out
    out.label = band.label
    out.steps.append(f"gravity {gravity}: {band.label}, {band.text}")
    out.cite(band.sources)
    urea = given.maybe("urea_nitrogen")
    high = [name for name, value in (("creatinine", creatinine), ("urea nitrogen", urea))
            if value is not None and _is_high(given, name, value)]  # fmt: skip
    if creatinine is None and urea is None:
        out.ask("creatinine", "only an azotaemia is classed", "What are creatinine and urea?")
    elif not high:
        out.notes.append("No azotaemia in what was given.")
    elif band.label == "concentrated":
        out.label = "azotaemia with concentrated urine: prerenal likely"
        _say(out, given.formulas, "azotaemia-prerenal")
        out.urgency = "urgent"
    else:
        out.label = f"azotaemia with {band.label} urine: renal likely"
        _say(out, given.formulas, "azotaemia-renal")
        out.urgency = "urgent"
    return out


def _is_high(given: Given, analyte: str, value: Decimal) -> bool:
    interval = interval_of(given.records, analyte, given.species)
    return interval is not None and value > bounds(given.records.analytes[analyte], interval)[1]


def unit_conversion(given: Given) -> Outcome:
    """A value in another unit: of an analyte, a weight, a volume, a temperature."""
    out = Outcome()
    value, unit, to = given.number("value"), str(given.values["from"]).strip(), str(given.values["to"]).strip()
    name = given.values.get("analyte")
    if name is not None:
        _convert_analyte(out, given, str(name), value, unit, to)
        return out
    if unit.casefold() in _FAHRENHEIT and to.casefold() in _CELSIUS:
        found: Decimal | None = (value - 32) * 5 / 9
        formula = "(F - 32) x 5 / 9"
    elif unit.casefold() in _CELSIUS and to.casefold() in _FAHRENHEIT:
        found, formula = value * 9 / 5 + 32, "C x 9 / 5 + 32"
    else:
        found, formula = convert(value, unit, to), "value x size of one unit / size of the other"
        if found is None:
            top, bottom = read_unit(unit), read_unit(to)
            found = value * top[1] / bottom[1] if top and bottom and top[0] == bottom[0] else None
        to = canonical(to) or to
    if found is None:
        out.covered = False
        out.left(f"{unit} to {to}", "not_convertible")
        out.ask("analyte", "mass and amount are joined by what was measured", "Of what is it? (creatinine, glucose...)")
        return out
    out.formula, out.result = formula, (found, to)
    out.step("result", f"{formula}, of {shown(value, 6)}", found, to)
    return out


def _convert_analyte(out: Outcome, given: Given, name: str, value: Decimal, unit: str, to: str) -> None:
    analyte = given.records.analyte_named(name)
    if analyte is None:
        out.covered = False
        out.left(name, "unknown_analyte")
        return
    own = in_own_unit(analyte, value, unit, name)
    back = in_own_unit(analyte, Decimal(1), to, name)
    if own is None or not back:
        out.covered = False
        out.left(f"{analyte.name}: {unit} to {to}", "unknown_unit")
        return
    out.formula = f"{analyte.name}: value [{analyte.unit}] x {analyte.factor} = value [{analyte.si_unit}]"
    out.result = (out.step(analyte.name, f"{shown(value, 6)} {unit}", own / back, to), to)
    out.cite(analyte.factor_sources)


DOG, CAT = {"species": "dog"}, {"species": "cat"}
CALCULATORS = (
    Calculator("sodium_potassium_ratio", "Sodium to potassium", "sodium / potassium", (SODIUM, POTASSIUM),
               sodium_potassium, {"sodium": 130, "potassium": 6.5}, DOG, basis="cut-offs of published dogs"),
    Calculator("albumin_globulin_ratio", "Albumin to globulin",
               "albumin / globulin; globulin = total_protein - albumin where it is not given",
               (Input("albumin", "number", "Albumin.", "g/dL", "albumin"),
                Input("globulin", "number", "Globulin.", "g/dL", "globulin", required=False),
                Input("total_protein", "number", "Total protein.", "g/dL", "total protein", required=False)),
               albumin_globulin, {"albumin": 2.1, "total_protein": 9.3}, CAT, basis="ranges of one laboratory"),
    Calculator("anion_gap", "Anion gap", "(sodium + potassium) - (chloride + bicarbonate)",
               (SODIUM, POTASSIUM, CHLORIDE, BICARBONATE), anion_gap,
               {"sodium": 145, "potassium": 4, "chloride": 105, "bicarbonate": 12}, DOG,
               basis="ranges of one laboratory"),
    Calculator("osmolality", "Calculated osmolality and osmolality gap",
               "2 x sodium + glucose [mg/dL] / 18 + urea nitrogen [mg/dL] / 2.8; gap = measured - calculated",
               (SODIUM, GLUCOSE, UREA,
                Input("measured", "number", "Measured osmolality.", "mOsm/kg", "osmolality", required=False)),
               osmolality, {"sodium": 145, "glucose": 90, "urea_nitrogen": 14, "measured": 360}, DOG,
               ("sodium-factor",), "published formula"),
    Calculator("corrected_sodium", "Sodium corrected for glucose",
               "sodium + 1.6 x (glucose - upper limit of normal glucose) / 100",
               (SODIUM, GLUCOSE, Input("normal_glucose", "number", "Glucose from which the rise is counted.", "mg/dL",
                                       "glucose", required=False)),
               corrected_sodium, {"sodium": 138, "glucose": 500, "normal_glucose": 100}, DOG,
               ("sodium-glucose-step",), "published formula"),
    Calculator("corrected_calcium", "Calcium corrected for albumin: not recommended", "none: not recommended",
               (Input("total_calcium", "number", "Total calcium.", "mg/dL", "total calcium", required=False),
                Input("albumin", "number", "Albumin.", "g/dL", "albumin", required=False)),
               corrected_calcium, {"total_calcium": 8.5, "albumin": 1.9}, DOG, ("calcium-not-corrected",),
               "published study"),
    Calculator("calcium_phosphorus_product", "Calcium times phosphorus", "total_calcium x phosphorus",
               (Input("total_calcium", "number", "Total calcium.", "mg/dL", "total calcium"),
                Input("phosphorus", "number", "Phosphorus.", "mg/dL", "phosphorus")),
               calcium_phosphorus, {"total_calcium": 12, "phosphorus": 7}, CAT),
    Calculator("absolute_reticulocytes", "Absolute reticulocytes", "reticulocytes [%] x red cells [10*6/uL] x 10",
               (Input("reticulocyte_percent", "number", "Reticulocytes; in cats the aggregate ones.", "%", zero=True),
                Input("rbc", "number", "Red cells.", "10*6/uL", "rbc")),
               absolute_reticulocytes, {"reticulocyte_percent": 5, "rbc": 3}, DOG, ("reticulocytes-absolute",),
               "published formula"),
    Calculator("corrected_reticulocytes", "Corrected reticulocyte percentage",
               "reticulocytes [%] x pcv / normal_pcv",
               (Input("reticulocyte_percent", "number", "Reticulocytes.", "%", zero=True),
                Input("pcv", "number", "PCV of the patient.", "%", "pcv"),
                Input("normal_pcv", "number", "The normal mean PCV you use for the species.", "%", "pcv",
                      ask="Which normal PCV do you use for this species?")),
               corrected_reticulocytes, {"reticulocyte_percent": 6, "pcv": 15, "normal_pcv": 45}, DOG,
               ("reticulocytes-corrected",), "published formula"),
    Calculator("upc", "Urine protein to creatinine", "urine protein / urine creatinine, both in mg/dL",
               (Input("urine_protein", "number", "Protein in urine.", "mg/dL", zero=True),
                Input("urine_creatinine", "number", "Creatinine in urine.", "mg/dL", "creatinine")),
               upc, {"urine_protein": 150, "urine_creatinine": 200}, DOG, basis="IRIS sub-stages"),
    Calculator("iris_ckd", "IRIS stage of chronic kidney disease",
               "the graver of the stages of creatinine and SDMA; sub-stages by blood pressure and UPC",
               (Input("creatinine", "number", "Creatinine.", "mg/dL", "creatinine", required=False),
                Input("sdma", "number", "SDMA.", "ug/dL", "sdma", required=False),
                Input("systolic_pressure", "number", "Systolic blood pressure.", "mmHg", required=False),
                Input("upc", "number", "Urine protein:creatinine ratio.", "ratio", required=False, zero=True),
                Input("stable", "flag", "Stable, hydrated and fasted, and seen twice.", required=False)),
               iris_ckd, {"creatinine": 2.5, "sdma": 30, "systolic_pressure": 165, "upc": 0.3, "stable": True}, CAT,
               ("iris-disagreement", "iris-conditions"), "IRIS 2019"),
    Calculator("azotaemia", "Azotaemia by urine gravity",
               "creatinine or urea above the interval; urine gravity above or below the species' limit",
               (Input("urine_specific_gravity", "number", "Urine specific gravity, like 1.015.", "ratio"),
                Input("creatinine", "number", "Creatinine.", "mg/dL", "creatinine", required=False),
                Input("urea_nitrogen", "number", "Urea nitrogen or urea.", "mg/dL", "urea nitrogen", required=False)),
               azotaemia, {"urine_specific_gravity": 1.011, "creatinine": 4.2}, DOG, basis="published limits"),
    Calculator("unit_conversion", "Unit conversion", "value x factor of the analyte, or ratio of the units' sizes",
               (Input("value", "number", "The value.", zero=True, signed=True),
                Input("from", "word", "Its unit."), Input("to", "word", "The unit wanted."),
                Input("analyte", "word", "Of what it is, for laboratory values.", required=False)),
               unit_conversion, {"value": 120, "from": "umol/L", "to": "mg/dL", "analyte": "creatinine"}, {},
               basis="conversion factors of the analytes' records; definitions of units"),
)  # fmt: skip
