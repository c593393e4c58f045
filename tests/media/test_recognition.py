"""Words in pictures, really read: only of what looks written, in a process of its own, and never at others' cost."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from PIL import Image, ImageFilter

from app.base.messages import Picture, PictureUrl
from app.media import Pictures, Recognition, recognition
from tests.evaluation.sheets.drawing import Cell, Sheet, clean, photographed, sheets

SHEET = Sheet(
    id="short",
    layout="abaxis_like",
    species="dog",
    head=("Sample Type: Dog",),
    cells=(
        Cell("ALB", "3.9", "g/dL", "2.5", "4.4", "", "albumin"),
        Cell("ALT", "251", "U/L", "10", "118", "H", "alt"),
        Cell("K+", "4.5", "mmol/L", "3.7", "5.8", "", "potassium"),
    ),
    photo="tilt:3 blur:0.7 noise:0.04",
)


@pytest.fixture
async def reader() -> AsyncIterator[Recognition]:
    one = Recognition()
    yield one
    await one.close()


@pytest.fixture
async def pictures() -> AsyncIterator[Pictures]:
    checker = Pictures()
    yield checker
    await checker.close()


async def checked(pictures: Pictures, *images: Image.Image) -> list[Picture]:
    urls = []
    for image in images:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=80)
        urls.append(PictureUrl(f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}", "messages"))
    return [picture for file in await pictures.check(urls) for picture in file]


def fur(seed: int = 7) -> Image.Image:
    grain = Image.effect_noise((900, 700), 90).convert("L")
    return Image.merge("RGB", [grain.filter(ImageFilter.GaussianBlur(1 + place)) for place in range(3)])


@pytest.mark.parametrize("sheet", sheets()[::6], ids=lambda sheet: sheet.id)
async def test_sheets_look_written_clean_and_photographed(sheet: Sheet, pictures: Pictures) -> None:
    found = await checked(pictures, clean(sheet), photographed(sheet))

    assert [picture.written for picture in found] == [True, True]


async def test_a_wound_is_not_read_and_starts_no_process(pictures: Pictures, reader: Recognition) -> None:
    wound = Image.radial_gradient("L").resize((1200, 900)).convert("RGB")
    found = await checked(pictures, fur(), wound, Image.new("RGB", (640, 480), (180, 40, 40)))

    assert [picture.written for picture in found] == [False] * 3
    assert await reader.read(found) == ([], {})
    assert list(reader.pids()) == []


async def test_words_are_read_twice_with_their_places_and_of_one_picture_once(
    pictures: Pictures, reader: Recognition, monkeypatch: pytest.MonkeyPatch
) -> None:
    (picture,) = await checked(pictures, photographed(SHEET))
    monkeypatch.setattr(recognition, "IDLE_S_MAX", 0.05)

    found, unread = await reader.read([picture])
    for _ in range(250):
        if not reader.pids():
            break
        await asyncio.sleep(0.02)
    again, _ = await reader.read([replace(picture, facts={**picture.facts, "index": 3})])

    assert unread == {}
    words = {word["text"].replace(" ", ""): word for word in found[0].words}
    assert {"ALB", "3.9", "2.5-4.4", "G/DL", "ALT", "10-118", "K+", "4.5"} <= words.keys()
    assert all(len(word["quad"]) == 8 and 0.5 <= word["score"] <= 1 for word in words.values())
    assert words["3.9"]["again"] == "3.9"
    assert words["ALB"]["quad"][1] < words["ALT"]["quad"][1] < words["K+"]["quad"][1]
    assert (again[0].picture, again[0].words) == (3, found[0].words)
    assert reader.pids() == []  # it ended when nobody asked, and what was read before needed no other


async def test_a_process_that_dies_costs_one_note_and_the_next_one_reads(
    pictures: Pictures, reader: Recognition
) -> None:
    (picture,) = await checked(pictures, clean(SHEET))

    _, unread = await reader.read([replace(picture, data=b"no picture", fine=b"")])
    found, none = await reader.read([picture])

    assert unread == {0: recognition.NOT_NOW}
    assert none == {}
    assert len(found[0].words) >= 12


async def test_a_photo_taken_sideways_or_upside_down_is_read_upright(pictures: Pictures, reader: Recognition) -> None:
    page = clean(SHEET)

    found, _ = await reader.read(await checked(pictures, page.rotate(90, expand=True), page.rotate(180)))

    for read in found:
        heights = {word["text"]: word["quad"][1] for word in read.words}
        assert heights["ALB"] < heights["ALT"] < heights["K+"]


async def test_more_sheets_than_a_request_takes_are_said_not_read(
    pictures: Pictures, reader: Recognition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recognition, "PAGES_MAX", 0)

    found, unread = await reader.read(await checked(pictures, clean(SHEET)))

    assert (found, unread) == ([], {0: recognition.TOO_MANY})
