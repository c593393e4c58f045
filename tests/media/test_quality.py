"""What is said of how good a picture is, and what it is taken for."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from random import Random

import pytest
import pytest_asyncio
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from app.media import Pictures, described
from app.media.quality import measured
from tests.media.files import file_of, noise, pdf, url_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pictures() -> AsyncIterator[Pictures]:
    checker = Pictures()
    yield checker
    await checker.close()


def scene(width: int = 1_200, height: int = 900) -> Image.Image:
    """Coloured patches with edges and a little grain, as a photo of a coat has."""
    chance = Random(3)
    image = Image.new("RGB", (width, height), (120, 100, 80))
    draw = ImageDraw.Draw(image)
    for _ in range(900):
        x, y, size = chance.randrange(width), chance.randrange(height), chance.randint(4, 60)
        colour = tuple(chance.randrange(40, 220) for _ in range(3))
        draw.ellipse((x, y, x + size, y + size * chance.random() + 1), fill=colour)
    return Image.blend(image, noise(width, height), 0.04)


def sheet(width: int = 2_400, height: int = 1_700) -> Image.Image:
    """Dark rows on warm paper."""
    image = Image.new("RGB", (width, height), (236, 230, 218))
    draw = ImageDraw.Draw(image)
    for row in range(60, height - 60, 50):
        for column in range(80, width - 200, 300):
            draw.text((column, row), "CREA 2.9", fill=(30, 30, 40), font_size=30)
    return image


def scan() -> Image.Image:
    """Grey on black, dark all around."""
    image = Image.new("L", (900, 900))
    ImageDraw.Draw(image).ellipse((200, 150, 700, 800), fill=120)
    ImageDraw.Draw(image).rectangle((420, 150, 480, 800), fill=220)
    return image.filter(ImageFilter.GaussianBlur(6))


@pytest.mark.parametrize(
    ("image", "quality"),
    [
        (scene(), "good"),
        (scene().filter(ImageFilter.GaussianBlur(10)), "blurred"),
        (ImageEnhance.Brightness(scene()).enhance(0.2), "dark"),
        (ImageEnhance.Brightness(scene()).enhance(3), "overexposed"),
        (Image.new("RGB", (900, 900), (140, 120, 100)), "flat"),
        (scene().resize((300, 225)), "low_resolution"),
        (sheet(), "good"),
    ],
    ids=["sharp", "blurred", "dark", "burnt out", "a wall", "small", "paper"],
)
async def test_a_picture_that_cant_carry_a_judgement_says_why_and_how_to_take_it_again(
    pictures: Pictures, image: Image.Image, quality: str
) -> None:
    ((picture,),) = await pictures.check([url_of(file_of(image, "JPEG", quality=90))])

    assert picture.facts["quality"] == quality, picture.facts["measures"]
    assert (picture.facts["retake"] is None) == (quality == "good")
    assert picture.facts["retake"] is None or picture.facts["retake"] in picture.facts["notes"]
    assert f"quality {quality.replace('_', ' ')}" in described([picture])


async def test_sharpness_falls_with_every_blur() -> None:
    blurs = [measured(scene().filter(ImageFilter.GaussianBlur(radius))).blur for radius in (0, 1, 2, 4, 8)]

    assert blurs == sorted(blurs)
    assert blurs[0] < 0.4 < 0.6 < blurs[-1]


@pytest.mark.parametrize(
    ("image", "kind"),
    [(scan(), "radiograph_like"), (scene(), "photo"), (scene().convert("L"), "photo"), (sheet().convert("L"), "photo")],
    ids=["grey and dark around", "colour", "grey photo", "grey paper"],
)
async def test_only_what_is_grey_and_dark_around_is_taken_for_a_radiograph(
    pictures: Pictures, image: Image.Image, kind: str
) -> None:
    ((picture,),) = await pictures.check([url_of(file_of(image, "PNG"), "image/png")])

    assert picture.facts["kind"] == kind


async def test_paper_is_kept_finer_for_reading_and_a_wound_is_not(pictures: Pictures) -> None:
    (paper,), (wound,), (page,) = await pictures.check(
        [
            url_of(file_of(sheet(), "JPEG", quality=90)),
            url_of(file_of(scene(3_000, 2_000), "JPEG", quality=90)),
            url_of(pdf(words="Creatinine 2.9 mg/dL"), "application/pdf"),
        ]
    )

    assert max(Image.open(_file(paper.fine)).size) > 1_568
    assert max(Image.open(_file(page.fine)).size) == 2_200
    assert Image.open(_file(paper.fine)).mode == "L"
    assert wound.fine == b""
    assert page.words.strip() == "Creatinine 2.9 mg/dL"
    assert (page.facts["page"], page.facts["pages"], page.facts["quality"]) == (1, 1, "good")
    assert "Creatinine" not in repr(page.facts) + described([page])


def _file(data: bytes) -> io.BytesIO:
    return io.BytesIO(data)
