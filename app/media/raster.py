"""Common picture formats to 8-bit pixels: the size by the header first, then one frame, upright. Runs in the worker."""

from __future__ import annotations

import contextlib
import io
import math
import struct
import warnings
from typing import Any

from PIL import Image, ImageFile

from app.media.containers import FRAMES_MAX, RefusedPicture, walked

SIDE_PX_MAX = 1568
SIDE_PX_MIN = 16
PIXELS_MAX = {"jpeg": 50_000_000, "heic": 25_000_000}
"""An iPhone's 24 megapixels are 5712 x 4284."""
PIXELS_MAX_OTHER = 24_000_000
WHITE = (255, 255, 255)
PILLOW_NAMES = {"heic": "HEIF"}
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by its Exif orientation."""
ORIENTATION = 0x0112
DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


def check_size(width: int, height: int, real: str) -> None:
    """Refuse by the size that the header states, before anything is decoded."""
    limit = PIXELS_MAX.get(real, PIXELS_MAX_OTHER)
    if width * height > limit:
        raise RefusedPicture(
            "image_too_large",
            f"has {width} x {height} pixels; send at most {limit // 1_000_000} megapixels as {real.upper()}",
        )
    if min(width, height) < SIDE_PX_MIN:
        raise RefusedPicture(
            "image_too_small", f"has {width} x {height} pixels; each side must have at least {SIDE_PX_MIN}"
        )


def fitted(width: int, height: int, side_px_max: int = SIDE_PX_MAX) -> tuple[int, int]:
    """The size with the same aspect whose longest side is at most `side_px_max`."""
    longest = max(width, height)
    if longest <= side_px_max:
        return width, height
    return max(1, round(width * side_px_max / longest)), max(1, round(height * side_px_max / longest))


def opened(data: bytes, real: str, wanted: int | None) -> tuple[Image.Image, dict[str, Any]]:
    """One frame in 8-bit grey or RGB, upright, at its own size or (JPEG) at least 1568 px, and what was done.

    Args:
        wanted: which frame, from 1; None for the first.

    Raises:
        RefusedPicture: too large, too small, no such frame.
        Exception: whatever a decoder raises on a broken file.
    """
    if real == "heic":
        import pi_heif  # 4 MB that most requests don't need

        pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    if real == "png" and data[12:16] == b"IHDR" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        if width and height:
            check_size(width, height, real)
    data = walked(data, real)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image: Image.Image = Image.open(io.BytesIO(data), formats=[PILLOW_NAMES.get(real, real.upper())])
        check_size(*image.size, real)
        frames = 1 if real in ("jpeg", "bmp") else _frames(image)
        if wanted is not None and wanted > frames:
            raise RefusedPicture("invalid_image", f"has {frames} frames; frame {wanted} is not one of them")
        if wanted is not None and wanted > 1:
            image.seek(wanted - 1)
            check_size(*image.size, real)
        width, height = image.size
        if isinstance(image, ImageFile.ImageFile) and real == "jpeg":
            image.draft(None, fitted(width, height))
        image.load()
        orientation = _orientation(image)
        image, notes = flat(image)
        if orientation in UPRIGHT:
            image = image.transpose(UPRIGHT[orientation])
            notes.append("Turned upright as its orientation tag says.")
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    facts: dict[str, Any] = {"source_width": width, "source_height": height, "notes": notes}
    if frames > 1:
        facts |= {"frame": wanted or 1, "frames": frames}
    return image, facts


def _orientation(image: Image.Image) -> int:
    """How the camera was held, 1 to 8; broken Exif says nothing, and is no reason to refuse a sound picture."""
    with contextlib.suppress(Exception):
        return int(image.getexif().get(ORIENTATION, 1))
    return 1


def _frames(image: Image.Image) -> int:
    """How many frames it has; the container walk has bounded all but TIFF, whose pages are counted here."""
    if image.format != "TIFF":
        return int(getattr(image, "n_frames", 1))
    for page in range(FRAMES_MAX + 1):
        try:
            image.seek(page)
        except EOFError:
            image.seek(0)
            return page
    raise RefusedPicture("image_too_large", f"has more than {FRAMES_MAX} frames; send one of them")


def flat(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """8-bit grey or RGB, and what was done: deep grey scaled (not clipped), transparency on white."""
    if image.mode in DEEP_GREY:
        return _eight_bit(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or (image.mode == "P" and "transparency" in image.info):
        clear = image.convert("RGBA")
        if clear.getchannel("A").getextrema() == (255, 255):
            return clear.convert("RGB"), []
        ground = Image.new("RGB", clear.size, WHITE)
        ground.paste(clear, mask=clear.getchannel("A"))
        return ground, ["Transparent parts were laid on white."]
    return image if image.mode in ("L", "RGB") else image.convert("RGB"), []


def _eight_bit(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """16-bit grey by the bits in use, so that 12-bit radiographs aren't black; other depths between their extremes."""
    fine = image.convert("F")
    extremes = fine.getextrema()
    low, high = (float(str(value)) for value in extremes)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RefusedPicture("invalid_image", "holds values that are no numbers; save it as 16-bit PNG or TIFF")
    if image.mode.startswith("I;16") or (image.mode == "I" and low >= 0 and high <= 65535):
        bits = max(8, math.ceil(math.log2(high + 1))) if high > 0 else 8
        low, high = 0.0, float(2**bits - 1)
        note = f"Grey of {bits} bits was scaled to 8."
    else:
        note = "Deep grey was scaled to 8 bits between its darkest and brightest value."
    scale = 255.0 / max(high - low, 1e-12)
    return fine.point(lambda value: (value * scale) + (0.5 - low * scale)).convert("L"), [note]
