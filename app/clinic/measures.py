"""Laboratory values: the units people write for them, turned into an analyte's own and its SI unit."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from app.clinic.records import Analyte, Interval
from app.clinic.units import fold

UREA_FACTOR = Decimal("0.1665")
"""Urea [mg/dL] to [mmol/L]: 10 / 60.06 g/mol. Urea nitrogen has 0.357, because it counts the nitrogen alone."""
_UREA_WORDS = frozenset(("urea", "serum urea", "plasma urea", "harnstoff", "uree", "ureia", "blood urea"))
_PREFIXES = {
    "": "1", "k": "1e3", "m": "1e-3", "u": "1e-6", "n": "1e-9", "p": "1e-12", "f": "1e-15", "d": "1e-1", "c": "1e-2",
}  # fmt: skip
_TOPS = {
    "g": "g", "mol": "mol", "eq": "eq", "osm": "osm", "u": "u", "iu": "u", "[iu]": "u", "units": "u", "unit": "u",
    "l": "l", "mmhg": "mmhg", "pa": "pa", "s": "s", "sec": "s", "seconds": "s",
}  # fmt: skip
_COUNTS = {"k": "1e3", "t": "1e12", "m": "1e6", "giga": "1e9", "tera": "1e12", "cells": "1", "": "1"}
_BARE = {"%": ("1", "0.01"), "ratio": ("1", "1"), "ph": ("ph", "1"), "": ("1", "1"), "mmhg": ("mmhg", "1"),
         "torr": ("mmhg", "1"), "percent": ("1", "0.01"), "l/l": ("1", "1")}  # fmt: skip
_POWER = re.compile(r"(?:[x*]*)10\*+(\d{1,2})")
_NARROW = frozenset(
    ("creatinine", "urea nitrogen", "glucose", "total calcium", "ionised calcium", "phosphorus", "magnesium",
     "total protein", "albumin", "globulin", "haemoglobin", "pcv", "mchc", "t4", "cholesterol")
)  # fmt: skip
"""Analytes that never go 25-fold beyond their interval, so that a value which does was given in another unit."""
_TIGHT = frozenset(
    ("total calcium", "ionised calcium", "total protein", "albumin", "globulin", "haemoglobin", "pcv", "mchc")
)  # fmt: skip
"""Those that the body holds so closely that a third or three times the interval already tells the unit."""
_TIMES = {"glucose": Decimal(12), "urea nitrogen": Decimal(12)}
_TIMES_WIDE, _TIMES_NARROW, _FRACTION, _TIMES_TIGHT = Decimal(200), Decimal(25), Decimal(12), Decimal(3)


@lru_cache(maxsize=2048)
def read_unit(unit: str) -> tuple[str, Decimal] | None:
    """What a unit measures and its size in base units (g, mol, L ...): `mg/dL` is `("g/l", 0.01)`; None if unknown."""
    text = re.sub(r"(?<=[a-z0-9])\s+per\s+", "/", unit.strip().casefold()).replace("\u03bc", "u").replace("mcg", "ug")
    text = text.replace("\u00d7", "x").replace("^", "**").replace("\u00b9\u00b2", "**12").replace("\u2079", "**9")
    text = re.sub(r"\s+|\.", "", text.replace("\u00b3", "**3")).replace("mm**3", "ul").replace("mm3", "ul")
    if text in _BARE:
        name, size = _BARE[text]
        return name, Decimal(size)
    top, slash, bottom = text.partition("/")
    if "/" in bottom:
        return None
    power = _POWER.fullmatch(top)
    if slash and (power is not None or top in _COUNTS) and bottom in ("l", "dl", "ml", "ul"):
        count = Decimal(10) ** int(power[1]) if power is not None else Decimal(_COUNTS[top])
        below = _part(bottom)
        assert below is not None
        return "1/l", count / below[1]
    above = _part(top)
    if above is None:
        return None
    if not slash:
        return above
    below = _part(bottom)
    return None if below is None else (f"{above[0]}/{below[0]}", above[1] / below[1])


def _part(text: str) -> tuple[str, Decimal] | None:
    """One side of a unit."""
    if text in _TOPS:
        return _TOPS[text], Decimal(1)
    base = _TOPS.get(text[1:])
    if base is None or text[:1] not in _PREFIXES or base in ("mmhg", "s"):
        return None
    return base, Decimal(_PREFIXES[text[:1]])


def is_urea(written: str, unit: str | None) -> bool:
    """Whether a value is of urea by mass, not of urea nitrogen."""
    read = None if unit is None else read_unit(unit)
    return fold(written) in _UREA_WORDS and read is not None and read[0] == "g/l"


def in_own_unit(analyte: Analyte, value: Decimal, unit: str, written: str = "") -> Decimal | None:
    """A value in the analyte's own unit; None where the unit is not one of this analyte.

    Args:
        written: the name as written, because `urea` by mass is not urea nitrogen by mass.
    """
    read, own, si = read_unit(unit), read_unit(analyte.unit), read_unit(analyte.si_unit)
    assert own is not None and si is not None, analyte.name
    if read is None:
        return None
    if own[0] == "1/l" and unit.strip().casefold() == "g/l":
        read = ("1/l", Decimal("1e9"))  # giga, not grams: nobody weighs cells
    if is_urea(written, unit) and analyte.factor != 1:
        return value * read[1] / own[1] * UREA_FACTOR / analyte.factor
    if read[0] == own[0]:
        return value * read[1] / own[1]
    if read[0] == si[0]:
        return value * read[1] / si[1] / analyte.factor
    return None


def in_si(analyte: Analyte, own: Decimal) -> Decimal:
    """A value in the analyte's own unit, in its SI unit."""
    return own * analyte.factor


def bounds(analyte: Analyte, interval: Interval) -> tuple[Decimal, Decimal, Decimal | None, Decimal | None]:
    """Low, high and the critical limits of an interval in the analyte's own unit."""
    over = Decimal(1) if interval.unit == analyte.unit else analyte.factor
    critical = [None if limit is None else limit / over for limit in (interval.critical_low, interval.critical_high)]
    return interval.low / over, interval.high / over, critical[0], critical[1]


def candidates(analyte: Analyte) -> tuple[str, ...]:
    """Units a bare number may have been meant in."""
    units = [analyte.unit, analyte.si_unit]
    read = read_unit(analyte.unit)
    if read is not None and read[0] == "1/l" and analyte.name != "rbc":
        units.append("/uL")
    kept: dict[Decimal, str] = {}
    for unit in units:
        size = in_own_unit(analyte, Decimal(1), unit)
        assert size is not None
        kept.setdefault(size, unit)
    return tuple(kept.values())


_PER_CENT = 100


def can_be(analyte: Analyte, own: Decimal, interval: Interval) -> bool:
    """Whether a value in the analyte's own unit can be true of a living animal at all."""
    low, high = bounds(analyte, interval)[:2]
    if analyte.unit == "%" and analyte.si_unit == "L/L":
        return 1 < own <= _PER_CENT  # a PCV of 6 is seen, one of 1 or of 0.4 % never
    if analyte.name in _TIGHT:
        return low / _TIMES_TIGHT <= own <= high * _TIMES_TIGHT
    times = _TIMES.get(analyte.name, _TIMES_NARROW if analyte.name in _NARROW else _TIMES_WIDE)
    return low / _FRACTION <= own <= high * times


def looks_like(analyte: Analyte, own: Decimal, value: Decimal, interval: Interval) -> str | None:
    """The unit a value was surely meant in, where the given one gives nonsense and another an everyday value."""
    if analyte.name not in _NARROW or can_be(analyte, own, interval):
        return None
    low, high = bounds(analyte, interval)[:2]
    for unit in candidates(analyte):
        other = in_own_unit(analyte, value, unit)
        if other is not None and low / 3 <= other <= high * 6:
            return unit
    return None
