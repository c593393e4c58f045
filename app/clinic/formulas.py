"""Bands, ranges, coefficients and patterns of the calculators: `species_data/calculators/`, read strictly and frozen.

A figure that nobody read at a source has no row here, and the calculator that needs it asks its caller for it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from app.base.errors import BadData
from app.clinic.records import LEVELS, Records, Source, _Table
from app.clinic.units import fold

FLAGS = ("LL", "L", "N", "H", "HH")
DERIVED = (
    "sodium potassium ratio", "albumin globulin ratio", "anion gap", "osmolality gap", "corrected sodium",
    "calcium phosphorus product", "band share",
)  # fmt: skip
"""What a pattern may test besides analytes: values that `labs` derives from several."""


@dataclass(frozen=True, slots=True)
class Band:
    """One step of a scale. It begins at `start` (`above`: just beyond it) and ends where the next one begins.

    Attributes:
        of: what is put on the scale. species: empty for any.
        label: the step's name, like `2` or `borderline`. text: what it means.
    """

    of: str
    species: tuple[str, ...]
    unit: str
    start: Decimal
    above: bool
    label: str
    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Usual:
    """The usual range of a computed value, from `low` to `high`, both included."""

    of: str
    species: tuple[str, ...]
    unit: str
    low: Decimal
    high: Decimal
    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Coefficient:
    """One figure of a formula; `value` is None for a row that only says something (`text`) with its source."""

    id: str
    species: tuple[str, ...]
    value: Decimal | None
    unit: str
    text: str
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Test:
    """One condition of a pattern; every limit that isn't None must hold, and the flag be one of `flags` if any.

    Attributes:
        least, most: included. below, above: not included. unit: theirs; the analyte's own or its SI unit.
    """

    of: str
    flags: tuple[str, ...]
    unit: str
    least: Decimal | None
    most: Decimal | None
    below: Decimal | None
    above: Decimal | None

    def holds(self, value: Decimal) -> bool:
        """Whether a value in the test's unit lies within its limits."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
            and (self.above is None or value > self.above)
        )


@dataclass(frozen=True, slots=True)
class Pattern:
    """What several values together, or one past a known limit, speak for; all of `tests` must hold.

    Attributes:
        replaces: patterns that are not said when this one is.
    """

    id: str
    name: str
    species: tuple[str, ...]
    tests: tuple[Test, ...]
    urgency: str
    why: str
    replaces: tuple[str, ...]
    sources: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Formulas:
    """Everything in species_data/calculators."""

    bands: tuple[Band, ...] = ()
    ranges: tuple[Usual, ...] = ()
    coefficients: Mapping[str, tuple[Coefficient, ...]] | None = None
    patterns: tuple[Pattern, ...] = ()

    def band(self, of: str, value: Decimal, unit: str, species: str | None) -> Band | None:
        """The step of a scale that a value in `unit` lies on; None where none is on record for the species."""
        found = None
        for row in self.bands:
            on = row.of == of and row.unit == unit and _holds_for(row.species, species)
            if on and (value > row.start or (value == row.start and not row.above)):
                found = row if found is None or row.start >= found.start else found
        return found

    def usual(self, of: str, species: str | None) -> Usual | None:
        """The usual range of a computed value for a species."""
        return next((row for row in self.ranges if row.of == of and _holds_for(row.species, species)), None)

    def coefficient(self, name: str, species: str | None = None) -> Coefficient | None:
        """A figure of a formula, for a species."""
        rows = (self.coefficients or {}).get(name, ())
        return next((row for row in rows if _holds_for(row.species, species)), None)


def _holds_for(named: tuple[str, ...], species: str | None) -> bool:
    return not named or species in named


def load_formulas(root: Path, records: Records) -> Formulas:
    """Everything under `root/species_data/calculators`, checked against the records' species and analytes.

    Raises:
        BadData: the first thing that is wrong, with its file and key.
    """
    bands: list[Band] = []
    ranges: list[Usual] = []
    coefficients: dict[str, tuple[Coefficient, ...]] = {}
    patterns: list[Pattern] = []
    for file in sorted((root / "species_data" / "calculators").glob("*.toml")):
        name = file.relative_to(root).as_posix()
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadData(name, "(file)", f"is not TOML: {error}") from None
        table = _Table(name, "", data)
        bands += [_band(row, records) for row in table.tables("band")]
        ranges += [_usual(row, records) for row in table.tables("range")]
        for row in table.tables("coefficient"):
            read = _coefficient(row, records)
            coefficients[read.id] = (*coefficients.get(read.id, ()), read)
        patterns += [_pattern(row, records) for row in table.tables("pattern")]
        table.end()
    known = {row.id for row in patterns}
    if len(known) < len(patterns):
        raise BadData("species_data/calculators", "pattern", "two patterns have one id")
    for pattern in patterns:
        for other in pattern.replaces:
            if other not in known:
                raise BadData("species_data/calculators", f"pattern[{pattern.id}].replaces", f"{other!r} is no pattern")
    return Formulas(tuple(bands), tuple(ranges), coefficients, tuple(patterns))


def _species(table: _Table, records: Records) -> tuple[str, ...]:
    """The species named, groups spread out; empty for any."""
    members: list[str] = []
    for name in table.texts("species"):
        found = [row.name for row in records.species.values() if name == row.name or name in row.groups]
        if not found:
            raise table.wrong("species", f"{name!r} has no file in species/")
        members += found
    return tuple(dict.fromkeys(members))


def _band(table: _Table, records: Records) -> Band:
    start, above = table.maybe_number("from", positive=False), table.maybe_number("above", positive=False)
    if (start is None) == (above is None):
        raise table.wrong("from", "give either from or above")
    result = Band(
        of=table.text("of"),
        species=_species(table, records),
        unit=table.text("unit"),
        start=start if start is not None else above or Decimal(0),
        above=above is not None,
        label=table.text("label"),
        text=table.text("text", ""),
        sources=table.sources(),
    )
    table.end()
    return result


def _usual(table: _Table, records: Records) -> Usual:
    low, high = table.number("low", positive=False), table.number("high")
    if low > high:
        raise table.wrong("low", "is more than high")
    result = Usual(
        table.text("of"), _species(table, records), table.text("unit"), low, high, table.text("text", ""),
        table.sources(),
    )  # fmt: skip
    table.end()
    return result


def _coefficient(table: _Table, records: Records) -> Coefficient:
    value = table.maybe_number("value")
    result = Coefficient(
        id=table.text("id"),
        species=_species(table, records),
        value=value,
        unit=table.text("unit", "" if value is None else None),
        text=table.text("text", None if value is None else ""),
        sources=table.sources(),
    )
    table.end()
    return result


def _pattern(table: _Table, records: Records) -> Pattern:
    result = Pattern(
        id=table.text("id"),
        name=table.text("name"),
        species=_species(table, records),
        tests=tuple(_test(row, records) for row in table.tables("all")),
        urgency=table.text("urgency", among=LEVELS[:3]),
        why=table.text("why"),
        replaces=table.texts("replaces"),
        sources=table.sources(),
    )
    table.end()
    if not result.tests:
        raise table.wrong("all", "is missing")
    return result


def _test(table: _Table, records: Records) -> Test:
    of = table.text("of")
    analyte = records.analytes_by_name.get(fold(of))
    if analyte is None and of not in DERIVED:
        raise table.wrong("of", f"{of!r} has no file in analytes/ and is not derived")
    limits = {key: table.maybe_number(key, positive=False) for key in ("least", "most", "below", "above")}
    result = Test(
        of=of if analyte is None else analyte.name,
        flags=table.texts("flags", among=FLAGS),
        unit=table.text("unit", ""),
        **limits,
    )
    table.end()
    if not result.flags and all(limit is None for limit in limits.values()):
        raise table.wrong("flags", "give flags or a limit")
    if analyte is not None and any(limit is not None for limit in limits.values()):
        among: Iterable[str] = (analyte.unit, analyte.si_unit)
        if result.unit not in among:
            raise table.wrong("unit", f"{result.unit!r} is neither {analyte.unit} nor {analyte.si_unit}")
    return result
