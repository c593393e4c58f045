"""Laboratory sheets: pieces of text with their places, as rows of analyte, value, unit, range and flag.

Nothing is repaired by guessing. A row is sure only where everything that could show a misreading agrees: both readings
of each piece, the number of decimals, the flag and the sheet's own range, the range and what is on record of the
species, the unit and the analyte. Every other row is unsure, with the reason, and is judged by nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from statistics import median
from typing import Any

from app.clinic.labs import MAY_BE_ROW, ROWS_MIN, Measured, analyte_of
from app.clinic.measures import bounds, can_be, in_own_unit
from app.clinic.records import Analyte, Interval, Records
from app.clinic.units import fold, number

Json = dict[str, Any]

SCORE_MIN = 0.8
LINE_MAX, LINES_MAX, WORD_MAX = 200, 200, 80
"""A longer line or word is none of a sheet, and no text may keep us busy."""
_LONG = 2.5
_ROW_SPREAD, _ROW_GAP = 0.75, 0.5
_OVERLAP = 0.3
_RANGE_TIMES = Decimal(6)
_RANGE_TIMES_ENZYME = Decimal(50)
"""How far the limits of two laboratories lie apart at most; enzymes differ by method. A lost point is ten."""
_TIMES_BARE = Decimal(4)

_SAME = str.maketrans(
    {"\u00b5": "u", "\u03bc": "u", "\u2013": "-", "\u2014": "-", "\u2212": "-", "\u2010": "-", "\u2011": "-",
     "\u00d7": "x", "\u2264": "<", "\u2265": ">", "\uff08": "(", "\uff09": ")", "\u3010": "[", "\u3011": "]",
     "\uff1c": "<", "\uff1e": ">", "\uff1a": ":", "\uff05": "%",
     "\u2191": "H", "\u2193": "L", "\u25b2": "H", "\u25bc": "L",
     "\u00b2": "^2", "\u00b3": "^3", "\u2076": "^6", "\u2079": "^9"}
)  # fmt: skip
_SEPARATORS = re.compile(r"[ \t]*[\t|;][ \t]*")
_LOOKALIKE = str.maketrans({"i": "l", "1": "l", "|": "l", "!": "l", "/": "", "o": "0", "^": "", "*": ""})
"""Letters that a reader takes for each other in names and units; never applied to a figure."""
_UNITS = (
    "mg/dL", "g/dL", "ug/dL", "ng/dL", "g/L", "mg/L", "ug/L", "ng/L", "ng/mL", "ug/mL", "pg/mL", "mg/mL", "mmol/L",
    "umol/L", "nmol/L", "pmol/L", "mEq/L", "U/L", "IU/L", "uU/mL", "mU/L", "%", "fL", "pg", "K/uL", "M/uL", "10^3/uL",
    "10^6/uL", "x10^3/uL", "x10^6/uL", "10^9/L", "10^12/L", "x10^9/L", "x10^12/L", "10*9/L", "10*12/L", "10*3/uL",
    "10*6/uL", "L/L", "/uL", "cells/uL", "s", "sec", "ratio", "mmHg", "kPa", "mOsm/kg", "mmol/kg", "G/L", "T/L",
    "K/mm3", "ukat/L",
)  # fmt: skip
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d.,])|\d+(?:[.,]\d+)?(?![\d.,]*\d)"
_TOKEN = re.compile(
    rf"""
      (?P<date>\d{{1,4}}(?P<between>[./-])\d{{1,2}}(?P=between)\d{{2,4}}|\d{{1,2}}:\d{{2}}(?::\d{{2}})?)
    | (?P<power>(?<![A-Za-z\d.,])x?\s?10\s?[*^]{{0,2}}\s?(?:3|6|9|12)\s?/\s?(?:[u]?l|mm\^?3)(?![\w]))
    | (?P<range>(?<![A-Za-z\d.,])[\[(]?\s*(?P<low>{_NUMBER})\s*(?:-|to|bis|a)\s*(?P<high>{_NUMBER})\s*[\])]?(?![\w%]))
    | (?P<bound>(?P<sign>[<>]=?)\s*(?P<limit>{_NUMBER})(?!(?-i:[lIOoSBZ|!])))
    | (?P<number>(?<![A-Za-z\d.,^*])=?\s*(?P<figure>{_NUMBER})(?!(?-i:[.,]?\d|[lIOoSBZ|!])))
    | (?P<mangled>(?<![A-Za-z])(?=[\doliszb|.,]*\d)[\doliszb|.,]+(?![A-Za-z]))
    | (?P<word>[^\s]+)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_FLAGS = {
    "h": "H", "hh": "H", "high": "H", "(h)": "H", "[h]": "H", "l": "L", "ll": "L", "low": "L", "(l)": "L", "[l]": "L",
    "*": "*", "**": "*", "hoch": "H", "niedrig": "L", "tief": "L", "alto": "H", "bajo": "L", "+": "H", "-": "L",
    "n": "N", "normal": "N", "ok": "N", "!": "*",
}  # fmt: skip
_HEADINGS = frozenset(
    ("test", "tests", "parameter", "analyte", "result", "results", "unit", "units", "reference", "interval", "range",
     "ref", "flag", "value", "ergebnis", "einheit", "referenz", "wert", "untersuchung", "resultado", "unidad", "rango")
)  # fmt: skip
_URINE = re.compile(r"\b(?:urin|harn(?:status|unters|analy)|orina)", re.IGNORECASE)
_BLOOD = re.compile(r"\b(?:chem|h[aä]?ema|hema|hämat|cbc|blood|serum|plasma|blut|sangre|endocrin)", re.IGNORECASE)
_PH_LEAST, _PH_MOST = Decimal("6.6"), Decimal("7.9")
_SPECIES_LABEL = re.compile(
    r"\b(?:species|sample type|patient type|animal|tierart|spezies|especie|esp.ce|esp.cie)\s*[:=]?\s*"
    r"([^\W\d]+(?: [^\W\d]+)?)",
    re.IGNORECASE,
)
_SPECIES_WORD = re.compile(r"\b(canine|feline|equine|bovine|ovine|caprine|porcine|lapine)\b", re.IGNORECASE)
WHY = {
    "two_readings": "two readings of it differ",
    "faint": "it was read with little certainty",
    "no_number": "the figure can't be read",
    "several_numbers": "the line holds several figures",
    "crowded": "lines run into each other there",
    "no_unit": "its unit can't be read",
    "not_its_unit": "the unit is none of this analyte",
    "decimals": "its decimals are not those of the range",
    "comma": "a comma may be a decimal or a thousand there",
    "flag": "flag and range disagree",
    "flag_missing": "it lies outside the range, but no flag was read",
    "range": "its range can't be read, or is unlike any on record",
    "implausible": "no living animal has such a value",
    "twice": "it stands there twice, with two values",
}
"""Why a row is unsure, in words; nothing that stands on the sheet is part of them."""


@dataclass(frozen=True, slots=True)
class Word:
    """A piece of text and where it stands; `again` is a second reading of it.

    Attributes:
        x0, x1, y: from, to and middle, along lines that were made level [px]. height: [px].
    """

    text: str
    again: str
    score: float
    x0: float
    x1: float
    y: float
    height: float

    @property
    def agrees(self) -> bool:
        """Whether both readings say the same, spaces aside."""
        return _plain(self.text) == _plain(self.again)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of results.

    Attributes:
        label, printed: as they stand there: the name, the rest of the line.
        value, low, high: in `unit`; None where they can't be read.
        why: a key of WHY where the row is unsure, else "".
    """

    analyte: str
    label: str
    printed: str
    value: Decimal | None = None
    comparator: str = ""
    unit: str | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    flag: str = ""
    why: str = ""

    @property
    def sure(self) -> bool:
        """Whether it may be judged."""
        return not self.why

    def to_json(self) -> Json:
        """As `vetx.images[].sheet.rows[]` shows it."""
        return {
            "analyte": self.analyte,
            "label": self.label,
            "printed": self.printed,
            "value": None if self.value is None else number(self.value),
            "comparator": self.comparator or None,
            "unit": self.unit,
            "reference": None
            if not _has_range(self)
            else {name: None if one is None else number(one) for name, one in (("low", self.low), ("high", self.high))},
            "flag": self.flag or None,
            "sure": self.sure,
            "why": WHY[self.why] if self.why else None,
        }


@dataclass(frozen=True, slots=True)
class LabSheet:
    """What was read from one sheet. `species`: the record's name of the one that it names, else None."""

    rows: tuple[Row, ...]
    species: str | None = None

    @property
    def unsure(self) -> list[Row]:
        """The rows that nobody may judge."""
        return [row for row in self.rows if not row.sure]

    @property
    def measured(self) -> list[Measured]:
        """The sure rows, as `labs.judge` takes them."""
        return [
            Measured(row.analyte, row.value, row.unit, row.comparator, row.low, row.high)
            for row in self.rows
            if row.sure and row.value is not None
        ]

    def to_json(self) -> Json:
        """As `vetx.images[].sheet` shows it."""
        return {"species": self.species, "rows": [row.to_json() for row in self.rows]}


@dataclass(frozen=True, slots=True)
class Printed:
    """A sheet that may be read again once its animal is known.

    Attributes:
        picture: its index; None for one that was typed.
        source: its words as `read_sheet` takes them, or a text as `read_typed` does.
    """

    picture: int | None
    source: Sequence[Mapping[str, Any]] | str
    sheet: LabSheet

    @property
    def how(self) -> str:
        """How its words were had: recognition | text."""
        return "text" if isinstance(self.source, str) else "recognition"

    def read_for(self, species: str | None, records: Records) -> LabSheet:
        """The sheet of an animal of that species."""
        return _read(self.picture, self.source, records, species) or self.sheet


def printed(picture: int | None, source: Sequence[Mapping[str, Any]] | str, records: Records) -> Printed | None:
    """The sheet that these words or this text make; None where they make none."""
    sheet = _read(picture, source, records, None)
    return None if sheet is None else Printed(picture, source, sheet)


def _read(
    picture: int | None, source: Sequence[Mapping[str, Any]] | str, records: Records, species: str | None
) -> LabSheet | None:
    if isinstance(source, str):
        return read_typed(source, records, species, by_hand=picture is None)
    return read_sheet(source, records, species)


def read_sheet(words: Iterable[Mapping[str, Any]], records: Records, species: str | None = None) -> LabSheet | None:
    """The sheet that these words make; None where they make none.

    Args:
        words: {quad: x, y of four corners clockwise from the upper left [px], text, again, score}.
        species: of the patient, where it is known.
    """
    lines = _lines([word for word in words if 0 < len(str(word["text"]).strip()) <= WORD_MAX])[:LINES_MAX]
    named = _species(lines, records)
    return _sheet(lines, records, species or named, named)


def read_typed(text: str, records: Records, species: str | None = None, *, by_hand: bool = True) -> LabSheet | None:
    """The sheet that somebody typed or pasted, or that a document brings as text; None where it is none.

    Args:
        by_hand: nobody can have misread it. The text of a document may come from a scanner's own recognition.
    """
    written = [one for one in text.splitlines() if len(one) <= LINE_MAX] if "\n" in text else []
    rows = {at for at, one in enumerate(written) if MAY_BE_ROW.search(one)}
    if len(rows) < ROWS_MIN:
        return None
    kept = [one for at, one in enumerate(written) if at in rows or not any(map(str.isdigit, one))][:LINES_MAX]
    lines: list[_Line] = []
    for at, one in enumerate(kept):
        line = _SEPARATORS.sub("  ", one).strip()
        lines += [([Word(line, line, 1.0, 0, len(line), at, 1)], False)] if line else []
    named = _species(lines, records)
    return _sheet(lines, records, species or named, named, typed=by_hand)


_Line = tuple[list[Word], bool]
"""A line's words from left to right, and whether they stand in each other's way."""


# From places to lines.


def _lines(words: Sequence[Mapping[str, Any]]) -> list[_Line]:
    """The words by lines, from above: tilted and leaning sheets made level first."""
    if not words:
        return []
    quads = [[float(at) for at in word["quad"]] for word in words]
    slope = _slope(quads)
    middle = sum(sum(quad[::2]) / 4 for quad in quads) / len(quads)
    placed: list[Word] = []
    for word, quad in zip(words, quads, strict=True):
        x, y = sum(quad[::2]) / 4, sum(quad[1::2]) / 4
        placed.append(
            Word(
                text=str(word["text"]).strip(),
                again=str(word.get("again", word["text"])).strip(),
                score=float(word.get("score", 1.0)),
                x0=(quad[0] + quad[6]) / 2,
                x1=(quad[2] + quad[4]) / 2,
                y=y - (x - middle) * slope((x + middle) / 2, y),
                height=(abs(quad[7] - quad[1]) + abs(quad[5] - quad[3])) / 2,
            )
        )
    placed.sort(key=lambda word: word.y)
    usual = median(word.height for word in placed)
    lines: list[list[Word]] = [[placed[0]]]
    for above, below in pairwise(placed):
        if below.y - above.y > _ROW_GAP * usual:
            lines.append([])
        lines[-1].append(below)
    return [_ordered(line, usual) for line in lines]


def _ordered(line: list[Word], usual: float) -> _Line:
    line.sort(key=lambda word: word.x0)
    crowded = max(word.y for word in line) - min(word.y for word in line) > _ROW_SPREAD * usual
    for left, right in pairwise(line):
        shared = min(left.x1, right.x1) - right.x0
        crowded = crowded or shared > _OVERLAP * min(left.x1 - left.x0, right.x1 - right.x0)
    return line, crowded


def _slope(quads: list[list[float]]) -> Any:
    """How steeply lines run at a place: level and constant on a scan, changing from edge to edge in a photo.

    Fits slope = a + b x + c y to the upper and lower edges of the wider words by least squares.
    """
    rows: list[tuple[float, float, float, float]] = []
    for quad in quads:
        width = (quad[2] - quad[0] + quad[4] - quad[6]) / 2
        height = (quad[7] - quad[1] + quad[5] - quad[3]) / 2
        if width > _LONG * max(height, 1.0):
            rise = (quad[3] - quad[1] + quad[5] - quad[7]) / 2
            rows.append((sum(quad[::2]) / 4, sum(quad[1::2]) / 4, rise / width, width))
    if not rows:
        return lambda x, y: 0.0
    usual = median(row[2] for row in rows)
    rows = [row for row in rows if abs(row[2] - usual) < 0.06]
    weight = sum(row[3] for row in rows)
    x0, y0 = (sum(row[at] * row[3] for row in rows) / weight for at in (0, 1))
    mean = sum(row[2] * row[3] for row in rows) / weight
    xx = yy = xy = xs = ys = 0.0
    for x, y, rise, wide in rows:
        dx, dy, ds = x - x0, y - y0, rise - mean
        xx, yy, xy = xx + wide * dx * dx, yy + wide * dy * dy, xy + wide * dx * dy
        xs, ys = xs + wide * dx * ds, ys + wide * dy * ds
    away = xx * yy - xy * xy
    if len(rows) < 8 or away <= 1e-6 * xx * yy:
        return lambda x, y: mean
    b, c = (xs * yy - ys * xy) / away, (ys * xx - xs * xy) / away
    return lambda x, y: mean + b * (x - x0) + c * (y - y0)


# From a line to its parts.


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a line: name | number | range | unit | flag | mangled | date. `clear`: both readings agree on it."""

    kind: str
    text: str
    clear: bool
    score: float
    figure: str = ""
    low: str = ""
    high: str = ""
    sign: str = ""


def _plain(text: str) -> str:
    """The text without what two readings of the same print may differ in: spaces, and which sign for micro or minus."""
    return "".join(text.translate(_SAME).split()).lower()


def _pieces(line: list[Word]) -> list[_Piece]:
    found: list[_Piece] = []
    for word in line:
        text, agrees = word.text.translate(_SAME), word.agrees
        for match in _TOKEN.finditer(text):
            kind = _kind(match)
            piece = _Piece(kind, match[0].strip(), agrees, word.score)
            if kind == "number":
                piece = replace(piece, figure=match["figure"] or match["limit"], sign=match["sign"] or "")
            elif kind == "range":
                piece = replace(piece, low=match["low"], high=match["high"])
            elif kind == "word":
                piece = _worded(piece, word)
            found.append(piece)
    return found


def _kind(match: re.Match[str]) -> str:
    kinds = ("date", "power", "range", "bound", "number", "mangled", "word")
    kind = next(kind for kind in kinds if match[kind])
    return {"bound": "number", "power": "word"}.get(kind, kind)


def _worded(piece: _Piece, word: Word) -> _Piece:
    """A word as the unit or flag that it is."""
    if (unit := _unit(piece.text)) is not None:
        clear = piece.clear or _unit_alike(word)
        return replace(piece, kind="unit", figure=unit, clear=clear)
    flag = _FLAGS.get(piece.text.lower())
    return piece if flag is None else replace(piece, kind="flag", figure=flag)


@lru_cache(maxsize=1)
def _unit_forms() -> tuple[dict[str, str], dict[str, str]]:
    """Units by how they are written, and by how they look; what looks like two units is none."""
    exact = {_plain(unit): unit for unit in reversed(_UNITS)}
    exact |= {_plain(unit).replace("^", "").replace("*", ""): unit for unit in _UNITS if "10^" in unit}
    alike: dict[str, str] = {}
    twice: set[str] = set()
    for text, unit in exact.items():
        look = text.translate(_LOOKALIKE)
        if len(look) > 2 or look == "ul":
            twice |= {look} if alike.get(look, unit).lower() != unit.lower() and unit != "/uL" else set()
            alike[look] = unit if unit != "/uL" else alike.get(look, "U/L")
    return exact, {look: unit for look, unit in alike.items() if look not in twice}


@lru_cache(maxsize=2048)
def _unit(text: str) -> str | None:
    """The unit that a word is, in one way of writing it."""
    exact, alike = _unit_forms()
    plain = _plain(text).strip("()[],;:")
    if plain in exact:
        return exact[plain]
    return alike.get(plain.translate(_LOOKALIKE)) if any(letter.isalpha() for letter in plain) else None


def _unit_alike(word: Word) -> bool:
    """Whether two readings differ only by letters that look alike, outside of figures."""
    first, again = _plain(word.text), _plain(word.again)
    digits = [re.findall(r"[\d.,]+", one) for one in (first, again)]
    return digits[0] == digits[1] and first.translate(_LOOKALIKE) == again.translate(_LOOKALIKE)


# From parts to a row.


def _sheet(
    lines: list[_Line], records: Records, species: str | None, named: str | None, *, typed: bool = False
) -> LabSheet | None:
    comma = _comma(lines)
    found: list[tuple[Row, list[_Piece]]] = []
    urine = False
    for line, crowded in lines:
        made = _row(line, records, species, comma, crowded=crowded, urine=urine, typed=typed)
        if made is None:
            urine = _is_urine(line, urine)
        elif not urine or made[0].analyte.startswith(("urine", "upc")):
            found.append(made)
    flags = any(piece.kind == "flag" and piece.figure in "HL*" for _, pieces in found for piece in pieces)
    rows = [_flagged(row, flags=flags and not typed) for row, _ in found]
    if not typed and any(_has_range(row) for row in rows):
        rows = [replace(row, why="range") if row.sure and not _has_range(row) else row for row in rows]
    if len({row.analyte for row in rows}) < ROWS_MIN:
        return None
    return LabSheet(tuple(_once(rows)), named)


def _has_range(row: Row) -> bool:
    return row.low is not None or row.high is not None


def _is_urine(line: list[Word], urine: bool) -> bool:
    """Whether the lines below a heading are of urine; a glucose among them is none of blood."""
    text = " ".join(word.text for word in line)
    return _URINE.search(text) is not None or (urine and _BLOOD.search(text) is None)


def _comma(lines: list[_Line]) -> str:
    """What a comma is on this sheet: `decimal`, `thousand`, or "" where that can't be told."""
    text = " ".join(word.text.translate(_SAME) for line, _ in lines for word in line)
    points = re.search(r"(?<![\d.,])\d+\.\d{1,2}(?![\d.,])", text) is not None
    commas = re.search(r"(?<![\d.,])\d+,\d{1,2}(?![\d.,])", text) is not None
    return "decimal" if commas and not points else "thousand" if points and not commas else ""


def _figure(text: str, comma: str) -> Decimal | None:
    """The number that a figure is; None where its comma may be two things."""
    if "," not in text:
        return Decimal(text)
    if comma == "decimal":
        return None if text.count(",") > 1 or "." in text else Decimal(text.replace(",", "."))
    return Decimal(text.replace(",", "")) if comma == "thousand" and re.search(r",\d{3}\b", text) else None


def _decimals(text: str, comma: str) -> int:
    point = "," if comma == "decimal" else "."
    return len(text.partition(point)[2])


def _row(
    line: list[Word], records: Records, species: str | None, comma: str, *, crowded: bool, urine: bool, typed: bool
) -> tuple[Row, list[_Piece]] | None:
    """The row of a line that begins with the name of an analyte and goes on with a figure."""
    pieces = _pieces(line)
    start = next((at for at, piece in enumerate(pieces) if piece.kind in ("number", "range", "mangled")), None)
    if not start:
        return None
    named = _named(pieces[:start], records, urine)
    if named is None:
        return None
    analyte, label, lead = named
    rest = [*lead, *pieces[start:]]
    printed = " ".join(piece.text for piece in pieces[start:] if piece.kind != "date")
    row = Row(analyte.name, label, printed)
    names = [piece for piece in pieces[:start] if piece.kind != "flag"]
    if crowded:
        return replace(row, why="crowded"), rest
    if not typed and not all(piece.clear for piece in names):
        return replace(row, why="two_readings"), rest
    values = [piece for piece in rest if piece.kind == "number"]
    ranges = [piece for piece in rest if piece.kind == "range"]
    if len(values) == 2 and not ranges and values[1].sign and not values[0].sign:
        ranges = [values.pop()]
    if any(piece.kind == "mangled" for piece in rest) or not values or len(ranges) > 1:
        return replace(row, why="no_number" if len(ranges) < 2 else "several_numbers"), rest
    later = rest.index(values[1]) if len(values) > 1 else None
    if later is not None and (not ranges or later < rest.index(ranges[0])):
        return replace(row, why="several_numbers"), rest
    if ranges and rest.index(values[0]) > rest.index(ranges[0]):
        return replace(row, why="several_numbers"), rest
    row, why = _filled(row, values[0], ranges[0] if ranges else None, comma)
    units = dict.fromkeys(piece.figure for piece in rest if piece.kind == "unit")
    flags = dict.fromkeys(piece.figure for piece in rest if piece.kind == "flag" and piece.figure != "N")
    row = replace(row, unit=next(iter(units)) if len(units) == 1 else None, flag="".join(flags))
    used = [piece for piece in rest if piece.kind == "unit"] + values[:1] + ranges
    if not typed:
        why = why or ("" if all(piece.clear for piece in used) else "two_readings")
        why = why or ("faint" if any(piece.score < SCORE_MIN for piece in (*values[:1], *ranges)) else "")
    before = rest[: rest.index(ranges[0])] if ranges else rest
    if not typed and any(piece.kind == "word" and any(map(str.isdigit, piece.text)) for piece in before):
        why = why or "range"
    why = why or _doubt(row, analyte, records, species, values[0], ranges, comma, typed=typed)
    return replace(row, why=why), rest


def _filled(row: Row, value: _Piece, printed: _Piece | None, comma: str) -> tuple[Row, str]:
    """The row with its figures."""
    figure = _figure(value.figure, comma)
    if figure is None:
        return row, "comma"
    row = replace(row, value=figure, comparator=value.sign)
    if printed is None:
        return row, ""
    low, high = (None if not end else _figure(end, comma) for end in _ends(printed))
    if (low, high).count(None) != _ends(printed).count(""):
        return row, "comma"
    if low is not None and high is not None and low >= high:
        return row, "range"
    return replace(row, low=low, high=high), ""


def _ends(printed: _Piece) -> tuple[str, str]:
    """Lower and upper end of a range as printed, "" for none: `< 14` has an upper one only."""
    if printed.kind == "range":
        return printed.low, printed.high
    return ("", printed.figure) if printed.sign.startswith("<") else (printed.figure, "")


def _named(pieces: list[_Piece], records: Records, urine: bool) -> tuple[Analyte, str, list[_Piece]] | None:
    """The analyte that the first words name, those words, and a flag that stands before them."""
    for skip in range(2):
        if skip and not (len(pieces) > 1 and pieces[0].kind == "flag"):
            return None
        words = [piece.text for piece in pieces[skip:] if piece.kind in ("word", "unit", "flag")]
        for drop in (0, 1):  # a flag or a unit may stand between the name and the figure
            kept = words[: len(words) - drop]
            if not kept or (drop and pieces[-1].kind not in ("flag", "unit")):
                continue
            analyte = _analyte(" ".join(kept), records, urine)
            if analyte is not None:
                behind = pieces[len(pieces) - drop :] if drop else []
                return analyte, " ".join(kept), [*pieces[:skip], *behind]
    return None


@lru_cache(maxsize=8)
def _looks(names: frozenset[str]) -> dict[str, str]:
    """Names by how they look; without those that look like two."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for name in names:
        look = name.replace(" ", "").translate(_LOOKALIKE)
        twice |= {look} if look in found else set()
        found[look] = name
    return {look: name for look, name in found.items() if look not in twice}


def _analyte(label: str, records: Records, urine: bool = False) -> Analyte | None:
    """The analyte of a printed name, with or without what stands in brackets behind it; never of a percentage."""
    if "%" in label and fold(label.replace("%", "")) not in ("hct", "pcv", "hematocrit", "haematocrit"):
        return None
    label = label.strip(" :=.*").replace("%", "").strip()
    tries = [label, re.sub(r"\s*[(\[].*?[)\]]", "", label), *re.findall(r"[(\[](.*?)[)\]]", label)]
    found = [analyte_of(Measured(one, Decimal(1), specimen="urine" if urine else ""), records) for one in tries if one]
    known = {one.name: one for one in found if one is not None}
    if len(known) > 1:
        return None
    if known:
        return next(iter(known.values()))
    look = fold(label).replace(" ", "").translate(_LOOKALIKE)
    name = _looks(frozenset(records.analytes_by_name)).get(look) if len(look) > 1 else None
    return None if name is None else records.analytes_by_name[name]


# What could show that a row was misread.


def _doubt(
    row: Row,
    analyte: Analyte,
    records: Records,
    species: str | None,
    value: _Piece,
    ranges: list[_Piece],
    comma: str,
    *,
    typed: bool,
) -> str:
    """Why a row can't be trusted, or ""."""
    unit = row.unit or (analyte.unit if analyte.unit in ("ratio", "pH") and ranges else None)
    if unit is None:
        return "no_unit"
    assert row.value is not None
    own = in_own_unit(analyte, row.value, unit, row.label)
    if own is None:
        return "not_its_unit"
    interval = next((one for one in analyte.intervals if one.species == species), None)
    others = analyte.intervals if interval is None else (interval,)
    if not typed:
        printed = [end for piece in ranges for end in _ends(piece) if end] or _recorded(analyte, others, unit)
        wanted = {_decimals(end, comma) for end in printed}
        if wanted and not min(wanted) <= _decimals(value.figure, comma) <= max(wanted):
            return "decimals"
        if ranges and max(wanted) != min(wanted) and _decimals(value.figure, comma) != max(wanted):
            return "decimals"
    if _has_range(row):
        ends = (row.low, row.high)
        limits = [None if end is None else in_own_unit(analyte, end, unit, row.label) for end in ends]
        if others and not any(_is_near(analyte, limits, one) for one in others):
            return "range"
    elif not typed and others and not any(_is_usual(analyte, own, one) for one in others):
        return "implausible"
    if others and not any(can_be(analyte, own, one) for one in others):
        return "implausible"
    if analyte.name == "blood ph" and not _PH_LEAST < own < _PH_MOST:
        return "implausible"
    return ""


def _recorded(analyte: Analyte, intervals: Sequence[Interval], unit: str) -> list[str]:
    """The limits on record as printed, where they are in this unit."""
    size = in_own_unit(analyte, Decimal(1), unit)
    same = [one for one in intervals if in_own_unit(analyte, Decimal(1), one.unit) == size]
    return [str(end) for one in same[:1] for end in (one.low, one.high)]


def _is_near(analyte: Analyte, limits: Sequence[Decimal | None], interval: Interval) -> bool:
    """Whether a printed range is like one on record; a point lost or a unit mistaken makes it ten times another."""
    times = _RANGE_TIMES_ENZYME if analyte.unit == "U/L" else _RANGE_TIMES
    known = bounds(analyte, interval)[:2]
    for printed, recorded in zip(limits, known, strict=True):
        if printed is None or printed <= 0 or recorded <= 0:
            continue
        if not recorded / times <= printed <= recorded * times:
            return False
    return True


def _is_usual(analyte: Analyte, own: Decimal, interval: Interval) -> bool:
    """Whether a value that has no range of its own is near enough to what is on record to show a lost point."""
    low, high = bounds(analyte, interval)[:2]
    return low / _TIMES_BARE <= own <= high * _TIMES_BARE


def _flagged(row: Row, *, flags: bool) -> Row:
    """The row, unsure where its flag says something else than its range."""
    if not row.sure or row.value is None or not _has_range(row):
        return row
    below = row.low is not None and row.value < row.low and not row.comparator.startswith(">")
    above = row.high is not None and row.value > row.high and not row.comparator.startswith("<")
    if row.comparator.startswith("<") and row.low is not None and row.value > row.low and row.flag in ("", "L", "*"):
        return row  # anything below it may be low or normal
    outside = below or above
    wrong = {"H": not above, "L": not below, "*": not outside, "": False}.get(row.flag, True)
    if wrong:
        return replace(row, why="flag")
    return replace(row, why="flag_missing") if outside and flags and not row.flag else row


def _once(rows: list[Row]) -> list[Row]:
    """The rows, unsure where one analyte stands there with two values."""
    told: dict[str, set[tuple[Decimal | None, str | None]]] = {}
    for row in rows:
        told.setdefault(row.analyte, set()).add((row.value, row.unit))
    kept: list[Row] = []
    for row in rows:
        if len(told[row.analyte]) > 1 and row.sure:
            row = replace(row, why="twice")
        if not any(row.analyte == one.analyte and row.value == one.value and one.sure for one in kept):
            kept.append(row)
    return kept


def _species(lines: list[_Line], records: Records) -> str | None:
    """The one kind of animal that a sheet names, by its label or by a clinic's word for it."""
    found: set[str] = set()
    for line, _ in lines:
        text = " ".join(word.text for word in line)
        for match in (*_SPECIES_LABEL.finditer(text), *_SPECIES_WORD.finditer(text)):
            words = match[1].split()
            known = records.species_named(" ".join(words)) or records.species_named(words[0])
            found |= {known.name} if known is not None else set()
    return found.pop() if len(found) == 1 else None
