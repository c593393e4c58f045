"""Units of medicine in UCUM words, the clinic words people write for them, and exact factors between them."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from functools import lru_cache

KG_PER_LB = Decimal("0.45359237")
_LB_MG = KG_PER_LB * 1_000_000

# canonical unit: (dimension, size in the dimension's base unit: mg, mL, [IU], umol, ueq, h, m2, unit)
_SIZES: dict[str, tuple[str, Decimal]] = {
    "kg": ("mass", Decimal(1_000_000)),
    "g": ("mass", Decimal(1000)),
    "mg": ("mass", Decimal(1)),
    "ug": ("mass", Decimal("0.001")),
    "ng": ("mass", Decimal("0.000001")),
    "lb": ("mass", _LB_MG),
    "oz": ("mass", _LB_MG / 16),
    "st": ("mass", _LB_MG * 14),
    "gr": ("mass", Decimal("64.79891")),
    "L": ("volume", Decimal(1000)),
    "dL": ("volume", Decimal(100)),
    "mL": ("volume", Decimal(1)),
    "uL": ("volume", Decimal("0.001")),
    "tsp": ("volume", Decimal(5)),
    "tbsp": ("volume", Decimal(15)),
    "cup": ("volume", Decimal(250)),
    "fl oz": ("volume", Decimal("29.5735295625")),
    "[IU]": ("activity", Decimal(1)),
    "mol": ("amount", Decimal(1_000_000)),
    "mmol": ("amount", Decimal(1000)),
    "umol": ("amount", Decimal(1)),
    "mEq": ("charge", Decimal(1)),
    "min": ("time", Decimal(1) / Decimal(60)),
    "h": ("time", Decimal(1)),
    "d": ("time", Decimal(24)),
    "m2": ("area", Decimal(1)),
    "unit": ("count", Decimal(1)),
    "%": ("percent", Decimal(1)),
}
_WORDS: dict[str, str] = {
    "kilogram": "kg", "kilograms": "kg", "kilo": "kg", "kilos": "kg", "kgs": "kg",
    "gram": "g", "grams": "g", "gm": "g", "gms": "g", "grammes": "g",
    "milligram": "mg", "milligrams": "mg", "mgs": "mg",
    "mcg": "ug", "µg": "ug", "μg": "ug", "microgram": "ug", "micrograms": "ug", "mcgs": "ug",
    "lbs": "lb", "pound": "lb", "pounds": "lb", "#": "lb",
    "ounce": "oz", "ounces": "oz", "stone": "st", "stones": "st",
    "grain": "gr", "grains": "gr",
    "l": "L", "liter": "L", "litre": "L", "liters": "L", "litres": "L", "dl": "dL",
    "ml": "mL", "mls": "mL", "cc": "mL", "ccs": "mL", "milliliter": "mL", "millilitre": "mL", "milliliters": "mL",
    "millilitres": "mL", "ul": "uL", "µl": "uL", "μl": "uL",
    "teaspoon": "tsp", "teaspoons": "tsp", "tablespoon": "tbsp", "tablespoons": "tbsp", "tbs": "tbsp", "cups": "cup",
    "floz": "fl oz", "fluid ounce": "fl oz", "fluid ounces": "fl oz",
    "iu": "[IU]", "u": "[IU]", "ius": "[IU]", "[iu]": "[IU]",
    "meq": "mEq", "µmol": "umol", "μmol": "umol",
    "hr": "h", "hour": "h", "hours": "h", "hrs": "h", "minute": "min", "minutes": "min",
    "day": "d", "days": "d", "m²": "m2", "m^2": "m2",
    "units": "unit", "percent": "%",
}  # fmt: skip
_MARKS = re.compile("['`\"\u2019\u00ae\u2122]+")
_SPACING = re.compile(r"[-_/,.()\u2010-\u2014]+")
_CASED = {name.casefold(): name for name in _SIZES} | _WORDS


def fold(words: str) -> str:
    """A name as every index holds it: lower case, no accents, no marks, hyphens and slashes as single spaces."""
    if words.isascii():
        plain = words.lower()
        if plain.isalnum():
            return plain
    else:
        decomposed = unicodedata.normalize("NFKD", words.casefold())
        plain = "".join(mark for mark in decomposed if not unicodedata.combining(mark))
    return " ".join(_SPACING.sub(" ", _MARKS.sub("", plain)).split())


@lru_cache(maxsize=4096)
def canonical(unit: str) -> str | None:
    """The unit in our words (`mcg/kg` is `ug/kg`, `IU` is `[IU]`), or None for one we don't know."""
    parts = [" ".join(part.split()) for part in unit.strip().split("/")]
    known = [part if part in _SIZES else _CASED.get(part.casefold().rstrip(".")) for part in parts]
    return None if None in known else "/".join(part for part in known if part is not None)


@lru_cache(maxsize=4096)
def dimensions(unit: str) -> tuple[str, ...] | None:
    """What a unit measures, numerator first: `mg/kg` is `("mass", "mass")`."""
    known = canonical(unit)
    return None if known is None else tuple(_SIZES[part][0] for part in known.split("/"))


@lru_cache(maxsize=4096)
def factor(unit: str, to: str) -> Decimal | None:
    """What a value in `unit` is multiplied by to be in `to`; None where they measure different things."""
    if dimensions(unit) is None or dimensions(unit) != dimensions(to):
        return None
    result = Decimal(1)
    for place, (part, goal) in enumerate(zip(parts_of(unit), parts_of(to), strict=True)):
        ratio = _SIZES[part][1] / _SIZES[goal][1]
        result = result * ratio if place == 0 else result / ratio
    return result


def parts_of(unit: str) -> list[str]:
    """The canonical pieces of a known unit."""
    known = canonical(unit)
    assert known is not None
    return known.split("/")


def convert(value: Decimal, unit: str, to: str) -> Decimal | None:
    """`value` of `unit` in `to`, or None where they measure different things."""
    times = factor(unit, to)
    return None if times is None else value * times


def number(value: Decimal) -> int | float:
    """A figure as a JSON number: whole ones without a point."""
    whole = int(value)
    return whole if whole == value else float(value)


def shown(value: Decimal, digits: int = 4) -> str:
    """A figure for people: at most `digits` significant digits, no exponent, no trailing zeros."""
    if value == 0:
        return "0"
    places = digits - 1 - value.adjusted()
    rounded = round(value, places) if places > 0 else value.quantize(Decimal(1))
    text = format(rounded, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def spelt(unit: str) -> str:
    """A unit for people: `ug` is written mcg, `[IU]` IU, `Cel` °C."""
    return "/".join({"ug": "mcg", "[IU]": "IU", "Cel": "°C", "m2": "m²"}.get(part, part) for part in unit.split("/"))
