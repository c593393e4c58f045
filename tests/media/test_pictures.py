"""Pictures: what is taken, what is refused and why, and that nothing but pixels goes on."""

from __future__ import annotations

import base64
import io
import os
import signal
import struct
import zlib
from collections.abc import AsyncIterator

import pytest
from PIL import Image

from app.base.errors import Invalid
from app.base.messages import Picture, PictureUrl
from app.media import Pictures, tokens_of
from app.media.uploads import read_data_url
from tests.media.files import HEIC, PARAM, file_of, url_of


@pytest.fixture
async def pictures() -> AsyncIterator[Pictures]:
    checker = Pictures()
    yield checker
    await checker.close()


def opened(picture: Picture) -> Image.Image:
    return Image.open(io.BytesIO(picture.data))


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"IDAT" + zlib.compress(bytes(100))
    chunks = [(13, body), (len(data) - 4, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", length) + chunk + struct.pack(">I", zlib.crc32(chunk)) for length, chunk in chunks
    )


RED = Image.new("RGB", (640, 480), (200, 30, 30))


@pytest.mark.parametrize(
    ("kind", "declared", "format_name"),
    [("JPEG", "image/jpeg", "jpeg"), ("JPEG", "image/jpg", "jpeg"), ("PNG", "image/png", "png"),
     ("WEBP", "image/webp", "webp"), ("GIF", "image/gif", "gif"), ("TIFF", "image/tiff", "tiff"),
     ("BMP", "image/bmp", "bmp"), ("AVIF", "image/avif", "avif"), ("PNG", "application/octet-stream", "png")],
)  # fmt: skip
async def test_each_format_comes_back_as_our_own_jpeg(
    pictures: Pictures, kind: str, declared: str, format_name: str
) -> None:
    ((picture,),) = await pictures.check([url_of(file_of(RED, kind), declared)])

    assert (picture.media_type, opened(picture).format) == ("image/jpeg", "JPEG")
    assert (picture.width, picture.height) == (640, 480)
    assert picture.tokens == picture.facts["tokens"] == tokens_of(640, 480) == 410
    assert (picture.facts["format"], picture.facts["declared"]) == (format_name, declared)
    red, green, _ = opened(picture).convert("RGB").getpixel((320, 240))  # type: ignore[misc]
    assert red > 150
    assert green < 80


async def test_a_large_picture_is_shrunk_to_1568_px_with_its_aspect(pictures: Pictures) -> None:
    ((picture,),) = await pictures.check([url_of(file_of(Image.new("RGB", (4000, 3000)), "JPEG"))])

    assert (picture.width, picture.height) == (1568, 1176)
    assert any("4000 x 3000" in note for note in picture.facts["notes"])


async def test_a_sideways_photo_is_turned_upright_and_loses_its_place_and_camera(pictures: Pictures) -> None:
    image = Image.new("RGB", (600, 400), "white")
    image.paste((0, 0, 255), (0, 0, 600, 100))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "CameraMakerName"
    exif.get_ifd(0x8825)[1] = "N"

    ((picture,),) = await pictures.check([url_of(file_of(image, "JPEG", exif=exif, comment=b"owner's address"))])

    assert (picture.width, picture.height) == (400, 600)
    red, green, blue = opened(picture).convert("RGB").getpixel((390, 300))  # type: ignore[misc]
    assert (red < 60, green < 60, blue > 180) == (True, True, True), "the top edge is now on the right"
    assert not opened(picture).getexif()
    assert b"CameraMakerName" not in picture.data
    assert b"owner's address" not in picture.data


async def test_a_heic_photo_comes_upright_without_its_camera_and_place(pictures: Pictures) -> None:
    assert b"CameraMakerName" in HEIC

    ((picture,),) = await pictures.check([url_of(HEIC, "image/heic")])

    assert (picture.facts["format"], picture.width, picture.height) == ("heic", 64, 96)
    red, green, blue = opened(picture).convert("RGB").getpixel((58, 48))  # type: ignore[misc]
    assert (red < 90, green < 90, blue > 150) == (True, True, True), "the top edge is now on the right"
    assert b"CameraMakerName" not in picture.data
    assert not opened(picture).getexif()


@pytest.mark.parametrize(("kind", "declared"), [("JPEG", "image/png"), ("PNG", "image/jpeg"), ("WEBP", "image/heic")])
async def test_a_picture_declared_as_another_is_read_as_what_it_is_and_says_so(
    pictures: Pictures, kind: str, declared: str
) -> None:
    ((picture,),) = await pictures.check([url_of(file_of(RED, kind), declared)])

    assert (picture.facts["declared"], picture.facts["format"]) == (declared, kind.lower())
    assert any(declared in note and kind in note for note in picture.facts["notes"])


@pytest.mark.parametrize(
    ("image", "kind", "options"),
    [
        (RED.convert("CMYK"), "JPEG", {"quality": 95}),
        (RED, "JPEG", {"quality": 95, "progressive": True}),
        (RED, "JPEG", {"quality": 95, "subsampling": 0, "optimize": True}),
        (RED.quantize(8), "PNG", {}),
        (RED.quantize(8), "PNG", {"transparency": 7}),
        (RED.convert("CMYK"), "TIFF", {"compression": "tiff_lzw"}),
        (RED, "TIFF", {"compression": "jpeg"}),
        (RED, "WEBP", {"lossless": True}),
    ],
    ids=["CMYK", "progressive", "4:4:4", "palette", "palette with a hole", "CMYK TIFF", "JPEG in TIFF", "lossless"],
)
async def test_red_stays_red(pictures: Pictures, image: Image.Image, kind: str, options: dict[str, object]) -> None:
    data = file_of(image, kind, **options)

    ((picture,),) = await pictures.check([url_of(data, f"image/{kind.lower()}")])

    found = opened(picture).convert("RGB").getpixel((320, 240))
    assert max(abs(a - b) for a, b in zip(found, (200, 30, 30), strict=True)) <= 12  # type: ignore[arg-type]


async def test_12_bits_in_16_are_not_black(pictures: Pictures) -> None:
    ramp = Image.new("I;16", (256, 64))
    ramp.putdata([column * 16 for _ in range(64) for column in range(256)])

    ((picture,),) = await pictures.check([url_of(file_of(ramp, "PNG"), "image/png")])

    grey = opened(picture).convert("L")
    assert [abs(int(grey.getpixel((at, 32))) - at) <= 3 for at in (20, 128, 240)] == [True] * 3  # type: ignore[arg-type]
    assert any("12 bits" in note for note in picture.facts["notes"])


async def test_16_bit_grey_is_scaled_not_clipped(pictures: Pictures) -> None:
    ramp = Image.new("I;16", (256, 64))
    ramp.putdata([column * 257 for _ in range(64) for column in range(256)])

    ((picture,),) = await pictures.check([url_of(file_of(ramp, "PNG"), "image/png")])

    grey = opened(picture).convert("L")
    assert abs(int(grey.getpixel((128, 32))) - 128) <= 3  # type: ignore[arg-type]


async def test_transparency_becomes_white(pictures: Pictures) -> None:
    ((picture,),) = await pictures.check([url_of(file_of(Image.new("RGBA", (100, 100)), "PNG"), "image/png")])

    assert min(opened(picture).convert("RGB").getpixel((50, 50))) > 250  # type: ignore[type-var,arg-type]


async def test_an_animation_gives_its_first_frame_and_says_so(pictures: Pictures) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("green", "red", "blue")]
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])

    ((picture,),) = await pictures.check([url_of(data, "image/gif")])

    assert (picture.facts["frame"], picture.facts["frames"]) == (1, 3)
    assert any("Frame 1 of 3" in note for note in picture.facts["notes"])


async def test_the_frame_that_is_asked_for_is_taken(pictures: Pictures) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("green", "red", "blue")]
    data = file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])

    ((picture,),) = await pictures.check([url_of(data, "image/gif;frame=3")])

    red, _, blue = opened(picture).convert("RGB").getpixel((32, 32))  # type: ignore[misc]
    assert (red < 60, blue > 200) == (True, True)
    with pytest.raises(Invalid, match="frame 4 is not one of them"):
        await pictures.check([url_of(data, "image/gif;frame=4")])


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://example.org/dog.jpg", "image_url_not_allowed"),
        ("http://127.0.0.1/", "image_url_not_allowed"),
        ("", "image_url_not_allowed"),
        ("data:image/svg+xml;base64,PHN2Zz4=", "unsupported_image_format"),
        ("data:text/html;base64,PGI+", "unsupported_image_format"),
        ("data:image/jpeg,abc", "invalid_image"),
        ("data:image/jpeg;base64", "invalid_image"),
        ("data:image/jpeg;base64,", "invalid_image"),
        ("data:image/jpeg;base64,%%%%", "invalid_image"),
        ("data:image/jpeg;base64,é", "invalid_image"),
        ("data:image/jpeg;base64,AAAA", "unsupported_image_format"),
        ("data:image/jpeg;base64,/9j/4AA", "invalid_image"),
        ("data:application/pdf;base64," + base64.b64encode(file_of(RED, "JPEG")).decode(), "invalid_image"),
        ("data:application/dicom;base64," + base64.b64encode(file_of(RED, "JPEG")).decode(), "invalid_image"),
        ("data:image/png;base64," + base64.b64encode(b"%PDF-1.4 ").decode(), "invalid_image"),
        ("data:image/jpeg;base64," + "A" * 28_000_000, "image_too_large"),
    ],
)
def test_a_url_that_is_no_picture_is_refused_naming_the_part(url: str, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_data_url(url, PARAM)

    assert (refused.value.code, refused.value.param) == (code, PARAM)


@pytest.mark.parametrize(
    ("data", "declared", "code"),
    [
        (file_of(Image.effect_noise((500, 500), 90).convert("RGB"), "JPEG")[:9_000], "image/jpeg", "invalid_image"),
        (file_of(RED, "PNG")[:-40], "image/png", "invalid_image"),
        (png_header(30_000, 30_000), "image/png", "image_too_large"),
        (png_header(2**31 - 1, 2**31 - 1), "image/png", "image_too_large"),
        (png_header(0, 10), "image/png", "invalid_image"),
        (file_of(Image.new("RGB", (5, 900)), "PNG"), "image/png", "image_too_small"),
        (b"\xff\xd8\xff" + bytes(500), "image/jpeg", "invalid_image"),
        (b"GIF89a" + bytes(40), "image/gif", "invalid_image"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(40), "image/webp", "invalid_image"),
    ],
)
async def test_a_broken_or_oversized_file_is_refused_with_its_code(
    pictures: Pictures, data: bytes, declared: str, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await pictures.check([url_of(data, declared)])

    assert (refused.value.code, refused.value.param) == (code, PARAM)


async def test_the_next_picture_is_served_after_a_refused_one(pictures: Pictures) -> None:
    with pytest.raises(Invalid):
        await pictures.check([url_of(png_header(30_000, 30_000), "image/png")])

    ((picture,),) = await pictures.check([url_of(file_of(RED, "PNG"), "image/png")])

    assert picture.width == 640


async def test_more_than_20_pictures_are_refused_naming_the_first_too_many(pictures: Pictures) -> None:
    urls = [PictureUrl("data:image/png;base64,", f"messages[0].content[{n}].image_url.url") for n in range(21)]

    with pytest.raises(Invalid) as refused:
        await pictures.check(urls)

    assert refused.value.param == "messages[0].content[20].image_url.url"


async def test_a_worker_killed_while_idle_is_replaced(pictures: Pictures) -> None:
    await pictures.check([url_of(file_of(RED, "PNG"), "image/png")])
    (pid,) = pictures.processes.pids()
    os.kill(pid, signal.SIGKILL)

    ((picture,),) = await pictures.check([url_of(file_of(RED, "PNG"), "image/png")])

    assert picture.width == 640


def test_tokens_are_the_area_over_750_rounded_up_and_bounded() -> None:
    assert tokens_of(1, 1) == 1
    assert tokens_of(1568, 1176) == 2_459
    assert tokens_of(1568, 1568) == 3_279
