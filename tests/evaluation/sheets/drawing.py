"""Draws laboratory sheets of made-up animals, clean and as somebody would photograph them, from `sheets.toml`.

The layouts are our own; each only has the order and the manners of what a brand's analyser or portal prints. There is
no owner, clinic or day on any sheet. The only font is the one inside Pillow, so a bare machine draws the same sheets.
`python tests/evaluation/sheets/drawing.py FOLDER` writes them all.
"""

from __future__ import annotations

import io
import random
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

TRUTH = Path(__file__).with_name("sheets.toml")
INK = (25, 25, 30)
FAINT = (150, 150, 158)
RAISED = {"²": "2", "³": "3", "⁶": "6", "⁹": "9", "¹": "1"}
MISSING = {**RAISED, "µ": "u", "–": "-"}
"""Letters that the font lacks: drawn of others."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One line of results, as printed, and the analyte's name on record ("" where there is none)."""

    label: str
    value: str
    unit: str
    low: str
    high: str
    flag: str
    analyte: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One sheet. `noise` are further lines; `before` are results of another day, printed in a column of their own."""

    id: str
    layout: str
    species: str
    head: tuple[str, ...]
    cells: tuple[Cell, ...]
    photo: str
    noise: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def sheets() -> list[Sheet]:
    """Every sheet of the truth, in its order."""
    found = tomllib.loads(TRUTH.read_text(encoding="utf-8"))
    return [
        Sheet(
            id=row["id"],
            layout=row["layout"],
            species=row["species"],
            head=tuple(row.get("head", ())),
            cells=tuple(_cell(line) for line in row["cells"]),
            photo=row["photo"],
            noise=tuple(row.get("noise", ())),
            before=tuple(row.get("before", ())),
            options=row.get("options", {}),
        )
        for row in found["sheet"]
    ]


def _cell(line: str) -> Cell:
    parts = [part.strip() for part in line.split("|")]
    low, _, high = parts[3].partition("..")
    return Cell(parts[0], parts[1], parts[2], low.strip(), high.strip(), parts[4], parts[5])


class Pen:
    """Writes words of one size, with the letters that the font lacks."""

    def __init__(self, draw: ImageDraw.ImageDraw, size: int, *, fixed: bool = False, bold: bool = False) -> None:
        self.draw = draw
        self.size = size
        self.fixed = fixed
        self.bold = bold
        self.font = ImageFont.load_default(size)
        self.small = ImageFont.load_default(max(8, round(size * 0.62)))

    def width(self, text: str) -> float:
        """How wide it is [px]."""
        return sum(self._step(letter) for letter in text)

    def _step(self, letter: str) -> float:
        if self.fixed:
            return self.size * 0.62
        return (self.small if letter in RAISED else self.font).getlength(MISSING.get(letter, letter))

    def write(self, x: float, y: float, text: str, fill: tuple[int, int, int] = INK) -> None:
        """Words with their left upper corner there."""
        stroke = 1 if self.bold else 0
        if not self.fixed and not set(text) & set(MISSING):
            self.draw.text((x, y), text, font=self.font, fill=fill, stroke_width=stroke)
            return
        for letter in text:
            step = self._step(letter)
            if letter in RAISED:
                self.draw.text((x, y), RAISED[letter], font=self.small, fill=fill, stroke_width=stroke)
            elif letter == "–":
                middle = y + self.size * 0.62
                self.draw.line((x + 1, middle, x + step + 1, middle), fill=fill, width=max(1, self.size // 13))
                x += 2
            else:
                said = MISSING.get(letter, letter)
                shift = (step - self.font.getlength(said)) / 2 if self.fixed else 0
                self.draw.text((x + shift, y), said, font=self.font, fill=fill, stroke_width=stroke)
                if letter == "µ":
                    stem = x + shift + max(1, self.size * 0.08)
                    ends = (stem, y + self.size * 0.5, stem, y + self.size * 1.16)
                    self.draw.line(ends, fill=fill, width=max(1, self.size // 12))
            x += step

    def write_right(self, x: float, y: float, text: str, fill: tuple[int, int, int] = INK) -> None:
        """Words that end there."""
        self.write(x - self.width(text), y, text, fill)


def _page(
    width: int, height: int, ground: tuple[int, int, int] = (255, 255, 255)
) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), ground)
    return image, ImageDraw.Draw(image)


def _range(cell: Cell, sign: str = " - ") -> str:
    if cell.low and cell.high:
        return f"{cell.low}{sign}{cell.high}"
    return f"< {cell.high}" if cell.high else f"> {cell.low}" if cell.low else ""


def portal(sheet: Sheet) -> Image.Image:
    """IDEXX-like: test, result with its unit, range, word for the flag, a bar; perhaps a column of an earlier day."""
    row = 44
    image, draw = _page(1240, 330 + row * (len(sheet.cells) + len(sheet.noise)))
    pen, head, title = Pen(draw, 23), Pen(draw, 19), Pen(draw, 34, bold=True)
    title.write(60, 40, "Chemistry and haematology")
    for place, line in enumerate(sheet.head):
        head.write(60 + 560 * (place % 2), 110 + 30 * (place // 2), line)
    y = 235
    draw.rectangle((50, y - 8, 1190, y + 30), fill=(226, 232, 240))
    head.write(60, y - 2, "Test")
    head.write(380, y - 2, "Results")
    head.write(600, y - 2, "Reference Interval")
    if sheet.before:
        head.write(1040, y - 2, "12 weeks ago")
    y += row
    for place, cell in enumerate(sheet.cells):
        pen.write(60, y, cell.label)
        word = {"H": "HIGH", "L": "LOW"}.get(cell.flag, "")
        bold = Pen(draw, 23, bold=bool(word))
        bold.write(380, y, f"{cell.value} {cell.unit}")
        pen.write(600, y, _range(cell, sheet.options.get("sign", " - ")))
        if word:
            head.write(860, y + 2, word, (170, 30, 30))
        if sheet.before:
            pen.write(1040, y, sheet.before[place], FAINT)
        else:
            draw.rectangle((960, y + 8, 1180, y + 18), outline=FAINT)
            spot = {"H": 1150, "L": 975}.get(cell.flag, 1060)
            draw.rectangle((spot, y + 5, spot + 8, y + 21), fill=INK)
        draw.line((50, y + 34, 1190, y + 34), fill=(225, 225, 225))
        y += row
    for line in sheet.noise:
        head.write(60, y, line)
        y += row
    return image


def analyser(sheet: Sheet) -> Image.Image:
    """Heska-like: a table with its own columns for unit, range and flag, ruled."""
    row = 40
    image, draw = _page(1120, 300 + row * (len(sheet.cells) + len(sheet.noise)))
    pen, head = Pen(draw, 22), Pen(draw, 20, bold=True)
    head.write(50, 36, "ANALYSER REPORT")
    small = Pen(draw, 19)
    for place, line in enumerate(sheet.head):
        small.write(50 + 500 * (place % 2), 84 + 28 * (place // 2), line)
    columns = (50, 330, 470, 640, 900)
    y = 200
    for x, word in zip(columns, ("Parameter", "Result", "Unit", "Ref. Range", "Flag"), strict=True):
        head.write(x, y, word)
    y += row
    for cell in sheet.cells:
        pen.write(columns[0], y, cell.label)
        pen.write_right(columns[1] + 80, y, cell.value)
        pen.write(columns[2], y, cell.unit)
        pen.write(columns[3], y, _range(cell, sheet.options.get("sign", " - ")))
        pen.write(columns[4], y, cell.flag)
        draw.line((40, y + 31, 1080, y + 31), fill=(205, 205, 205))
        y += row
    for line in sheet.noise:
        small.write(50, y, line)
        y += row
    return image


def strip(sheet: Sheet) -> Image.Image:
    """Abaxis-like: a thermal strip, letters of one width, value, asterisk, range, unit in capitals."""
    row = 34
    image, draw = _page(760, 250 + row * (len(sheet.cells) + len(sheet.head) + len(sheet.noise)), (250, 250, 246))
    pen = Pen(draw, 23, fixed=True)
    y = 40
    for line in sheet.head:
        pen.write(40, y, line)
        y += row
    draw.line((40, y + 8, 720, y + 8), fill=INK)
    y += row
    for cell in sheet.cells:
        mark = "*" if cell.flag else ""
        pen.write(40, y, cell.label)
        pen.write_right(270, y, cell.value)
        pen.write(274, y, mark)
        pen.write(310, y, _range(cell, "-"))
        pen.write(540, y, cell.unit.upper())
        y += row
    for line in sheet.noise:
        pen.write(40, y, line)
        y += row
    return image


def screen(sheet: Sheet) -> Image.Image:
    """Zoetis-like: a tablet's screen, shaded lines, flag in front, range in brackets behind the unit."""
    row = 50
    image, draw = _page(1180, 290 + row * (len(sheet.cells) + len(sheet.noise)), (244, 246, 248))
    draw.rectangle((0, 0, 1180, 90), fill=(20, 62, 92))
    Pen(draw, 34).write(40, 24, "Results", (255, 255, 255))
    pen, small = Pen(draw, 25), Pen(draw, 20)
    for place, line in enumerate(sheet.head):
        small.write(40 + 560 * (place % 2), 112 + 32 * (place // 2), line)
    y = 240
    for place, cell in enumerate(sheet.cells):
        if place % 2:
            draw.rectangle((0, y - 9, 1180, y + row - 10), fill=(230, 235, 240))
        colour = {"H": (190, 40, 30), "L": (30, 70, 190)}.get(cell.flag, INK)
        pen.write(110, y, cell.label)
        if cell.flag:
            Pen(draw, 25, bold=True).write(48, y, cell.flag, colour)
        pen.write_right(600, y, cell.value, colour)
        pen.write(630, y, cell.unit)
        bounds = _range(cell, sheet.options.get("sign", " - "))
        pen.write(840, y, f"[{bounds}]" if bounds else "")
        y += row
    for line in sheet.noise:
        small.write(110, y, line)
        y += row
    return image


LAYOUTS: dict[str, Callable[[Sheet], Image.Image]] = {
    "idexx_like": portal, "heska_like": analyser, "abaxis_like": strip, "zoetis_like": screen
}  # fmt: skip


def clean(sheet: Sheet) -> Image.Image:
    """The sheet as it leaves the printer."""
    return LAYOUTS[sheet.layout](sheet)


def photographed(sheet: Sheet) -> Image.Image:
    """The sheet as a phone sees it; what is wrong with the photo is in `sheet.photo`, as `tilt:4 blur:1.2`."""
    chance = random.Random(sheet.id)
    wrong = {name: float(much) for name, _, much in (part.partition(":") for part in sheet.photo.split())}
    image = clean(sheet)
    image = image.resize((round(image.width * wrong.get("scale", 1.3)), round(image.height * wrong.get("scale", 1.3))))
    table = (112, 92, 74)
    edge = round(image.width * 0.07)
    framed = Image.new("RGB", (image.width + 2 * edge, image.height + 2 * edge), table)
    framed.paste(image, (edge, edge))
    image = framed
    if "keystone" in wrong:
        image = _keystone(image, wrong["keystone"], table)
    if "tilt" in wrong:
        image = image.rotate(wrong["tilt"], Image.Resampling.BICUBIC, expand=True, fillcolor=table)
    if "shade" in wrong:
        ramp = Image.linear_gradient("L").resize(image.size).point(lambda level: round(255 - wrong["shade"] * level))
        image = Image.composite(image, Image.new("RGB", image.size, (20, 18, 16)), ramp)
    if "blur" in wrong:
        image = image.filter(ImageFilter.GaussianBlur(wrong["blur"]))
    if "dim" in wrong:
        image = ImageEnhance.Contrast(ImageEnhance.Brightness(image).enhance(wrong["dim"])).enhance(0.8)
    if "noise" in wrong:
        grain = Image.frombytes("L", image.size, chance.randbytes(image.width * image.height))
        grain = grain.filter(ImageFilter.GaussianBlur(0.6)).convert("RGB")
        image = Image.blend(image, grain, wrong["noise"])
    return image


def _keystone(image: Image.Image, much: float, ground: tuple[int, int, int]) -> Image.Image:
    """Seen from below: the upper edge is shorter by that share, and the sheet leans to one side."""
    width, height = image.size
    into = [(much * width, 0.03 * height), (width * (1 - much * 0.6), 0), (width, height), (0, height * 0.98)]
    from_ = [(0, 0), (width, 0), (width, height), (0, height)]
    return image.transform(
        image.size, Image.Transform.PERSPECTIVE, _solved(into, from_), Image.Resampling.BICUBIC, fillcolor=ground
    )


def _solved(seen: list[tuple[float, float]], flat: list[tuple[float, float]]) -> list[float]:
    """The eight figures that carry four points to four others, by elimination."""
    rows = []
    for (x, y), (u, v) in zip(seen, flat, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y, u])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y, v])
    for place in range(8):
        best = max(range(place, 8), key=lambda row: abs(rows[row][place]))
        rows[place], rows[best] = rows[best], rows[place]
        rows[place] = [value / rows[place][place] for value in rows[place]]
        for other in range(8):
            if other != place:
                times = rows[other][place]
                rows[other] = [value - times * own for value, own in zip(rows[other], rows[place], strict=True)]
    return [row[8] for row in rows]


def drawn() -> Iterator[tuple[str, Sheet, bytes]]:
    """Every sheet twice: (`clean` or `photographed`, its truth, the file as it would be sent)."""
    for sheet in sheets():
        out = io.BytesIO()
        clean(sheet).save(out, "PNG")
        yield "clean", sheet, out.getvalue()
        out = io.BytesIO()
        photographed(sheet).save(out, "JPEG", quality=72)
        yield "photographed", sheet, out.getvalue()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for how, one, file in drawn():
        (folder / f"{one.id}-{how}.{'png' if how == 'clean' else 'jpg'}").write_bytes(file)
