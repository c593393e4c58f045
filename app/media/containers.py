"""What a picture's container holds, read without decoding a pixel: broken chunks, floods of frames, what hangs behind.

Each walk either refuses the file or returns the bytes that a decoder may see. Pixels are re-encoded afterwards in any
case, so nothing here goes on; the walks keep from the decoders what no camera writes.
"""

from __future__ import annotations

import re
import struct
import zlib

FRAMES_MAX = 1_000
SCANS_MAX = 100
DEPTH_MAX = 8
JPEG_SAMPLES_MAX = 150_000_000
PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf", b"sBIT")
PADDING = b"\0\xff \r\n\t"
SAMSUNG_TRAILER = b"SEFT"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_BARE_MARKERS = (0x01, *range(0xD0, 0xD8))
_FRAME_MARKERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))


class RefusedPicture(Exception):
    """This file is not taken; `code` is one of API.md's, the message goes on after "The picture"."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _broken(what: str) -> RefusedPicture:
    return RefusedPicture("invalid_image", what)


def _cut_short() -> RefusedPicture:
    return _broken("is cut short; send the whole file")


def _followed() -> RefusedPicture:
    return _broken("has something else behind its end; save it again")


def _too_many_frames() -> RefusedPicture:
    return RefusedPicture("image_too_large", f"has more than {FRAMES_MAX} frames; send one of them")


def walked(data: bytes, real: str) -> bytes:
    """What a decoder may see of the file.

    Raises:
        RefusedPicture: it is broken, cut short, carries another file, or has too many frames.
    """
    if real == "png":
        return _walk_png(data)
    if real == "jpeg":
        _walk_jpeg_and_rest(data)
    elif real == "gif":
        _walk_gif(data)
    elif real == "webp":
        _walk_webp(data)
    elif real in ("heic", "avif"):
        _walk_boxes(data)
    elif real == "bmp":
        _walk_bmp(data)
    return data


def _walk_jpeg_and_rest(data: bytes) -> None:
    """Behind the end may stand what cameras put there: further JPEGs (MPF, gain maps), a motion photo, padding."""
    at = 0
    for _ in range(DEPTH_MAX):
        at = _end_of_jpeg(data, at)
        while at < len(data) and data[at] in PADDING and not data.startswith(b"\xff\xd8\xff", at):
            if data.startswith(b"ftyp", at + 4):
                return
            at += 1
        if at == len(data) or data.endswith(SAMSUNG_TRAILER):
            return
        if data[at : at + 3] != b"\xff\xd8\xff":
            raise _followed()
    raise _followed()


def _end_of_jpeg(data: bytes, at: int) -> int:
    """The place after the end marker of the JPEG that begins at `at`."""
    at, scans = at + 2, 0
    while True:
        if at + 2 > len(data):
            raise _cut_short()
        if data[at] != 0xFF:
            raise _broken("is broken: a marker is missing; save it again")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xD9:
            if not scans:
                raise _broken("holds no picture data")
            return at + 2
        if marker in _BARE_MARKERS:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            raise _broken("is broken: a segment has no length; save it again")
        if marker in _FRAME_MARKERS and length >= 8:
            _check_jpeg_frame(marker, data[at + 4 : at + 2 + length])
        at += 2 + length
        if marker == 0xDA:
            scans += 1
            if scans > SCANS_MAX:
                raise _broken(f"has more than {SCANS_MAX} scans; save it again")
            found = _MARKER.search(data, at)
            if found is None:
                raise _cut_short()
            at = found.start()


def _check_jpeg_frame(marker: int, frame: bytes) -> None:
    """A progressive picture is held whole as coefficients while it is decoded, 2 bytes a sample."""
    _, height, width, components = struct.unpack(">BHHB", frame[:6])
    sampling = [frame[at] for at in range(7, min(len(frame), 6 + 3 * components), 3)]
    share = [(byte >> 4) * (byte & 15) for byte in sampling]
    samples = width * height * sum(share) / max([1, *share])
    if marker in (0xC2, 0xC6, 0xCA, 0xCE) and samples > JPEG_SAMPLES_MAX:
        raise RefusedPicture("image_too_large", f"has {width} x {height} pixels, progressive; save it as baseline JPEG")


def _walk_png(data: bytes) -> bytes:
    """The critical chunks and the orientation. Text, profiles and times never reach a decoder."""
    at, kept, frames = 8, [data[:8]], 1
    seen: list[bytes] = []
    while at < len(data):
        if at + 12 > len(data):
            raise _cut_short()
        (length,) = struct.unpack_from(">I", data, at)
        name = data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            raise _cut_short()
        if not name.isalpha():
            raise _broken("is broken: a chunk has no name; save it again")
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise _broken("is broken: a chunk's checksum is wrong; send the whole file")
        if not seen and name != b"IHDR":
            raise _broken("is broken: its header is not first; save it again")
        if name == b"acTL" and length == 8:
            frames = int.from_bytes(data[at + 8 : at + 12], "big")
        if name in PNG_KEPT:
            if (name in (b"IHDR", b"PLTE", b"eXIf") and name in seen) or (
                name == b"IDAT" and name in seen and seen[-1] != name
            ):
                raise _broken("is broken: its chunks are out of order; save it again")
            kept.append(data[at:end])
        elif name[0] & 32 == 0:
            raise _broken("has a chunk that no decoder knows; save it again")
        if not seen or seen[-1] != name:
            seen.append(name)
        at = end
        if name == b"IEND":
            break
        if len(seen) > FRAMES_MAX * 4:
            raise _too_many_frames()
    if seen[-1:] != [b"IEND"]:
        raise _cut_short()
    if b"IDAT" not in seen:
        raise _broken("holds no picture data")
    if data[at:].strip(PADDING):
        raise _followed()
    if frames > FRAMES_MAX:
        raise _too_many_frames()
    return b"".join(kept)


def _walk_gif(data: bytes) -> None:
    at = 13
    if len(data) < at:
        raise _cut_short()
    if data[10] & 0x80:
        at += 3 << ((data[10] & 7) + 1)
    frames = 0
    while True:
        if at >= len(data):
            if frames:
                return  # many encoders leave out the end mark
            raise _cut_short()
        kind = data[at]
        if kind == 0x3B:
            if data[at + 1 :].strip(PADDING):
                raise _followed()
            if not frames:
                raise _broken("holds no picture data")
            return
        if kind == 0x2C:
            frames += 1
            if frames > FRAMES_MAX:
                raise _too_many_frames()
            packed = data[at + 9] if at + 9 < len(data) else 0
            at += 11 + (3 << ((packed & 7) + 1) if packed & 0x80 else 0)
        elif kind == 0x21:
            at += 2
        elif kind == 0 and frames:
            at += 1
            continue
        else:
            raise _broken("is broken: a block has no kind; save it again")
        while True:
            if at >= len(data):
                raise _cut_short()
            length = data[at]
            at += 1 + length
            if not length:
                break


def _walk_webp(data: bytes) -> None:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise _cut_short()
    if data[end:].strip(PADDING):
        raise _followed()
    at, frames = 12, 0
    while at + 8 <= end:
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + (length & 1)
        if at > end + 1:
            raise _cut_short()
        frames += name == b"ANMF"
        if frames > FRAMES_MAX:
            raise _too_many_frames()


def _walk_boxes(data: bytes) -> None:
    """The boxes of HEIF must tile the file."""
    at, boxes = 0, 0
    while at < len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        elif length == 0 and name == b"mdat":
            return
        if length < 8 or not re.fullmatch(rb"[ -~]{4}", name):
            if data[at:].strip(PADDING):
                raise _followed() if boxes > 1 else _broken("is broken: a box has no length; save it again")
            return
        at += length
        boxes += 1
        if at > len(data):
            raise _cut_short()
        if boxes > FRAMES_MAX:
            raise _broken("has more boxes than a picture needs; save it again")


def _walk_bmp(data: bytes) -> None:
    stated = int.from_bytes(data[2:6], "little")
    if 54 <= stated < len(data) and data[stated:].strip(PADDING):
        raise _followed()
