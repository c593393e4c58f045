"""Calculators of doses, infusions, fluids, blood, energy and resuscitation.

A coefficient that no source on record gives is asked of the caller; nothing is assumed in its place.
"""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal

from app.clinic import dosing
from app.clinic.dosing import Amount, Strength
from app.clinic.formulas import Coefficient
from app.clinic.records import DoseRecord, Drug
from app.clinic.sheets import Calculator, Figure, Given, Input, Json, Outcome
from app.clinic.units import convert, dimensions, number, shown, spelt

WEIGHT = Input("weight_kg", "number", "Body weight; the patient's where left out.", "kg", ask="What does it weigh?")
DOSE = Input("dose", "dose", 'Your own figure, like {"value": 5, "unit": "mg/kg"} or "5 mg/kg".')
RATE = Input("dose", "dose", 'Your own figure, like {"value": 5, "unit": "ug/kg/min"} or "5 mcg/kg/min".', "rate")
STRENGTH = Input("strength", "strength", 'Of the product, like {"value": 20, "unit": "mg/mL"}.', required=False,
                 ask="Which strength is at hand?")  # fmt: skip
_RATE = Input("rate_ml_per_h", "number", "Rate of the infusion pump or drip.", "mL/h")
_ARREST = re.compile(r"^cardiac arrest|\bCPR\b")


def dose_amount(given: Given) -> Outcome:
    """A dose of the caller's own: amount, volume, tablets."""
    out = Outcome()
    dose, strength, weight_kg = given.values["dose"], given.values.get("strength"), given.maybe("weight_kg")
    top, *rest = dose.unit.split("/")
    amount: Decimal
    if rest == []:
        amount = out.step("amount", f"{shown(dose.value, 6)} {spelt(top)} per animal", dose.value, top)
    elif weight_kg is None:
        out.ask("weight_kg", "the amount depends on it", "What does it weigh?")
        return out
    elif rest == ["m2"]:
        surface = _surface(out, given, weight_kg)
        if surface is None:
            return out
        amount = out.step("amount", f"{shown(surface, 6)} m2 x {shown(dose.value, 6)}", surface * dose.value, top)
    else:
        per_kg = convert(dose.value, dose.unit, f"{top}/kg")
        assert per_kg is not None
        working = f"{shown(weight_kg, 6)} kg x {shown(per_kg, 6)} {spelt(top)}/kg"
        amount = out.step("amount", working, weight_kg * per_kg, top)
    out.result = (amount, top)
    if strength is None:
        out.ask("strength", "for the volume or the tablets", "Which strength is at hand?")
    elif (each := convert(strength.value, strength.unit, top)) is None:
        out.left(f"{strength.value} {strength.unit}", "not_comparable")
    elif strength.per_ml:
        working = f"{shown(amount, 6)} / {shown(each, 6)} {spelt(top)} per mL"
        volume = dosing.volume_step(out.step("volume", working, amount / each, "mL"))
        out.also.append(("volume, rounded down to 0.01 mL", volume, "mL"))
    else:
        _tablets(out, given, amount, top, strength)
    out.left(f"{shown(dose.value)} {spelt(dose.unit)}", "own_figure_not_compared_with_records")
    return out


def _tablets(out: Outcome, given: Given, amount: Decimal, unit: str, strength: Strength) -> None:
    pieces = int(given.maybe("pieces") or 1)
    each, whole = convert(strength.value, strength.unit, "mg"), convert(amount, unit, "mg")
    if each is None or whole is None:
        out.left(f"tablets of {shown(strength.value)} {spelt(strength.unit)}", "not_comparable")
        return
    found = dosing.tablets_for(Amount(whole, whole, "mg", ""), each, pieces, minimum=False)
    if found is None:
        out.left(f"tablets of {shown(each)} mg", "no_piece_fits")
        return
    parts = {1: "whole tablets", 2: "halves", 4: "quarters"}[pieces]
    out.steps.append(f"tablets = {shown(whole, 6)} / {shown(each)} mg, rounded down to {parts} = {found.count}")
    out.also += [("tablets", found.count, "tablet"), ("given with them", found.amount, "mg")]


def _hourly(out: Outcome, given: Given) -> tuple[Decimal, str] | None:
    """A rate for the whole animal: so many mg (or IU, mEq) an hour."""
    dose: Figure = given.values["dose"]
    top, *rest = dose.unit.split("/")
    if rest[:-1] == []:
        hourly = convert(dose.value, dose.unit, f"{top}/h")
        assert hourly is not None
        return out.step("hourly", f"{shown(dose.value, 6)} {spelt(dose.unit)}", hourly, f"{top}/h"), top
    weight_kg = given.maybe("weight_kg")
    if weight_kg is None:
        out.ask("weight_kg", "the rate depends on it", "What does it weigh?")
        return None
    per_kg = convert(dose.value, dose.unit, f"{top}/kg/h")
    assert per_kg is not None
    times = {"min": " x 60 min", "d": " / 24 h"}.get(rest[-1], "")
    working = f"{shown(weight_kg, 6)} kg x {shown(dose.value, 6)} {spelt(dose.unit)}{times}"
    return out.step("hourly", working, weight_kg * per_kg, f"{top}/h"), top


def infusion(given: Given) -> Outcome:
    """A constant rate infusion from a syringe: the pump's rate."""
    out = Outcome()
    found = _hourly(out, given)
    strength: Strength | None = given.values.get("strength")
    if found is None:
        return out
    hourly, top = found
    out.result = (hourly, f"{top}/h")
    if strength is None:
        out.ask("strength", "for the pump's rate in mL/h", "Which strength is in the syringe?")
        return out
    each = convert(strength.value, strength.unit, top) if strength.per_ml else None
    if each is None:
        out.left(f"{shown(strength.value)} {spelt(strength.unit)}", "not_comparable")
        return out
    rate = out.step("rate", f"{shown(hourly, 6)} / {shown(each, 6)} {spelt(top)} per mL", hourly / each, "mL/h")
    out.result = (rate, "mL/h")
    out.also.append(("drug", hourly, f"{top}/h"))
    out.left(f"{shown(given.values['dose'].value)} {spelt(given.values['dose'].unit)}",
             "own_figure_not_compared_with_records")  # fmt: skip
    return out


def bag(given: Given) -> Outcome:
    """A constant rate infusion in a bag of fluid: what to add."""
    out = Outcome()
    found = _hourly(out, given)
    if found is None:
        return out
    hourly, top = found
    volume_ml, rate = given.number("bag_ml"), given.number("rate_ml_per_h")
    working = f"{shown(hourly, 6)} {spelt(top)}/h x {shown(volume_ml, 6)} mL / {shown(rate, 6)} mL/h"
    amount = out.step("drug in the bag", working, hourly * volume_ml / rate, top)
    out.result = (amount, top)
    out.also += [("bag lasts", volume_ml / rate, "h"), ("concentration", amount / volume_ml, f"{top}/mL")]
    strength: Strength | None = given.values.get("strength")
    if strength is None:
        out.ask("strength", "for the volume to add", "Which strength is added?")
        return out
    each = convert(strength.value, strength.unit, top) if strength.per_ml else None
    if each is None:
        out.left(f"{shown(strength.value)} {spelt(strength.unit)}", "not_comparable")
        return out
    added = out.step("to add", f"{shown(amount, 6)} / {shown(each, 6)} {spelt(top)} per mL", amount / each, "mL")
    if added >= volume_ml:
        out.ask("bag_ml", "more would have to be added than the bag holds", "Are rate, dose and strength right?")
        out.result = None
        return out
    out.also.append(("volume to add", added.quantize(Decimal("0.01"), ROUND_DOWN), "mL"))
    out.notes.append("Take as much fluid out of the bag first as is added, so that the concentration is right; label "
                     "the bag. Another rate gives another dose.")  # fmt: skip
    return out


def _surface(out: Outcome, given: Given, weight_kg: Decimal) -> Decimal | None:
    own, species = given.maybe("k"), given.patient.species
    recorded = None if species is None else species.surface_k
    k = own if own is not None else None if recorded is None else recorded.value
    if k is None:
        out.covered = species is None
        out.left(f"surface of {given.species or 'an unnamed species'}", "no_record_for_species")
        if species is None:
            out.ask("k", "species differ in shape", "Which species, or which k do you use?")
        else:
            out.ask("k", "no constant of this species is on record", "Which k do you use for it?")
        return None
    if own is None and recorded is not None:
        out.cite(recorded.sources)
    working = f"{k} x ({shown(weight_kg * 1000, 6)} g)^(2/3) / 10000"
    return out.step("surface", working, dosing.surface_m2(weight_kg, k), "m2")


def body_surface(given: Given) -> Outcome:
    """Body surface by Meeh."""
    out = Outcome()
    surface = _surface(out, given, given.number("weight_kg"))
    if surface is not None:
        out.result = (surface, "m2")
    return out


def drip_rate(given: Given) -> Outcome:
    """Drops a minute of a giving set."""
    out = Outcome()
    rate, drops = given.number("rate_ml_per_h"), given.number("drops_per_ml")
    working = f"{shown(rate, 6)} mL/h x {shown(drops, 6)} drops/mL / 60"
    per_minute = out.step("drops", working, rate * drops / 60, "drops/min")
    out.result = (per_minute, "drops/min")
    out.also.append(("one drop every", 60 / per_minute, "s"))
    return out


def _recorded(out: Outcome, given: Given, name: str, record: str, question: str) -> Coefficient | None:
    """The record's row of a coefficient, cited; where there is none the coefficient is asked for."""
    row = given.formulas.coefficient(record, given.species)
    if row is None or row.value is None:
        out.ask(name, "no figure with a source that was read is on record", question)
        out.left(record.replace("-", " "), "no_sourced_figure")
        return None
    out.cite(row.sources)
    out.notes.append(row.text)
    return row


def _coefficient(out: Outcome, given: Given, name: str, record: str, question: str) -> Decimal | None:
    """A coefficient: the caller's own, else the record's with its source; else asked for."""
    own = given.maybe(name)
    if own is not None:
        return own
    row = _recorded(out, given, name, record, question)
    return None if row is None else row.value


def _maintenance(out: Outcome, given: Given, weight_kg: Decimal) -> Decimal | None:
    """Maintenance fluid [mL/day], by the caller's figure or the record's (per kg and day or hour, or per kg^0.75)."""
    own = given.maybe("maintenance_ml_per_kg_day")
    value, unit = own, "mL/kg/d"
    if value is None:
        row = _recorded(out, given, "maintenance_ml_per_kg_day", "fluid-maintenance",
                        "Which maintenance do you use [mL/kg/day]?")  # fmt: skip
        if row is None or row.value is None:
            return None
        value, unit = row.value, row.unit
    if unit == "mL/kg^0.75/d":
        working = f"{shown(value)} x {shown(weight_kg, 6)} kg^0.75"
        return out.step("maintenance", working, value * weight_kg ** Decimal("0.75"), "mL/day")
    per_day = convert(value, unit, "mL/kg/d")
    assert per_day is not None
    working = f"{shown(weight_kg, 6)} kg x {shown(per_day)} mL/kg/day"
    return out.step("maintenance", working, weight_kg * per_day, "mL/day")


def fluid_plan(given: Given) -> Outcome:
    """Deficit, maintenance and losses as one rate."""
    out = Outcome()
    weight_kg, hours = given.number("weight_kg"), given.maybe("replace_over_h")
    percent, losses = given.number("dehydration_percent"), given.maybe("losses_ml_per_day") or Decimal(0)
    if percent > 20:
        out.ask("dehydration_percent", f"{shown(percent)} % can't be", "How much is it dehydrated, in percent?")
        return out
    deficit = weight_kg * percent * 10
    if deficit:
        out.step("deficit", f"{shown(weight_kg, 6)} kg x {shown(percent)} % x 10", deficit, "mL")
    out.also.append(("deficit", deficit, "mL"))
    if hours is not None:
        out.also.append(("deficit an hour", deficit / hours, "mL/h"))
    out.also.append(("losses an hour", losses / 24, "mL/h"))
    daily = _maintenance(out, given, weight_kg)
    if daily is not None:
        out.also.append(("maintenance an hour", daily / 24, "mL/h"))
        afterwards = (daily + losses) / 24
        out.also.append(("rate afterwards", afterwards, "mL/h"))
        if hours is not None:
            working = f"{shown(deficit, 6)} / {shown(hours)} h + ({shown(daily, 6)} + {shown(losses, 6)}) / 24 h"
            rate = deficit / hours + afterwards
            out.result = (out.step("rate until the deficit is replaced", working, rate, "mL/h"), "mL/h")
        else:
            working = f"({shown(daily, 6)} + {shown(losses, 6)}) / 24 h"
            out.result = (out.step("rate for maintenance and losses", working, afterwards, "mL/h"), "mL/h")
    if hours is None and deficit:
        out.ask("replace_over_h", "the rate depends on it", "Over how many hours shall the deficit be replaced?")
    out.notes.append("Shock is treated first, by boluses (calculator shock_bolus). Weigh and look again every few "
                     "hours; less in heart disease, in kidneys that make no urine, in the very young.")  # fmt: skip
    return out


def shock_bolus(given: Given) -> Outcome:
    """The first bolus of an isotonic crystalloid in shock, and the whole shock volume."""
    out = Outcome()
    weight_kg = given.number("weight_kg")
    bolus, whole = (given.formulas.coefficient(name, given.species) for name in ("shock-bolus", "shock-volume"))
    if given.species is None or bolus is None or bolus.value is None:
        out.covered = False
        out.left(f"shock volume of {given.species or 'an unnamed species'}", "no_record_for_species")
        return out
    working = f"{shown(weight_kg, 6)} kg x {bolus.value} mL/kg"
    out.result = (out.step("first bolus", working, weight_kg * bolus.value, "mL"), "mL")
    out.notes.append(bolus.text)
    out.cite(bolus.sources)
    if whole is None or whole.value is None:
        out.left("whole shock volume", "no_sourced_figure")
    else:
        working = f"{shown(weight_kg, 6)} kg x {whole.value} mL/kg"
        out.also.append(("whole shock volume", out.step("whole", working, weight_kg * whole.value, "mL"), "mL"))
        out.notes.append(whole.text)
        out.cite(whole.sources)
    out.notes.append("Less, and slowly, in heart failure and in bleeding that is not stopped.")
    out.urgency = "emergency"
    return out


def potassium(given: Given) -> Outcome:
    """Potassium in a fluid: how much to add, how fast it goes in, and whether that is too fast."""
    out = Outcome()
    weight_kg, volume_ml, rate = given.number("weight_kg"), given.number("bag_ml"), given.number("rate_ml_per_h")
    target, present = given.number("target_meq_per_l"), given.maybe("present_meq_per_l") or Decimal(0)
    limit, strength = given.maybe("limit_meq_per_kg_h"), given.values.get("strength")
    working = f"{shown(target, 6)} mEq/L x {shown(rate, 6)} mL/h / 1000 / {shown(weight_kg, 6)} kg"
    speed = out.step("potassium", working, target * rate / 1000 / weight_kg, "mEq/kg/h")
    out.result = (speed, "mEq/kg/h")
    if present > target:
        out.ask("present_meq_per_l", "the fluid already holds more than the target", "Is the target right?")
        return out
    working = f"({shown(target, 6)} - {shown(present, 6)}) mEq/L x {shown(volume_ml, 6)} mL / 1000"
    added = out.step("to add", working, (target - present) * volume_ml / 1000, "mEq")
    out.also.append(("to add", added, "mEq"))
    each = None if strength is None or not strength.per_ml else _milliequivalents(strength)
    if each is None:
        out.ask("strength", "for the volume to add", "How strong is the additive, in mEq/mL?")
    else:
        out.also.append(("volume to add", dosing.volume_step(added / each), "mL"))
    limit = limit if limit is not None else _coefficient(
        out, given, "limit_meq_per_kg_h", "potassium-maximum-rate", "Which highest rate do you allow [mEq/kg/h]?"
    )  # fmt: skip
    if limit is None:
        out.notes.append("Whether this is too fast was NOT checked: no highest rate is on record.")
    else:
        most = limit * weight_kg * 1000 / target
        out.also.append(("fastest rate of this fluid", most.quantize(Decimal("0.1"), ROUND_FLOOR), "mL/h"))
        if speed > limit:
            out.urgency = "emergency"
            out.notes.append(f"TOO FAST: {shown(speed)} is above {shown(limit)} mEq/kg/h. It can stop the heart.")
        else:
            out.notes.append(f"{shown(speed)} is within {shown(limit)} mEq/kg/h.")
    out.notes.append("Mix the bag well, label it, never give it as a bolus, and never bolus from this bag in shock.")
    return out


def _milliequivalents(strength: Strength) -> Decimal | None:
    """A strength of a potassium salt [mEq/mL]; one mmol of potassium is one mEq."""
    return convert(strength.value, strength.unit, "mEq") or convert(strength.value, strength.unit, "mmol")


def energy(given: Given) -> Outcome:
    """Resting and maintenance energy."""
    out = Outcome()
    weight_kg = given.number("weight_kg")
    coefficient = _coefficient(out, given, "coefficient", "resting-energy-coefficient",
                               "Which coefficient of weight_kg^exponent do you use [kcal/day]?")  # fmt: skip
    exponent = _coefficient(out, given, "exponent", "resting-energy-exponent", "Which exponent of weight do you use?")
    if coefficient is None or exponent is None:
        return out
    if exponent > 2:
        out.ask("exponent", f"{shown(exponent)} can't be", "Which exponent of weight do you use?")
        return out
    working = f"{shown(coefficient)} x {shown(weight_kg, 6)} kg^{shown(exponent)}"
    resting = out.step("resting energy", working, coefficient * weight_kg**exponent, "kcal/day")
    out.result = (resting, "kcal/day")
    factor = given.maybe("factor")
    if factor is None:
        out.ask("factor", "for the maintenance need", "Which factor fits its life stage?")
        for row in _beginning(given, "energy-factor-"):
            assert row.value is not None
            working = f"{shown(resting, 6)} x {shown(row.value)}"
            daily = out.step(row.text, working, resting * row.value, "kcal/day")
            out.also.append((f"{row.text} (x {shown(row.value)})", daily, "kcal/day"))
            out.cite(row.sources)
        return out
    need_kcal = out.step("maintenance energy", f"{shown(resting, 6)} x {shown(factor)}", resting * factor, "kcal/day")
    out.result = (need_kcal, "kcal/day")
    out.also.append(("resting energy", resting, "kcal/day"))
    return out


def _beginning(given: Given, start: str) -> list[Coefficient]:
    """The coefficients whose id begins so, one of each for the species."""
    names = (name for name in given.formulas.coefficients or {} if name.startswith(start))
    rows = (given.formulas.coefficient(name, given.species) for name in names)
    return [row for row in rows if row is not None]


def blood_volume(given: Given) -> Outcome:
    """Circulating blood."""
    out = Outcome()
    weight_kg = given.number("weight_kg")
    per_kg = _coefficient(out, given, "blood_ml_per_kg", "blood-volume", "Which blood volume do you use [mL/kg]?")
    if per_kg is not None:
        working = f"{shown(weight_kg, 6)} kg x {shown(per_kg)} mL/kg"
        out.result = (out.step("blood", working, weight_kg * per_kg, "mL"), "mL")
    return out


def transfusion(given: Given) -> Outcome:
    """Blood to give for a wanted PCV."""
    out = Outcome()
    weight_kg, now, wanted = given.number("weight_kg"), given.number("pcv"), given.number("pcv_wanted")
    donor = given.number("pcv_donor")
    if not now < wanted <= donor:
        out.ask("pcv_wanted", "it must lie above the patient's PCV and not above the donor's", "Which PCV is wanted?")
        return out
    per_kg = _coefficient(out, given, "blood_ml_per_kg", "blood-volume", "Which blood volume do you use [mL/kg]?")
    if per_kg is None:
        return out
    working = f"{shown(weight_kg, 6)} kg x {shown(per_kg)} mL/kg x ({shown(wanted)} - {shown(now)}) / {shown(donor)}"
    volume = out.step("blood to give", working, weight_kg * per_kg * (wanted - now) / donor, "mL")
    out.result = (volume, "mL")
    out.notes.append("Type donor and patient, crossmatch where there was an earlier transfusion; never untyped blood "
                     "to a cat. Start slowly and watch.")  # fmt: skip
    return out


def shock_index(given: Given) -> Outcome:
    """Heart rate over systolic pressure."""
    out = Outcome()
    heart, pressure = given.number("heart_rate"), given.number("systolic_pressure")
    out.result = (out.step("shock index", f"{shown(heart)} / {shown(pressure)}", heart / pressure, "ratio"), "ratio")
    band = given.formulas.band("shock index", heart / pressure, "ratio", given.species)
    if band is None:
        out.left("cut-off of the shock index", "no_sourced_figure")
        return out
    out.label = band.label
    out.notes.append(band.text)
    out.cite(band.sources)
    return out


def sodium_deficit(given: Given) -> Outcome:
    """Sodium lacking."""
    out = Outcome()
    weight_kg, now, wanted = given.number("weight_kg"), given.number("sodium"), given.number("sodium_wanted")
    water = _share(out, given)
    if water is None:
        return out
    working = f"{shown(water)} x {shown(weight_kg, 6)} kg x ({shown(wanted)} - {shown(now)})"
    if wanted <= now:
        out.ask("sodium_wanted", "it is not above the measured sodium: nothing lacks", "Which sodium is wanted?")
        return out
    out.result = (out.step("sodium lacking", working, water * weight_kg * (wanted - now), "mEq"), "mEq")
    _slowly(out, given, wanted - now, "sodium-rise-rate")
    return out


def water_deficit(given: Given) -> Outcome:
    """Free water lacking."""
    out = Outcome()
    weight_kg, now, wanted = given.number("weight_kg"), given.number("sodium"), given.number("sodium_wanted")
    water = _share(out, given)
    if water is None:
        return out
    if wanted >= now:
        out.ask("sodium_wanted", "it is not below the measured sodium: no free water lacks", "Which sodium is wanted?")
        return out
    working = f"{shown(water)} x {shown(weight_kg, 6)} kg x ({shown(now)} / {shown(wanted)} - 1)"
    out.result = (out.step("free water lacking", working, water * weight_kg * (now / wanted - 1), "L"), "L")
    _slowly(out, given, now - wanted, "sodium-fall-rate")
    return out


def _share(out: Outcome, given: Given) -> Decimal | None:
    water = _coefficient(out, given, "body_water_fraction", "body-water-fraction",
                         "Which share of body weight do you count as water?")  # fmt: skip
    if water is None or water < 1:
        return water
    out.ask("body_water_fraction", "it is a share of body weight, below 1", "Which share of weight is water?")
    return None


def _slowly(out: Outcome, given: Given, change: Decimal, record: str) -> None:
    """Over how many hours sodium is changed at least, by the fastest change on record for the species."""
    out.notes.append("Change sodium slowly and measure often; faster only where it changed fast.")
    fastest = given.formulas.coefficient(record, given.species)
    hourly = None if fastest is None or fastest.value is None else convert(fastest.value, fastest.unit, "mEq/L/h")
    if fastest is None or hourly is None:
        out.left("safe speed of change", "no_sourced_figure")
        return
    working = f"{shown(change)} mEq/L / {shown(hourly)} mEq/L an hour"
    out.also.append(("least time for it", out.step("least time", working, change / hourly, "h"), "h"))
    out.notes.append(fastest.text)
    out.cite(fastest.sources)


def resuscitation(given: Given) -> Outcome:
    """The drugs of cardiopulmonary resuscitation for this weight, from the records."""
    out = Outcome()
    species, weight_kg = given.patient.species, given.maybe("weight_kg")
    if species is None:
        out.left("drugs of resuscitation", "missing_species")
    rows = [
        (drug, record)
        for drug in given.records.drugs.values()
        for record in drug.doses
        if species is not None and record.species == species.name and _ARREST.search(record.indication)
        and record.status != "unverified"
    ]  # fmt: skip
    if species is not None and not rows:
        out.covered = False
        out.left(f"resuscitation of {species.name}", "no_record_for_species")
    if rows and weight_kg is None:
        out.ask("weight_kg", "the amounts depend on it; per kg until then", "What does it weigh?")
    for drug, record in rows:
        out.rows.append(_arrest_row(out, drug, record, given, weight_kg))
    for rule in given.records.rules:
        if rows and "cardiac arrest" in rule.trigger.condition and _concerns(rule.trigger.species, given.species):
            out.notes.append(rule.text)
            out.cite(rule.sources)
    facts = _beginning(given, "cpr-")
    for fact in facts:
        if fact.text not in out.notes:
            out.notes.append(fact.text)
        out.cite(fact.sources)
        if fact.value is not None and weight_kg is not None:
            what = fact.id.removeprefix("cpr-").replace("-", " ")
            working = f"{shown(weight_kg, 6)} kg x {shown(fact.value)} {spelt(fact.unit)}"
            top = fact.unit.partition("/")[0]
            out.also.append((what, out.step(what, working, weight_kg * fact.value, top), top))
    if rows and not facts:
        out.left("chest compressions, breaths, defibrillation energy", "no_sourced_figure")
    out.urgency = "emergency"
    return out


def _concerns(named: tuple[str, ...], species: str | None) -> bool:
    return not named or species in named or "any" in named


def _arrest_row(out: Outcome, drug: Drug, record: DoseRecord, given: Given, weight_kg: Decimal | None) -> Json:
    assert given.patient.species is not None
    amount = dosing.per_animal(record, weight_kg, given.patient.species)
    volumes = []
    out.cite(record.sources)
    for form in drug.formulations:
        strength = dosing.read_strength(form.strength, form.unit)
        if amount is None or strength is None or not strength.per_ml:
            continue
        each = convert(strength.value, strength.unit, amount.unit)
        if each is not None:
            volume = dosing.volume_step(amount.max / each)
            volumes.append({"strength": {"value": number(form.strength), "unit": form.unit},
                            "volume": {"value": number(volume), "unit": "mL"}})  # fmt: skip
            working = f"{shown(amount.max, 6)} {spelt(amount.unit)} / {shown(each)} {spelt(amount.unit)} per mL"
            out.step(f"{drug.generic} volume", working, volume, "mL")
            out.cite(form.sources)
    return {
        "drug": drug.generic,
        "indication": record.indication,
        "route": record.route,
        "per_kg": {"min": number(record.dose.min), "max": number(record.dose.max), "unit": record.dose.unit},
        "amount": None if amount is None else dosing.json_amount(amount),
        "volumes": volumes,
        "frequency": dosing.frequency(record),
        "notes": record.notes or None,
        "status": record.status,
        "sources": [source.json for source in record.sources],
    }


def is_rate(unit: str) -> bool:
    """Whether a unit is of an infusion: per kg (or animal) and time."""
    measured = dimensions(unit)
    return measured is not None and measured[-1:] == ("time",) and measured[1:-1] in ((), ("mass",))


def is_dose(unit: str) -> bool:
    """Whether a unit is of one dose: per kg, m2 or animal."""
    measured = dimensions(unit)
    return measured is not None and measured[1:] in ((), ("mass",), ("area",))


_SODIUMS = (
    WEIGHT,
    Input("sodium", "number", "Sodium measured.", "mEq/L", "sodium"),
    Input("sodium_wanted", "number", "Sodium wanted.", "mEq/L", "sodium"),
    Input("body_water_fraction", "number", "Share of body weight that is water, below 1; the species' where left out.",
          required=False),
)  # fmt: skip
_PUBLISHED = "published figures where the caller gives none"
_BLOOD = Input("blood_ml_per_kg", "number", "Blood volume; the species' where left out.", "mL/kg", required=False)
_PIECES = Input("pieces", "number", "Into how many parts a tablet may be broken: 1, 2 or 4.", required=False)
CALCULATORS = (
    Calculator("dose", "Amount, volume and tablets of a dose of your own", "weight_kg x dose; / strength",
               (Input("weight_kg", "number", WEIGHT.description, "kg", required=False), DOSE, STRENGTH, _PIECES,
                Input("k", "number", "Meeh's constant for doses per m2; the species' where left out.", required=False)),
               dose_amount, {"dose": "4.4 mg/kg", "strength": {"value": 50, "unit": "mg/mL"}},
               {"species": "dog", "weight_kg": 20}),
    Calculator("cri", "Constant rate infusion by syringe pump", "rate [mL/h] = weight_kg x dose per hour / strength",
               (Input("weight_kg", "number", WEIGHT.description, "kg", required=False), RATE, STRENGTH),
               infusion, {"dose": "50 mcg/kg/min", "strength": {"value": 20, "unit": "mg/mL"}},
               {"species": "dog", "weight_kg": 20}),
    Calculator("cri_bag", "Constant rate infusion in a bag of fluid",
               "drug = weight_kg x dose per hour x bag_ml / rate_ml_per_h",
               (Input("weight_kg", "number", WEIGHT.description, "kg", required=False), RATE,
                Input("bag_ml", "number", "Fluid in the bag.", "mL"), _RATE, STRENGTH),
               bag, {"dose": "1 mg/kg/day", "bag_ml": 1000, "rate_ml_per_h": 50,
                     "strength": {"value": 5, "unit": "mg/mL"}}, {"species": "dog", "weight_kg": 20}),
    Calculator("body_surface", "Body surface", "k x (weight_g)^(2/3) / 10000",
               (WEIGHT, Input("k", "number", "Meeh's constant; the species' where left out.", required=False)),
               body_surface, {}, {"species": "dog", "weight_kg": 10}, basis="Meeh's formula"),
    Calculator("drip_rate", "Drops a minute", "rate_ml_per_h x drops_per_ml / 60",
               (_RATE, Input("drops_per_ml", "number", "Of the giving set; printed on it.",
                             ask="How many drops of the giving set make 1 mL?")),
               drip_rate, {"rate_ml_per_h": 60, "drops_per_ml": 20}, {}),
    Calculator("fluid_plan", "Fluids: deficit, maintenance and losses",
               "weight_kg x dehydration_percent x 10 / replace_over_h + (maintenance a day + losses) / 24",
               (WEIGHT, Input("dehydration_percent", "number", "Estimated dehydration.", "%", zero=True),
                Input("replace_over_h", "number", "Hours over which the deficit is replaced.", "h", required=False),
                Input("maintenance_ml_per_kg_day", "number", "Maintenance; the species' where left out.", "mL/kg/d",
                      required=False),
                Input("losses_ml_per_day", "number", "Vomit, diarrhoea, urine beyond normal.", "mL/d", required=False,
                      zero=True)),
               fluid_plan, {"dehydration_percent": 8, "replace_over_h": 24, "losses_ml_per_day": 200},
               {"species": "dog", "weight_kg": 10}, basis=_PUBLISHED),
    Calculator("shock_bolus", "First bolus in shock", "weight_kg x bolus per kg; weight_kg x shock volume per kg",
               (WEIGHT,), shock_bolus, {}, {"species": "cat", "weight_kg": 4}, basis="published volumes"),
    Calculator("potassium", "Potassium in a fluid, and how fast it goes in",
               "target x rate / 1000 / weight_kg; to add = (target - present) x bag / 1000",
               (WEIGHT, Input("bag_ml", "number", "Fluid in the bag.", "mL"), _RATE,
                Input("target_meq_per_l", "number", "Potassium wanted in the fluid.", "mEq/L", "potassium"),
                Input("present_meq_per_l", "number", "Potassium already in it; printed on the bag.", "mEq/L",
                      "potassium", required=False, zero=True),
                Input("strength", "strength", "Of the additive, like 2 mEq/mL.", required=False),
                Input("limit_meq_per_kg_h", "number", "The highest rate; the species' where left out.", "mEq/kg/h",
                      required=False)),
               potassium, {"bag_ml": 1000, "rate_ml_per_h": 40, "target_meq_per_l": 40, "present_meq_per_l": 4,
                           "strength": "2 mEq/mL"}, {"species": "dog", "weight_kg": 10}, basis=_PUBLISHED),
    Calculator("energy", "Resting and maintenance energy", "coefficient x weight_kg^exponent x factor",
               (WEIGHT, Input("coefficient", "number", "Of the resting energy formula that you use.", required=False),
                Input("exponent", "number", "Of the weight in it.", required=False),
                Input("factor", "number", "For the life stage.", required=False)),
               energy, {"factor": 1.6}, {"species": "dog", "weight_kg": 10}, basis=_PUBLISHED),
    Calculator("blood_volume", "Blood volume", "weight_kg x blood_ml_per_kg", (WEIGHT, _BLOOD),
               blood_volume, {}, {"species": "cat", "weight_kg": 4}, basis=_PUBLISHED),
    Calculator("transfusion", "Blood to give", "weight_kg x blood_ml_per_kg x (pcv_wanted - pcv) / pcv_donor",
               (WEIGHT, Input("pcv", "number", "PCV of the patient.", "%", "pcv"),
                Input("pcv_wanted", "number", "PCV wanted.", "%", "pcv"),
                Input("pcv_donor", "number", "PCV of the donor or the bag.", "%", "pcv"), _BLOOD),
               transfusion, {"pcv": 12, "pcv_wanted": 22, "pcv_donor": 40},
               {"species": "dog", "weight_kg": 20}, basis=_PUBLISHED),
    Calculator("shock_index", "Shock index", "heart_rate / systolic_pressure",
               (Input("heart_rate", "number", "Heart beats a minute."),
                Input("systolic_pressure", "number", "Systolic blood pressure.", "mmHg")),
               shock_index, {"heart_rate": 160, "systolic_pressure": 80}, {"species": "dog"},
               basis="published cut-offs"),
    Calculator("sodium_deficit", "Sodium deficit", "body_water_fraction x weight_kg x (sodium_wanted - sodium)",
               _SODIUMS, sodium_deficit, {"sodium": 115, "sodium_wanted": 125},
               {"species": "dog", "weight_kg": 20}, basis=_PUBLISHED),
    Calculator("free_water_deficit", "Free water deficit",
               "body_water_fraction x weight_kg x (sodium / sodium_wanted - 1)", _SODIUMS, water_deficit,
               {"sodium": 175, "sodium_wanted": 155}, {"species": "dog", "weight_kg": 20}, basis=_PUBLISHED),
    Calculator("cpr", "Resuscitation drugs for the weight", "weight_kg x dose per kg / strength",
               (Input("weight_kg", "number", WEIGHT.description, "kg", required=False),),
               resuscitation, {}, {"species": "dog", "weight_kg": 20}, basis="doses on record"),
)  # fmt: skip
