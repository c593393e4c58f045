"""How good a picture is to look at, measured on its own pixels, and whether it is grey like a radiograph."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image, ImageChops, ImageFilter, ImageStat

WORK_PX = 768
"""Everything is measured at about this size: it tells what a reader sees, not how many pixels a camera has."""
BLUR_MAX = 0.6
LOW_RESOLUTION_PX = 400
DARK_MEAN, DARK_TOP = 50, 115
BRIGHT_MEAN, CLIPPED_SHARE, PAPER_COLOUR = 200, 0.35, 12
FLAT_SPREAD, FLAT_RANGE = 12, 60
INK = 100
COLOUR_MEAN_GREY, COLOUR_MEAN_PRINT = 1.5, 25
SURROUND_SHARE = 0.15
SURROUND_PX, FLAT_LEAST, FLAT_PARTS, INK_LEAST, INK_PARTS = 6, 4, 32, 10, 8
"""How far a pixel lies from its surroundings [levels]: flat below a 32nd of what is white there, ink above an 8th."""
FLAT_SHARE_WRITTEN, INK_SHARE_LEAST, INK_SHARE_MOST = 0.55, 0.01, 0.25
"""Sheets that were drawn and photographed, badly too: 0.64 to 0.88 flat, 0.01 to 0.08 ink; fur, boards: 0.2 to 0.3."""


@dataclass(frozen=True, slots=True)
class Measures:
    """What was measured.

    Attributes:
        blur: 0 (sharp) to 1 (none of its detail outlasts a second blur). Source: Crete et al. 2007, "The blur effect:
            perception and estimation with a new no-reference perceptual blur metric", as scikit-image has it.
        mean, low, top, spread: of the luminance [0..255]: mean, 0.5th and 95th percentile, standard deviation.
        dark_share, clipped_share: of the pixels that are nearly black, nearly white.
        border_dark_share: of the pixels of the outermost rows and columns that are nearly black.
        colour: mean distance of a pixel from grey [0..255].
        flat_share, ink_share: of the pixels that are as their surroundings, that stand out from them.
    """

    blur: float
    mean: float
    low: int
    top: int
    spread: float
    dark_share: float
    clipped_share: float
    border_dark_share: float
    colour: float
    flat_share: float
    ink_share: float

    @property
    def looks_written(self) -> bool:
        """Even ground of little colour with a little that stands out sharply, as print does: worth reading."""
        even = self.flat_share >= FLAT_SHARE_WRITTEN and self.colour < COLOUR_MEAN_PRINT
        return even and INK_SHARE_LEAST <= self.ink_share <= INK_SHARE_MOST

    @property
    def looks_radiographic(self) -> bool:
        """Without any colour, and dark around."""
        dark_around = self.dark_share >= SURROUND_SHARE and self.border_dark_share >= SURROUND_SHARE
        return self.colour < COLOUR_MEAN_GREY and dark_around and self.mean < 150 and self.spread >= FLAT_SPREAD


def measured(picture: Image.Image) -> Measures:
    """The measures of an 8-bit grey or RGB picture."""
    factor = round(max(picture.size) / WORK_PX)
    small = picture.reduce(factor) if factor > 1 else picture
    grey = small.convert("L")
    counts = grey.histogram()
    total = sum(counts)
    stat = ImageStat.Stat(grey)
    top = _level(counts, 0.95)
    away = ImageChops.difference(grey, grey.filter(ImageFilter.BoxBlur(SURROUND_PX))).histogram()
    return Measures(
        blur=round(_blur(grey), 2),
        mean=round(stat.mean[0]),
        low=_level(counts, 0.005),
        top=top,
        spread=round(stat.stddev[0]),
        dark_share=round(sum(counts[:25]) / total, 2),
        clipped_share=round(sum(counts[251:]) / total, 2),
        border_dark_share=round(_border_dark_share(grey), 2),
        colour=round(_colour(small.reduce(2)), 1),
        flat_share=round(sum(away[: max(FLAT_LEAST, top // FLAT_PARTS)]) / total, 2),
        ink_share=round(sum(away[max(INK_LEAST, top // INK_PARTS) :]) / total, 3),
    )


def _level(counts: list[int], share: float) -> int:
    """The level that this share of the pixels doesn't pass."""
    passed = 0
    for level, count in enumerate(counts):
        passed += count
        if passed >= share * sum(counts):
            return level
    return 255


def _blur(grey: Image.Image) -> float:
    """How much of the detail a second blur leaves as it was, along rows or columns, whichever is worse."""
    worst = 0.0
    for radius, across, down in (((5, 0), 1, 0), ((0, 5), 0, 1)):
        # Every second line tells as much as all of them.
        some = grey.resize((grey.width >> down, grey.height >> across), Image.Resampling.NEAREST)
        width, height = some.size
        again = some.filter(ImageFilter.BoxBlur(radius))
        here, there = (across, down, width, height), (0, 0, width - across, height - down)
        detail = ImageChops.difference(some.crop(here), some.crop(there))
        left = ImageChops.difference(again.crop(here), again.crop(there))
        whole = ImageStat.Stat(detail).sum[0]
        lost = ImageStat.Stat(ImageChops.subtract(detail, left)).sum[0]
        worst = max(worst, (whole - lost) / whole if whole else 1.0)
    return worst


def _border_dark_share(grey: Image.Image) -> float:
    width, height = grey.size
    edges = [(0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height), (width - 1, 0, width, height)]
    counts = [grey.crop(edge).histogram() for edge in edges]
    return sum(sum(one[:25]) for one in counts) / sum(map(sum, counts))


def _colour(small: Image.Image) -> float:
    if small.mode == "L":
        return 0.0
    _, blue, red = small.convert("YCbCr").split()
    middle = 128
    away = [
        sum(count * abs(level - middle) for level, count in enumerate(one.histogram())) / (one.width * one.height)
        for one in (blue, red)
    ]
    return sum(away)


def judged(measures: Measures, kind: str, source_px: int) -> tuple[str, str | None]:
    """The one word on how good a picture is, and how to take a better one.

    Args:
        kind: of `vetx.images[]`; darkness and softness are judged of photos only, others are made so.
        source_px: the longer side of the file's own pixels.

    Returns:
        good | low_resolution | dark | overexposed | flat | blurred, and a sentence or None.
    """
    if source_px < LOW_RESOLUTION_PX:
        return "low_resolution", "Few pixels: small details can't be judged. Send the original file, or move closer."
    if kind != "photo":
        return "good", None
    if measures.mean < DARK_MEAN and measures.top < DARK_TOP:
        return "dark", "Too dark to judge colours and edges. Take it again in daylight or with more light, no flash."
    if measures.spread < FLAT_SPREAD and measures.top - measures.low < FLAT_RANGE:
        return "flat", "Hardly any contrast: nothing can be told apart. Take it again in even daylight, lens wiped."
    burnt = measures.mean > BRIGHT_MEAN and measures.clipped_share > CLIPPED_SHARE
    if burnt and (measures.colour > PAPER_COLOUR or measures.low > INK):  # paper is grey, with dark words
        return "overexposed", "Much of it is burnt out to white. Take it again without flash, out of direct sun."
    if measures.blur > BLUR_MAX:
        return "blurred", "Blurred: edges and texture can't be judged. Hold still, tap to focus, 20-30 cm away."
    return "good", None
