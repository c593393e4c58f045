"""What was read of drawn laboratory sheets against what was printed on them: cells right, unsure, missed, wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

from app.clinic.labsheets import LabSheet, Row
from app.clinic.measures import read_unit

Json = dict[str, Any]
COUNTS = ("right", "unsure", "missed", "wrong")


class Cell(Protocol):
    """A printed line: figures as printed, "" for none; `analyte` is the record's name."""

    @property
    def value(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def low(self) -> str: ...
    @property
    def high(self) -> str: ...
    @property
    def analyte(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Score:
    """Of one sheet.

    Attributes:
        how: clean | photographed.
        wrong: what was called sure and isn't what stands there, in words.
        seconds: processor time that the reading took [s].
    """

    sheet: str
    layout: str
    how: str
    right: int
    unsure: int
    missed: int
    wrong: tuple[str, ...]
    species: bool
    seconds: float


def score(
    sheet: str, layout: str, how: str, species: str, cells: Sequence[Cell], read: LabSheet | None, seconds: float
) -> Score:
    """A cell is right only where analyte, value, sign, unit and both ends of the range are."""
    rows = {} if read is None else {row.analyte: row for row in read.rows}
    right = unsure = missed = 0
    wrong = []
    for cell in cells:
        row = rows.pop(cell.analyte, None)
        if row is None:
            missed += 1
        elif not row.sure:
            unsure += 1
        elif _is_right(row, cell):
            right += 1
        else:
            wrong.append(f"{cell.analyte} {cell.value} {cell.unit} ({cell.low} to {cell.high}) read as {row.printed}")
    wrong += [f"{row.label} {row.printed}, which nobody printed" for row in rows.values() if row.sure]
    told = read is not None and read.species == species
    return Score(sheet, layout, how, right, unsure, missed, tuple(wrong), told, seconds)


def _is_right(row: Row, cell: Cell) -> bool:
    sign = cell.value[: len(cell.value) - len(cell.value.lstrip("<>="))]
    return (
        row.value == _decimal(cell.value[len(sign) :])
        and row.comparator == sign
        and read_unit(row.unit or "") == read_unit(cell.unit)
        and (row.low, row.high) == (_decimal(cell.low), _decimal(cell.high))
    )


def _decimal(text: str) -> Decimal | None:
    return Decimal(text.replace(",", ".")) if text else None


def summed(scores: Sequence[Score], ruleset: str, measured_on: date) -> Json:
    """The result as it is published."""
    groups = dict.fromkeys((one.layout, one.how) for one in scores)
    return {
        "ruleset": ruleset,
        "measured_on": measured_on.isoformat(),
        "sheets": len(scores),
        **_counts(scores),
        "species_told": sum(one.species for one in scores),
        "processor_seconds_per_sheet": round(sum(one.seconds for one in scores) / max(1, len(scores)), 1),
        "layouts": [
            {"layout": layout, "how": how, **_counts([one for one in scores if (one.layout, one.how) == (layout, how)])}
            for layout, how in groups
        ],
        "wrong_cells": [f"{one.sheet}, {one.how}: {words}" for one in scores for words in one.wrong],
    }


def _counts(scores: Iterable[Score]) -> Json:
    rows = [(one.right, one.unsure, one.missed, len(one.wrong)) for one in scores]
    counts = dict(zip(COUNTS, map(sum, zip(*rows, strict=True)), strict=True)) if rows else dict.fromkeys(COUNTS, 0)
    return {"cells": sum(counts[name] for name in COUNTS), **counts}


def describe(found: Json) -> str:
    """The result as a table for a terminal."""
    head = ("layout", "how", "cells", *COUNTS)
    rows = [*found["layouts"], {"layout": "all", "how": f"{found['sheets']} sheets", **found}]
    table = [head, *(tuple(str(row[name]) for name in head) for row in rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    lines += [
        "",
        "right: analyte, value, unit and the sheet's own range; unsure: marked, judged by nobody; missed: not seen;",
        f"wrong: called sure and not what stands there (goal: 0). {found['processor_seconds_per_sheet']} s of a core a "
        f"sheet; the species told of {found['species_told']} sheets.",
        *found["wrong_cells"],
    ]
    return "\n".join(lines)
