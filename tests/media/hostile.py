"""Files made to hurt: bombs, cuts, polyglots, floods, broken chunks. Each with the code it has to be refused with.

`codes` lists what is right: usually one code; "" says that it is a picture all the same and only pixels of it go on.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pydicom
from PIL import Image

from tests.media.files import HEIC, dicom, file_of, noise, pdf, pdf_of, png, png_chunk, png_head

INVALID, LARGE, SMALL, UNKNOWN, TAKEN = (
    "invalid_image",
    "image_too_large",
    "image_too_small",
    "unsupported_image_format",
    "",
)
SECRET = b"OWNERSECRET"
"""Stands in what has to be left behind."""


@dataclass(frozen=True, slots=True)
class Hostile:
    """One file."""

    name: str
    declared: str
    data: bytes
    codes: tuple[str, ...]


@cache
def whole() -> dict[str, tuple[str, bytes]]:
    """A sound file of each format."""
    frames = [noise(), noise().rotate(90).resize((48, 40)), noise().rotate(180)]
    return {
        "jpeg": ("image/jpeg", file_of(noise(), "JPEG", quality=90)),
        "png": ("image/png", file_of(noise(), "PNG")),
        "gif": ("image/gif", file_of(frames[0], "GIF", save_all=True, append_images=frames[1:])),
        "webp": ("image/webp", file_of(noise(), "WEBP", quality=90)),
        "tiff": ("image/tiff", file_of(noise(), "TIFF", compression="tiff_lzw")),
        "bmp": ("image/bmp", file_of(noise(), "BMP")),
        "avif": ("image/avif", file_of(noise(), "AVIF", quality=80)),
        "heic": ("image/heic", HEIC),
        "dicom": ("application/dicom", dicom(np.asarray(noise(mode="L")))),
        "pdf": ("application/pdf", pdf(words="Creatinine 1.2 mg/dL")),
    }


def _zeros(megabytes: int) -> bytes:
    """So many deflated; the first, again and again: to deflate 1.5 GB takes ten seconds."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    return first * megabytes + packer.flush()


def _zlib_zeros(megabytes: int) -> bytes:
    """The same with zlib's head and sum (Adler-32 of n zeros: n and 1)."""
    return b"\x78\xda" + _zeros(megabytes) + struct.pack(">HH", megabytes * 1_000_000 % 65_521, 1)


def corpus() -> Iterator[Hostile]:
    """All of them."""
    yield from _cuts()
    yield from _behind_the_end()
    yield from _sizes()
    yield from _png()
    yield from _jpeg()
    yield from _gif_and_webp()
    yield from _tiff_and_bmp()
    yield from _boxes()
    yield from _dicom()
    yield from _pdf()
    yield from _no_pictures()


def _cuts() -> Iterator[Hostile]:
    """Cut short at many places. A TIFF's directory stands at its end; a GIF whole up to a frame is one of fewer."""
    for name, (declared, data) in whole().items():
        for percent in (3, 10, 25, 40, 55, 70, 85, 95, 99):
            part = data[: max(12, len(data) * percent // 100)]
            if name in ("dicom", "pdf") and percent > 90:
                continue  # padding and a trailer that readers do without
            codes: tuple[str, ...] = (INVALID,)
            if name == "gif" and percent > 30:
                codes = (INVALID, TAKEN)
            elif name == "dicom":
                codes = (INVALID, UNKNOWN)
            elif name == "pdf":
                codes = (INVALID, TAKEN)
            yield Hostile(f"{name} cut at {percent} %", declared, part, codes)


def _behind_the_end() -> Iterator[Hostile]:
    behind = {
        "zip": b"PK\x03\x04\x14\0\0\0\0\0" + SECRET + b"PK\x05\x06" + bytes(18),
        "pdf": b"%PDF-1.4\n" + SECRET,
        "page": b"<html><script>alert(1)</script>" + SECRET,
        "php": b"<?php system($_GET[0]); ?>" + SECRET,
        "elf": b"\x7fELF\x02\x01\x01" + SECRET,
        "exe": b"MZ\x90\0" + SECRET,
        "words": b"Name of the owner: " + SECRET,
        "rar": b"Rar!\x1a\x07\x01\0" + SECRET,
        "junk": bytes(range(1, 250)) * 40,
    }
    for name in ("jpeg", "png", "gif", "webp", "bmp", "heic", "avif"):
        declared, data = whole()[name]
        for kind, more in behind.items():
            yield Hostile(f"{name} with {kind} behind", declared, data + more, (INVALID,))
        yield Hostile(f"{name} with padding behind", declared, data + bytes(64), (TAKEN,))
    declared, data = whole()["jpeg"]
    yield Hostile("jpeg with its gain map", declared, data + data, (TAKEN,))
    yield Hostile("jpeg with a gain map and a zip", declared, data + data + behind["zip"], (INVALID,))
    yield Hostile("jpeg with a motion photo", declared, data + b"\0\0\0\x18ftypmp42" + bytes(40), (TAKEN,))
    yield Hostile("jpeg with ten more", declared, data * 11, (INVALID,))
    yield Hostile("exe that is DICOM", "application/dicom", b"MZ\x90\0" + whole()["dicom"][1][4:], (INVALID,))
    yield Hostile("jpeg that is DICOM", "application/dicom", b"\xff\xd8\xff\xe0" + whole()["dicom"][1][4:], (INVALID,))
    yield Hostile("pdf that is DICOM", "application/dicom", b"%PDF-1.4" + whole()["dicom"][1][8:], (INVALID,))


def _sizes() -> Iterator[Hostile]:
    """Headers that promise more than anybody may unpack, or nothing."""
    body = png_chunk(b"IDAT", zlib.compress(bytes(1000))) + png_chunk(b"IEND", b"")
    for width, height in ((30_000, 30_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (24_000_001, 1), (5_000, 5_000)):
        yield Hostile(f"png of {width} x {height}", "image/png", png(png_head(width, height), body), (LARGE,))
    for width, height in ((0, 0), (0, 100), (100, 0)):
        yield Hostile(f"png of {width} x {height}", "image/png", png(png_head(width, height), body), (INVALID,))
    jpeg = whole()["jpeg"][1]
    place = jpeg.index(b"\xff\xc0") + 5
    for width, height, code in (
        (65_500, 65_500, LARGE),
        (65_535, 1_000, LARGE),
        (8_000, 8_000, LARGE),
        (0, 40, INVALID),
    ):
        made = jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]
        yield Hostile(f"jpeg of {width} x {height}", "image/jpeg", made, (code,))
    gif = whole()["gif"][1]
    yield Hostile("gif of 65535 x 65535", "image/gif", gif[:6] + b"\xff\xff\xff\xff" + gif[10:], (LARGE,))
    bmp = whole()["bmp"][1]
    yield Hostile(
        "bmp of 60000 x 60000", "image/bmp", bmp[:18] + struct.pack("<ii", 60_000, 60_000) + bmp[26:], (LARGE,)
    )
    yield Hostile("bmp of -60000", "image/bmp", bmp[:18] + struct.pack("<ii", 60_000, -60_000) + bmp[26:], (LARGE,))
    yield Hostile("bmp of 0 x 0", "image/bmp", bmp[:18] + struct.pack("<ii", 0, 0) + bmp[26:], (INVALID, SMALL))
    tiff = file_of(Image.new("L", (48, 40)), "TIFF")
    for tag in (256, 257):
        made = _tiff_set(_tiff_set(tiff, 256, 60_000), 257, 60_000)
        yield Hostile(f"tiff of 60000 x 60000, {tag}", "image/tiff", made, (LARGE,))
    for name in ("heic", "avif"):
        declared, data = whole()[name]
        place = data.index(b"ispe") + 8
        made = data[:place] + struct.pack(">II", 60_000, 60_000) + data[place + 8 :]
        yield Hostile(f"{name} of 60000 x 60000", declared, made, (LARGE, INVALID))
    for width, height in ((1, 1), (15, 500), (500, 15)):
        for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"):
            data = file_of(Image.new("RGB", (width, height)), kind)
            yield Hostile(f"{kind} of {width} x {height}", f"image/{kind.lower()}", data, (SMALL,))


def _tiff_set(data: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF with one entry of its first directory changed."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    for number in range(count):
        entry = at + 2 + 12 * number
        if struct.unpack_from("<H", data, entry)[0] == tag:
            return data[: entry + 2] + struct.pack("<HII", 4, 1, value) + data[entry + 12 :]
    raise LookupError(tag)


def _png() -> Iterator[Hostile]:
    def one(name: str, data: bytes, *codes: str) -> Hostile:
        return Hostile(f"png: {name}", "image/png", data, codes or (INVALID,))

    pixels = png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(48 * 3) for _ in range(40))))
    head, end = png_head(48, 40), png_chunk(b"IEND", b"")
    yield one("whole", png(head, pixels, end), TAKEN)
    yield one("no end", png(head, pixels))
    yield one("no pixels", png(head, end))
    yield one("no header", png(pixels, end))
    yield one("header twice", png(head, head, pixels, end))
    yield one("header last", png(pixels, head, end))
    yield one("nothing", png())
    yield one("pixels apart", png(head, pixels, png_chunk(b"tEXt", b"a\0b"), pixels, end))
    for chunk in (b"IHDR", b"IDAT", b"IEND"):
        data = png(head, pixels, end)
        at = data.index(chunk)
        length = struct.unpack_from(">I", data, at - 4)[0]
        place = at + 4 + length
        yield one(f"checksum of {chunk.decode()}", data[:place] + b"\xde\xad\xbe\xef" + data[place + 4 :])
        yield one(f"length of {chunk.decode()}", data[: at - 4] + b"\xff\xff\xff\xf0" + data[at:])
    yield one("a critical chunk nobody knows", png(head, png_chunk(b"EVIL", SECRET), pixels, end))
    yield one("a chunk without a name", png(head, png_chunk(b"\0\1\2\3", b""), pixels, end))
    yield one("an Apple chunk", png(png_chunk(b"CgBI", bytes(4)), head, pixels, end))
    for depth, colour in ((3, 2), (16, 3), (1, 2), (8, 1), (8, 7), (0, 0), (32, 0)):
        yield one(f"depth {depth} of colour {colour}", png(png_head(48, 40, depth, colour), pixels, end))
    yield one("an unknown order of lines", png(png_head(48, 40, interlace=9), pixels, end), INVALID, TAKEN)
    yield one("a palette without colours", png(png_head(48, 40, 8, 3), pixels, end), INVALID, TAKEN)
    yield one("pixels that are no zlib", png(head, png_chunk(b"IDAT", b"\x78\x9c" + bytes(range(200))), end))
    yield one("too few pixels", png(head, png_chunk(b"IDAT", zlib.compress(bytes(500))), end))
    bomb = _zlib_zeros(200)
    yield one("pixels that unpack to 200 MB", png(head, png_chunk(b"IDAT", bomb), end), TAKEN, INVALID)
    yield one("text that unpacks to 200 MB", png(head, png_chunk(b"zTXt", b"k\0\0" + bomb), pixels, end), TAKEN)
    yield one("a profile that unpacks to 200 MB", png(head, png_chunk(b"iCCP", b"k\0\0" + bomb), pixels, end), TAKEN)
    named = [png_chunk(b"tEXt", b"Comment\0" + SECRET), png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + SECRET)]
    yield one(
        "words",
        png(
            head,
            *named,
            pixels,
            end,
        ),
        TAKEN,
    )
    yield one(
        "100,000 chunks",
        png(head, *[png_chunk(b"tEXt", b"a\0b"), png_chunk(b"tIME", bytes(7))] * 50_000, pixels, end),
        LARGE,
    )
    flood = png_chunk(b"acTL", struct.pack(">II", 1_000_000, 0))
    yield one("a million frames", png(head, flood, pixels, end), LARGE)
    exif = png_chunk(b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\xff\xff\0\0\x08\0\0\0")
    yield one("an orientation nobody knows", png(head, exif, pixels, end), TAKEN)
    yield one("two orientations", png(head, exif, exif, pixels, end))


def _jpeg() -> Iterator[Hostile]:
    def one(name: str, data: bytes, *codes: str) -> Hostile:
        return Hostile(f"jpeg: {name}", "image/jpeg", data, codes or (INVALID,))

    data = whole()["jpeg"][1]
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content

    def without(marker: int) -> bytes:
        at = data.index(bytes([0xFF, marker]))
        return data[:at] + data[at + 2 + struct.unpack_from(">H", data, at + 2)[0] :]

    def with_first(more: bytes) -> bytes:
        return data[:2] + more + data[2:]

    yield one("only its ends", b"\xff\xd8\xff\xd9")
    yield one("only a comment", b"\xff\xd8" + segment(0xFE, SECRET) + b"\xff\xd9")
    yield one("no frame", without(0xC0))
    yield one("no tables of Huffman", data[:2] + data[frame : frame + 19] + data[scan:], INVALID, TAKEN)
    yield one("a segment of length 0", with_first(b"\xff\xe1\0\0"))
    yield one("a segment of length 1", with_first(b"\xff\xe1\0\1"))
    yield one("a segment beyond the end", with_first(b"\xff\xe1\xff\xff")[:3_000])
    yield one("a marker missing", data[:scan] + b"\0\0" + data[scan:])
    yield one("no components", data[: frame + 9] + b"\0" + data[frame + 10 :])
    yield one("255 components", data[: frame + 9] + b"\xff" + data[frame + 10 :])
    yield one("12 bits", data[: frame + 4] + b"\x0c" + data[frame + 5 :])
    yield one("0 bits", data[: frame + 4] + b"\0" + data[frame + 5 :])
    yield one("sampling of 0", data[: frame + 11] + b"\0" + data[frame + 12 :])
    yield one("sampling of 15", data[: frame + 11] + b"\xff" + data[frame + 12 :])
    yield one("a table that isn't there", data[: frame + 12] + b"\x0f" + data[frame + 13 :])
    yield one("arithmetic coding that is none", data[:frame] + b"\xff\xc9" + data[frame + 2 :], INVALID, TAKEN)
    yield one("lossless that is none", data[:frame] + b"\xff\xc3" + data[frame + 2 :])
    scans = data[scan:-2]
    yield one("10,000 scans", data[:-2] + scans[:200] * 10_000 + b"\xff\xd9")
    progressive = file_of(Image.new("L", (4_000, 4_000)), "JPEG", progressive=True)
    place = progressive.index(b"\xff\xc2") + 5
    made = progressive[:place] + struct.pack(">HH", 7_000, 7_000) + progressive[place + 4 :]
    yield one("progressive and not all there", made, INVALID, TAKEN)
    loop = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0"
    yield one("Exif that goes round", with_first(segment(0xE1, loop)), TAKEN)
    wide = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 5_000) + b"\x12\x01\x0c\0\xff\xff\xff\xff\0\0\0\0" * 5_000
    yield one("Exif of 5,000 entries", with_first(segment(0xE1, wide)), TAKEN)
    yield one("Exif of nothing", with_first(segment(0xE1, b"Exif\0\0")), TAKEN)
    yield one("Exif of noise", with_first(segment(0xE1, b"Exif\0\0" + bytes(range(256)) * 9)), TAKEN)
    thumbnail = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + data[:900] + SECRET
    yield one("a thumbnail in its Exif", with_first(segment(0xE1, thumbnail)), TAKEN)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + SECRET + b"</x:xmpmeta>"
    yield one("XMP", with_first(segment(0xE1, xmp)), TAKEN)
    yield one("a profile", with_first(segment(0xE2, b"ICC_PROFILE\0\x01\x01" + SECRET * 9)), TAKEN)
    yield one("a profile in 255 parts", with_first(segment(0xE2, b"ICC_PROFILE\0\x01\xff" + SECRET)), TAKEN)
    yield one("a comment", with_first(segment(0xFE, SECRET)), TAKEN)
    yield one("a script in a comment", with_first(segment(0xFE, b"*/=1;alert(1);/*" + SECRET)), TAKEN)
    yield one("Adobe that lies", with_first(segment(0xEE, b"Adobe\0\x64\0\0\0\0\x02")), TAKEN, INVALID)
    yield one("Photoshop's part", with_first(segment(0xED, b"Photoshop 3.0\0" + SECRET * 50)), TAKEN)
    yield one("MPF of nothing", with_first(segment(0xE2, b"MPF\0" + SECRET)), TAKEN, INVALID)


def _gif_and_webp() -> Iterator[Hostile]:
    def gif(name: str, data: bytes, *codes: str) -> Hostile:
        return Hostile(f"gif: {name}", "image/gif", data, codes or (INVALID,))

    head = b"GIF89a" + struct.pack("<HHBBB", 48, 40, 0x80, 0, 0) + bytes(6)
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 48, 40, 0) + b"\x02\x02\x4c\x01\0"
    one = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\0"
    yield gif("no frame", head + b"\x3b")
    yield gif("no end", head)
    yield gif("1,001 frames", head + one * 1_001 + b"\x3b", LARGE)
    yield gif("300,000 frames", head + one * 300_000 + b"\x3b", LARGE)
    yield gif("a block nobody knows", head + b"\x99" + frame + b"\x3b")
    yield gif("a comment without end", head + b"\x21\xfe" + (b"\xff" + bytes(255)) * 100)
    yield gif("a comment", head + b"\x21\xfe\x0b" + SECRET + b"\0" + whole()["gif"][1][13:], INVALID, TAKEN)
    yield gif("codes of 13 bits", head + frame.replace(b"\x02\x02\x4c", b"\x0d\x02\x4c") + b"\x3b", INVALID, TAKEN)
    outside = b"\x2c" + struct.pack("<HHHHB", 60_000, 60_000, 60_000, 60_000, 0) + b"\x02\x02\x4c\x01\0"
    yield gif("a frame far outside", head + outside + b"\x3b", INVALID, LARGE)
    yield gif("a frame of nothing", head + b"\x2c" + bytes(9) + b"\x02\x02\x4c\x01\0\x3b", INVALID, TAKEN, SMALL)

    def webp(name: str, chunks: bytes, *codes: str, more: int = 0) -> Hostile:
        data = b"RIFF" + struct.pack("<I", len(chunks) + 4 + more) + b"WEBP" + chunks
        return Hostile(f"webp: {name}", "image/webp", data, codes or (INVALID,))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    inside = whole()["webp"][1][12:]
    canvas = chunk(b"VP8X", b"\x02\0\0\0\x2f\0\0\x27\0\0")
    yield webp("nothing", b"")
    yield webp("noise", chunk(b"VP8 ", bytes(range(200))))
    yield webp("lossless noise", chunk(b"VP8L", b"\x2f" + bytes(range(200))))
    yield webp("a size beyond the file", inside, more=1_000)
    yield webp("a size within the picture", inside, more=-200)
    yield webp("a chunk beyond the file", b"VP8 \xff\xff\xff\x7f" + bytes(100))
    yield webp("a canvas without picture", canvas)
    yield webp("2,000 frames", canvas + chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", bytes(24)) * 2_000, LARGE)
    yield webp("a canvas of 16384", chunk(b"VP8X", b"\0\0\0\0\xff\x3f\0\xff\x3f\0") + inside, INVALID, LARGE)
    exif = chunk(b"VP8X", b"\x0c\0\0\0\x2f\0\0\x27\0\0") + inside + chunk(b"EXIF", SECRET) + chunk(b"XMP ", SECRET)
    yield webp("Exif and XMP", exif, TAKEN)


def _tiff_and_bmp() -> Iterator[Hostile]:
    def tiff(name: str, data: bytes, *codes: str) -> Hostile:
        return Hostile(f"tiff: {name}", "image/tiff", data, codes or (INVALID,))

    plain = file_of(noise(), "TIFF")
    (at,) = struct.unpack_from("<I", plain, 4)
    (count,) = struct.unpack_from("<H", plain, at)
    next_at = at + 2 + 12 * count
    yield tiff("only a header", b"II*\0\x08\0\0\0")
    yield tiff("a directory beyond the end", b"II*\0\xff\xff\xff\x7f" + bytes(60))
    yield tiff("a directory of nothing", b"II*\0\x08\0\0\0\0\0\0\0\0\0")
    yield tiff("65,535 entries", b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65_535))
    yield tiff("a directory that follows itself", plain[:next_at] + struct.pack("<I", at) + plain[next_at + 4 :], TAKEN)
    pages = b"II*\0" + struct.pack("<I", 8)
    entries = [(256, 48), (257, 40), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 40), (279, 64)]
    size = 2 + 12 * len(entries) + 4
    for number in range(1_200):
        pages += struct.pack("<H", len(entries))
        pages += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
        pages += struct.pack("<I", 8 + size * (number + 1) if number < 1_199 else 0)
    yield tiff("1,200 pages", pages, LARGE)
    for tag, value, codes in (
        (273, 2**31, (INVALID,)),
        (279, 2**32 - 1, (INVALID, LARGE, TAKEN)),
        (258, 64, (INVALID,)),
        (258, 0, (INVALID,)),
        (259, 9, (INVALID,)),
        (262, 99, (INVALID,)),
        (277, 65_535, (INVALID, LARGE)),
        (278, 2**32 - 1, (INVALID, TAKEN)),
    ):
        yield tiff(f"entry {tag} is {value}", _tiff_set(plain, tag, value), *codes)
    words = file_of(noise(mode="L"), "TIFF", software=SECRET.decode(), artist=SECRET.decode())
    yield tiff("an artist's name", words, TAKEN)
    numbers = np.full((40, 48), np.nan, dtype=np.float32)
    yield tiff("no numbers", file_of(Image.fromarray(numbers, "F"), "TIFF"))
    bomb = file_of(Image.new("L", (4_800, 4_800)), "TIFF", compression="tiff_adobe_deflate")
    yield tiff("a bomb of deflate", _tiff_set(_tiff_set(bomb, 256, 60_000), 257, 60_000), LARGE)

    def bmp(name: str, data: bytes, *codes: str) -> Hostile:
        return Hostile(f"bmp: {name}", "image/bmp", data, codes or (INVALID,))

    data = whole()["bmp"][1]
    yield bmp("only a mark", b"BM" + bytes(60), INVALID)
    yield bmp("a header of 2 GB", data[:14] + b"\xff\xff\xff\x7f" + data[18:])
    yield bmp("pixels beyond the end", data[:10] + b"\xff\xff\xff\x7f" + data[14:])
    yield bmp("0 bits", data[:28] + b"\0\0" + data[30:])
    yield bmp("33 bits", data[:28] + b"\x21\0" + data[30:])
    yield bmp("an unknown packing", data[:30] + b"\x63\0\0\0" + data[34:])
    yield bmp("runs that are none", data[:28] + b"\x08\0\x01\0\0\0" + data[34:], INVALID, TAKEN)
    yield bmp("a palette of 2 billion", data[:28] + b"\x08\0" + data[30:46] + b"\xff\xff\xff\x7f" + data[50:])


def _boxes() -> Iterator[Hostile]:
    for name in ("heic", "avif"):
        declared, data = whole()[name]
        meta = data.index(b"meta") - 4

        def one(what: str, made: bytes, *codes: str, name: str = name, declared: str = declared) -> Hostile:
            return Hostile(f"{name}: {what}", declared, made, codes or (INVALID,))

        yield one("only its kind", data[: struct.unpack_from(">I", data)[0]])
        yield one("a box of length 0", data[:meta] + bytes(4) + data[meta + 4 :])
        yield one("a box of length 7", data[:meta] + b"\0\0\0\x07" + data[meta + 4 :])
        yield one("a box of 4 GB", data[:meta] + b"\xff\xff\xff\xff" + data[meta + 4 :])
        yield one("a box of 2^63", data[:meta] + b"\0\0\0\x01meta" + b"\x7f" + b"\xff" * 7 + data[meta + 16 :])
        yield one("no meta", data[:meta] + data[meta:].replace(b"meta", b"free", 1))
        yield one("no places", data.replace(b"iloc", b"free", 1))
        yield one("no primary", data.replace(b"pitm", b"free", 1), INVALID, TAKEN)
        yield one("no configuration", data.replace(b"hvcC", b"free", 1).replace(b"av1C", b"free", 1))
        yield one("a free box behind", data + b"\0\0\0\x13free" + SECRET, TAKEN)
        yield one("10,000 boxes", data + b"\0\0\0\x08free" * 10_000)
        at = data.index(b"mdat") + 4
        yield one("pixels of noise", data[:at] + bytes(range(256)) * ((len(data) - at) // 256 + 1), INVALID)
        yield one("pixels of nothing", data[:at] + bytes(len(data) - at))
    yield Hostile("heic of another kind", "image/heic", HEIC.replace(b"ftypheic", b"ftypevil", 1), (INVALID,))


def _dicom() -> Iterator[Hostile]:
    def one(name: str, data: bytes, *codes: str) -> Hostile:
        return Hostile(f"dicom: {name}", "application/dicom", data, codes or (INVALID,))

    grey = np.asarray(noise(mode="L"))
    deep = grey.astype(np.uint16) * 16
    plain = dicom(grey)
    rle, baseline, j2k = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"
    yield one("rows beyond the pixels", dicom(grey, Rows=4_000))
    yield one("65535 x 65535", dicom(grey, Rows=65_535, Columns=65_535), LARGE)
    yield one("2 billion frames", dicom(grey, NumberOfFrames=2_000_000_000), LARGE)
    yield one("-1 frames", dicom(grey, NumberOfFrames=-1), TAKEN)
    yield one("frames beyond the pixels", dicom(grey, NumberOfFrames=50))
    yield one("0 samples", dicom(grey, SamplesPerPixel=0), UNKNOWN)
    yield one("200 samples", dicom(grey, SamplesPerPixel=200), UNKNOWN)
    yield one("3 samples of grey", dicom(grey, SamplesPerPixel=3), INVALID)
    yield one("63 bits", dicom(grey, BitsAllocated=63), UNKNOWN)
    yield one("bits stored beyond", dicom(grey, BitsStored=99))
    yield one("no bits", dicom(grey, BitsAllocated=None))
    yield one("a light nobody knows", dicom(grey, PhotometricInterpretation="EVIL"), INVALID, TAKEN)
    yield one("a palette without colours", dicom(grey, PhotometricInterpretation="PALETTE COLOR"))
    for syntax in (rle, baseline, j2k, "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.1.99"):
        yield one(f"raw pixels named {syntax[-6:]}", dicom(grey, syntax), INVALID, UNKNOWN)
    for syntax in ("1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.107", "9.9.9"):
        yield one(f"a film, {syntax[-6:]}", dicom(grey, syntax), UNKNOWN)
    head = plain[: plain.index(b"\xe0\x7f\x10\x00")]
    fragments = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
    item, end = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0\0\0\0\0"
    named = dicom(grey, baseline)
    head = named[: named.index(b"\xe0\x7f\x10\x00")]
    empty = item + struct.pack("<I", 0)
    wide = whole()["jpeg"][1]
    place = wide.index(b"\xff\xc0") + 5
    wide = wide[:place] + struct.pack(">HH", 65_500, 65_500) + wide[place + 4 :]

    def packed(*parts: bytes, close: bytes = end) -> bytes:
        return head + fragments + empty + b"".join(item + struct.pack("<I", len(p)) + p for p in parts) + close

    yield one("no fragments", head + fragments + empty + end)
    yield one("fragments without end", packed(b"\xff\xd8", close=b""))
    yield one("a fragment beyond the end", head + fragments + empty + item + b"\xff\xff\xff\x7f" + bytes(40))
    yield one("a JPEG of 65500 within", packed(wide + b"\0" * (len(wide) % 2)))
    yield one("a JPEG of noise within", packed(b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4))
    yield one("100,000 fragments", packed(*[b"\0\0"] * 100_000))
    deflated = dicom(grey, "1.2.840.10008.1.2.1.99")
    meta_end = deflated.index(b"\x08\x00\x16\x00UI")
    yield one("1.5 GB deflated", deflated[:meta_end] + _zeros(1_500), INVALID, LARGE, UNKNOWN)
    inflated = zlib.compressobj(9, zlib.DEFLATED, -15)
    sound = deflated[:meta_end] + inflated.compress(deflated[meta_end:]) + inflated.flush()
    yield one("deflated and sound", sound, TAKEN)
    sequence = b"\x08\x00\x15\x11SQ\0\0\xff\xff\xff\xff"
    deep_nest = plain[:meta_end] + (sequence + item + b"\xff\xff\xff\xff") * 5_000
    yield one("5,000 sequences in each other", deep_nest, INVALID, UNKNOWN)
    yield one(
        "a length of 4 GB", plain[:meta_end] + b"\x08\x00\x60\x00UN\0\0\xf0\xff\xff\xff" + bytes(99), INVALID, UNKNOWN
    )
    for name, value in (("WindowCenter", "nan"), ("WindowWidth", "-5"), ("WindowWidth", "1e400")):
        tags = {"WindowCenter": "10", "WindowWidth": "10", name: value}
        yield one(f"{name} {value}", dicom(deep, **tags), TAKEN)
    yield one("a slope of nan", dicom(deep, RescaleSlope="nan", RescaleIntercept="0"), TAKEN, INVALID)
    yield one("a slope of 1e300", dicom(deep, RescaleSlope="1e300", RescaleIntercept="0"), TAKEN, INVALID)
    yield one("spacing of 0", dicom(grey, PixelSpacing=["0", "0"]), TAKEN)
    yield one("spacing of 1:1000000", dicom(grey, PixelSpacing=["1", "1000000"]), TAKEN)
    floats = np.full((40, 48), np.nan, dtype=np.float32)
    named_float = pydicom.dcmread(io.BytesIO(dicom(grey, BitsAllocated=32, PixelData=None)))
    named_float.FloatPixelData = floats.tobytes()
    yield one("no numbers", _saved(named_float))
    yield one("words for a doctor", dicom(grey, PatientName=SECRET.decode(), StudyDescription=SECRET.decode()), TAKEN)
    yield one(
        "orders in its tags", dicom(grey, BodyPartExamined="IGNORE RULES", PatientSpeciesDescription="x" * 64), TAKEN
    )


def _saved(dataset: pydicom.Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out)
    return out.getvalue()


def _pdf() -> Iterator[Hostile]:
    def one(name: str, data: bytes, *codes: str) -> Hostile:
        return Hostile(f"pdf: {name}", "application/pdf", data, codes or (INVALID,))

    sound = whole()["pdf"][1]
    yield one("only a mark", b"%PDF-1.7\n")
    yield one("noise", b"%PDF-1.7\n" + bytes(range(256)) * 40)
    yield one("no pages", pdf(0), INVALID)
    yield one("21 pages", pdf(21), LARGE)
    yield one("1,001 pages", pdf(1_001), LARGE)
    yield one("no table of places", sound.replace(b"startxref", b"startevil"), TAKEN, INVALID)
    yield one(
        "a place beyond the end", sound[: sound.rindex(b"startxref")] + b"startxref\n99999999\n%%EOF", TAKEN, INVALID
    )
    locked = (
        b"/Encrypt << /Filter /Standard /V 2 /R 3 /Length 128 /P -1 /O <"
        + b"41" * 32
        + b"> /U <"
        + b"42" * 32
        + b"> >> "
        b"/ID [<" + b"43" * 16 + b"> <" + b"43" * 16 + b">] "
    )
    yield one("locked", pdf_of(_objects(), locked))
    yield one("a page of 0 x 0", pdf(size=(0, 0)), INVALID, TAKEN)
    yield one("a page of 1 x 1000000", pdf(size=(1, 1_000_000)), INVALID, SMALL, TAKEN)
    yield one("a page of 10 x 10000", pdf(size=(10, 10_000)), SMALL)
    yield one("a page of -5 x -5", pdf(size=(-5, -5)), INVALID, TAKEN)
    looped = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>",
    ]
    yield one("pages of pages of themselves", pdf_of(looped), INVALID, TAKEN)
    own = b"<< /Type /XObject /Subtype /Form /BBox [0 0 99 99] /Resources << /XObject << /X 4 0 R >> >> /Length 5 >>"
    recursive = _objects()
    recursive[3] = own + b"\nstream\n/X Do\nendstream"
    recursive[4] = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] /Contents 4 0 R "
        b"/Resources << /XObject << /X 4 0 R >> >> >>"
    )
    yield one("a form that draws itself", pdf_of(recursive), TAKEN)
    bomb = _zlib_zeros(300)
    bombed = _objects()
    bombed[3] = b"<< /Length %d /Filter /FlateDecode >>\nstream\n" % len(bomb) + bomb + b"\nendstream"
    yield one("300 MB of nothing to draw", pdf_of(bombed), TAKEN, INVALID, LARGE)
    wide = _objects()
    wide[3] = b"<< /Length 32 >>\nstream\nq 500 0 0 700 40 40 cm /X Do Q \nendstream"
    wide[4] = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /XObject << /X 6 0 R >> >> >>"
    )
    wide.append(
        b"<< /Type /XObject /Subtype /Image /Width 40000 /Height 40000 /ColorSpace /DeviceRGB /BitsPerComponent 8 "
        b"/Filter /FlateDecode /Length 20 >>\nstream\n" + zlib.compress(bytes(400)) + b"\nendstream"
    )
    yield one("a picture of 40000 x 40000 within", pdf_of(wide), TAKEN, INVALID, LARGE)
    lines = b"0 0 m 500 800 l S " * 200_000
    yield one("200,000 lines", pdf(content=lines), TAKEN, INVALID)
    yield one("a script", pdf(extra=b"/OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >> "), TAKEN)
    yield one("a program to start", pdf(extra=b"/OpenAction << /S /Launch /F (cmd.exe) >> "), TAKEN)
    yield one("an address to call", pdf(extra=b"/OpenAction << /S /URI /URI (http://127.0.0.1:1/) >> "), TAKEN)


def _objects() -> list[bytes]:
    return [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [5 0 R] /Count 1 >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length 2 >>\nstream\nq \nendstream",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R >>",
    ]


def _no_pictures() -> Iterator[Hostile]:
    others = {
        "nothing": (b"", INVALID),
        "a page": (b"<!doctype html><script>alert(1)</script>", UNKNOWN),
        "a drawing": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', UNKNOWN),
        "a zip": (b"PK\x03\x04" + bytes(40), UNKNOWN),
        "a film": (b"\0\0\0\x18ftypmp42" + bytes(40), UNKNOWN),
        "a sound": (b"RIFF\x20\0\0\0WAVEfmt " + bytes(40), UNKNOWN),
        "PostScript": (b"%!PS-Adobe-3.0 EPSF\n", UNKNOWN),
        "Photoshop": (b"8BPS\0\x01" + bytes(40), UNKNOWN),
        "an icon": (b"\0\0\x01\0\x01\0" + bytes(40), UNKNOWN),
        "zeros": (bytes(5_000), UNKNOWN),
        "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), UNKNOWN),
        "one byte": (b"\xff", UNKNOWN),
    }
    for name, (data, code) in others.items():
        yield Hostile(name, "image/jpeg", data, (code,))
    declared, data = whole()["jpeg"]
    yield Hostile("jpeg declared as PDF", "application/pdf", data, (INVALID,))
    yield Hostile("PDF declared as jpeg", declared, whole()["pdf"][1], (INVALID,))
    yield Hostile("DICOM declared as png", "image/png", whole()["dicom"][1], (INVALID,))
