"""Doses: from a record and a body weight to an amount, a volume and tablets. Rounding never adds to a dose."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Any

from app.clinic.records import DoseRecord, Drug, Formulation, Quantity, Species
from app.clinic.units import canonical, convert, dimensions, number, shown, spelt

Json = dict[str, Any]

_VOLUME_STEP_ML = Decimal("0.01")
_TABLETS_MAX = 20
TABLET_NEAR = Decimal("1.02")
"""Tablets within 2 % above a figure are that figure: no weight is better known. Never above a maximum."""
_SOLID = re.compile(r"tablet|capsule|chew|caplet|pill")
_PER_ML = re.compile(r"(?P<unit>[^/]+)/\s*(?P<ml>\d+(?:\.\d+)?)\s*m[lL]")
_FREQUENCIES = {
    6: "four times a day",
    8: "three times a day",
    12: "twice a day",
    24: "once a day",
    48: "every other day",
    168: "once a week",
    336: "every two weeks",
}


@dataclass(frozen=True, slots=True)
class Amount:
    """What one administration (or one day, as the record says) comes to, in `unit`; `capped` where a maximum bit."""

    min: Decimal
    max: Decimal
    unit: str
    formula: str
    capped: str = ""


@dataclass(frozen=True, slots=True)
class Strength:
    """A product in hand: in a mL, or in a tablet (then `per_ml` is False), in mass or [IU]."""

    value: Decimal
    unit: str
    per_ml: bool


@dataclass(frozen=True, slots=True)
class Tablets:
    """So many of one strength; `fits` when that lies in the dose's range."""

    strength: Decimal
    count: Decimal
    amount: Decimal
    fits: bool
    pieces: int


@dataclass(frozen=True, slots=True)
class Body:
    """What a dose is held against: weight [kg] and Meeh's constant, each None where not known."""

    weight_kg: Decimal | None
    surface_k: Decimal | None = None

    @property
    def animals_per_kg(self) -> Decimal | None:
        """One animal for each kg of it: turns an amount per animal into one per kg."""
        return None if self.weight_kg is None else 1 / self.weight_kg

    @property
    def m2_per_kg(self) -> Decimal | None:
        """Its surface for each kg of it: turns an amount per m2 into one per kg."""
        if self.weight_kg is None or self.surface_k is None:
            return None
        return surface_m2(self.weight_kg, self.surface_k) / self.weight_kg


def body_of(weight_kg: Decimal | None, species: Species | None) -> Body:
    """The body of an animal of a species."""
    constant = None if species is None else species.surface_k
    return Body(weight_kg, None if constant is None else constant.value)


def surface_m2(weight_kg: Decimal, k: Decimal) -> Decimal:
    """Body surface [m2] by Meeh: k x (weight [g])^(2/3) / 10000."""
    assert weight_kg > 0
    return k * ((weight_kg * 1000) ** (Decimal(2) / Decimal(3))) / 10000


def per_animal(record: DoseRecord, weight_kg: Decimal | None, species: Species) -> Amount | None:
    """The record's amount for this animal, or None where weight or surface is needed and not known.

    Maxima of the record hold: an amount never exceeds `max_single` (or `max_daily` for a dose per day).
    """
    unit = record.dose.unit.split("/")
    low, high = record.dose.min, record.dose.max
    if record.basis == "per_animal":
        amount = Amount(low, high, record.dose.unit, "per animal, whatever its weight")
    elif weight_kg is None:
        return None
    elif record.basis == "per_kg":
        rest = "/".join([unit[0], *unit[2:]])
        amount = Amount(low * weight_kg, high * weight_kg, rest, "weight_kg x dose per kg")
    else:
        if species.surface_k is None:
            return None
        surface = surface_m2(weight_kg, species.surface_k.value)
        rest = "/".join([unit[0], *unit[2:]])
        amount = Amount(
            low * surface, high * surface, rest,
            f"surface_m2 x dose per m2; surface_m2 = {species.surface_k.value} x (weight_g)^(2/3) / 10000",
        )  # fmt: skip
    bound = record.max_daily if record.per == "day" else record.max_single
    return amount if bound is None else _capped(amount, bound, weight_kg, species)


def whole(bound: Quantity, weight_kg: Decimal | None, species: Species) -> Quantity | None:
    """A maximum for this animal: one per kg or m2 is multiplied out; None where that is not known."""
    parts = bound.unit.split("/")
    if len(parts) == 1:
        return bound
    if weight_kg is None:
        return None
    if parts[1] == "m2":
        return None if species.surface_k is None else Quantity(
            bound.value * surface_m2(weight_kg, species.surface_k.value), parts[0]
        )  # fmt: skip
    return Quantity(bound.value * weight_kg, parts[0])


def _capped(amount: Amount, bound: Quantity, weight_kg: Decimal | None, species: Species) -> Amount:
    limit = whole(bound, weight_kg, species)
    most = None if limit is None else convert(limit.value, limit.unit, amount.unit)
    if most is None or amount.max <= most:
        return amount
    why = f"not more than {shown(bound.value)} {spelt(bound.unit)}"
    return Amount(min(amount.min, most), most, amount.unit, amount.formula, why)


def lowered(amount: Amount, most: Decimal, why: str) -> Amount:
    """The amount under a further maximum in its own unit."""
    if amount.max <= most:
        return amount
    return Amount(min(amount.min, most), most, amount.unit, amount.formula, why)


def read_strength(value: Decimal, unit: str) -> Strength | None:
    """A strength as written: `1.5 mg/mL`, `250 mg/5 mL`, `2 %`, `100 mg` (a tablet); None for what is no strength."""
    if unit.strip() == "%":
        return Strength(value * 10, "mg", per_ml=True)
    known = canonical(unit)
    if known is None:
        fraction = _PER_ML.fullmatch(unit.strip())
        inner = canonical(fraction["unit"]) if fraction else None
        if fraction is None or inner is None or Decimal(fraction["ml"]) == 0:
            return None
        return read_strength(value / Decimal(fraction["ml"]), f"{inner}/mL")
    measured = dimensions(known)
    if measured is not None and measured[0] in ("mass", "activity", "amount", "charge"):
        if measured[1:] == ():
            return Strength(value, known, per_ml=False)
        if measured[1:] == ("volume",):
            per_ml = convert(value, known, f"{known.split('/')[0]}/mL")
            assert per_ml is not None
            return Strength(per_ml, known.split("/")[0], per_ml=True)
    return None


def volume_step(volume_ml: Decimal) -> Decimal:
    """A volume [mL] rounded down to the 0.01 mL of a syringe, so rounding never adds to a dose."""
    return volume_ml.quantize(_VOLUME_STEP_ML, ROUND_DOWN)


def tablets_for(
    amount: Amount, strength_mg: Decimal, pieces: int, minimum: bool, bounded: bool = False
) -> Tablets | None:
    """How many tablets of one strength: the most that stays within the range, `TABLET_NEAR` above it at most.

    Args:
        pieces: into how many parts one may be broken (1, 2 or 4).
        minimum: the label gives a least dose, so the count is rounded up to reach it instead.
        bounded: a maximum holds as well, so that nothing above the amount is near enough.

    Returns:
        None where no piece is small enough, or it would take more than 20 tablets.
    """
    assert strength_mg > 0 and pieces in (1, 2, 4)
    low, high = convert(amount.min, amount.unit, "mg"), convert(amount.max, amount.unit, "mg")
    if low is None or high is None:
        return None
    top = high if amount.capped or bounded else high * TABLET_NEAR
    wanted = (low if minimum else top) / strength_mg * pieces
    count = wanted.to_integral_value(ROUND_CEILING if minimum else ROUND_FLOOR) / pieces
    if count == 0 or count > _TABLETS_MAX:
        return None
    given = count * strength_mg
    fits = given >= low and (minimum or given <= top) and not (minimum and amount.capped and given > high)
    return Tablets(strength_mg, count, given, fits, pieces)


def frequency(record: DoseRecord) -> str:
    """How often, in words."""
    if record.dose_kind == "cri":
        return "continuous infusion"
    if record.interval_h is None:
        return "single dose"
    low, high = record.interval_h.min, record.interval_h.max
    if high < 1:
        minutes = [str(round(value * 60)) for value in (low, high)]
        return f"every {' to '.join(dict.fromkeys(minutes))} minutes"
    if low != high:
        return f"every {shown(low)} to {shown(high)} hours"
    return _FREQUENCIES.get(int(low) if low == int(low) else 0, f"every {shown(low)} hours")


def is_solid(formulation: Formulation) -> bool:
    """Whether it is counted in tablets or capsules."""
    return bool(_SOLID.search(formulation.form)) and dimensions(formulation.unit) == ("mass",)


def pieces_of(drug: Drug, strength_mg: Decimal) -> int:
    """Into how many parts a tablet of this strength may be broken, as the record says; 1 where it says nothing."""
    found = [row for row in drug.formulations if is_solid(row) and convert(row.strength, row.unit, "mg") == strength_mg]
    return min((row.pieces for row in found), default=1)


def same_route(record: DoseRecord, route: str | None) -> bool:
    """Whether the record is for this route; one that is not known fits every record."""
    return route is None or record.route == route


def range_per_kg(
    records: Iterable[DoseRecord], body: Body | Decimal | None, numerator: str = "mg"
) -> tuple[Decimal, Decimal] | None:
    """Lowest to highest single dose [`numerator`/kg] over records per kg, and others where the weight is known.

    A dose per day may be given at once, or divided as its interval says.
    """
    lows: list[Decimal] = []
    highs: list[Decimal] = []
    for record in records:
        single = single_per_kg(record, body, numerator)
        if single is not None:
            lows.append(single[0])
            highs.append(single[1])
    return (min(lows), max(highs)) if lows else None


def single_per_kg(record: DoseRecord, body: Body | Decimal | None, numerator: str) -> tuple[Decimal, Decimal] | None:
    """Lowest and highest single dose of a record [`numerator`/kg]; None where it can't be compared per kg.

    Args:
        body: a bare weight [kg] stands for a body of unknown surface.
    """
    if record.status == "unverified" or record.dose_kind == "cri":
        return None
    if not isinstance(body, Body):
        body = Body(body)
    values = (record.dose.min, record.dose.max)
    if record.basis == "per_kg":
        converted = [convert(value, record.dose.unit, f"{numerator}/kg") for value in values]
    else:
        share = body.animals_per_kg if record.basis == "per_animal" else body.m2_per_kg
        if share is None:
            return None
        whole_amounts = [convert(value, record.dose.unit.split("/")[0], numerator) for value in values]
        converted = [None if value is None else value * share for value in whole_amounts]
    low, high = converted
    if low is None or high is None:
        return None
    if record.per == "day" and record.interval_h is not None:
        low = low * min(record.interval_h.min / 24, Decimal(1))
    return low, high


def daily_per_kg(record: DoseRecord, body: Body | Decimal | None, numerator: str) -> Decimal:
    """The most of a record in a day [`numerator`/kg], for a record that `single_per_kg` can compare."""
    single = single_per_kg(record, body, numerator)
    assert single is not None
    if record.per == "day" or record.interval_h is None or record.interval_h.min >= 24:
        return single[1]
    return single[1] * 24 / record.interval_h.min


def json_amount(amount: Amount) -> Json:
    """`{min, max, unit}` for answers, to 6 significant digits so that a person can check it."""
    return span(amount.min, amount.max, amount.unit)


def span(low: Decimal, high: Decimal, unit: str) -> Json:
    """`{min, max, unit}` to 6 significant digits, the upper end rounded down, the lower never above it."""
    top = significant_down(high)
    return {"min": min(significant(low), top), "max": top, "unit": unit}


def significant(value: Decimal, digits: int = 6) -> int | float:
    """A figure as a JSON number with at most `digits` significant digits."""
    return number(_places(value, digits, "ROUND_HALF_EVEN"))


def significant_down(value: Decimal, digits: int = 6) -> int | float:
    """The same, rounded down: for maxima."""
    return number(_places(value, digits, ROUND_DOWN))


def _places(value: Decimal, digits: int, rounding: str) -> Decimal:
    if value == 0:
        return value
    exponent = value.adjusted() - digits + 1
    return value.quantize(Decimal(1).scaleb(exponent), rounding)
