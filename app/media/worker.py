"""Decodes one picture after another in a process of its own: the only place where a caller's pixels are decoded.

Run as a script, without the rest of vetx, so that it starts small. Reads frames from stdin and answers on stdout:
8 bytes (two big-endian lengths), a JSON head, a payload. A head in is {"real": "JPEG"}, the payload the file's bytes. A
head out is either {"error": code, "message": str} or the facts of the picture, with the re-encoded bytes as payload.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import sys
import warnings
from typing import Any, BinaryIO

from PIL import Image, ImageFile, UnidentifiedImageError

SIDE_PX_MAX = 1568
SIDE_PX_MIN = 16
PIXELS_MAX = {"JPEG": 50_000_000}
PIXELS_MAX_OTHER = 24_000_000
ADDRESS_SPACE_BYTES_MAX = 900 * 1024 * 1024
WHITE = (255, 255, 255)
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
DEEP_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


class RefusedPicture(Exception):
    """This picture is not taken; `code` is one of API.md's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def bound_memory() -> None:
    """Let an allocation beyond the bound fail in this process instead of pressing on the machine."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES_MAX, ADDRESS_SPACE_BYTES_MAX))


def check_header(image: Image.Image, real: str) -> None:
    """Refuse by the size that the header states, before anything is decoded."""
    width, height = image.size
    limit = PIXELS_MAX.get(real, PIXELS_MAX_OTHER)
    if width * height > limit:
        raise RefusedPicture(
            "image_too_large",
            f"has {width} x {height} pixels; send at most {limit // 1_000_000} megapixels as {real}",
        )
    if min(width, height) < SIDE_PX_MIN:
        raise RefusedPicture(
            "image_too_small", f"has {width} x {height} pixels; each side must have at least {SIDE_PX_MIN}"
        )


def fitted(width: int, height: int) -> tuple[int, int]:
    """The size with the same aspect whose longest side is at most 1568 px."""
    longest = max(width, height)
    if longest <= SIDE_PX_MAX:
        return width, height
    return max(1, round(width * SIDE_PX_MAX / longest)), max(1, round(height * SIDE_PX_MAX / longest))


def flat_rgb(image: Image.Image) -> Image.Image:
    """8-bit grey or RGB: 16-bit grey scaled (not clipped), transparency on white."""
    if image.mode in DEEP_GREY:
        low, high = image.convert("F").getextrema()
        span = 65535.0 if image.mode.startswith("I;16") else max(float(str(high)) - float(str(low)), 1.0)
        offset = 0.0 if image.mode.startswith("I;16") else float(str(low))
        return image.convert("F").point(lambda value: (value - offset) * (255.0 / span)).convert("L")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or (image.mode == "P" and "transparency" in image.info):
        clear = image.convert("RGBA")
        ground = Image.new("RGB", clear.size, WHITE)
        ground.paste(clear, mask=clear.getchannel("A"))
        return ground
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def reencode(data: bytes, real: str) -> tuple[dict[str, Any], bytes]:
    """The facts of a picture and its pixels, upright, shrunk, without any metadata, as JPEG.

    Raises:
        RefusedPicture: broken, too large, too small.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image: Image.Image = Image.open(io.BytesIO(data), formats=[real])
            check_header(image, real)
            stated_width, stated_height = image.size
            frames = int(getattr(image, "n_frames", 1)) if real == "GIF" else 1
            if isinstance(image, ImageFile.ImageFile) and real == "JPEG":
                image.draft(None, fitted(stated_width, stated_height))
            image.load()
            orientation = image.getexif().get(0x0112, 1)
            image = flat_rgb(image)
            size = fitted(*image.size)
            if size != image.size:
                image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
            if orientation in UPRIGHT:
                image = image.transpose(UPRIGHT[orientation])
    except RefusedPicture:
        raise
    except MemoryError:
        raise RefusedPicture("image_too_large", "needs more memory than a picture may; send a smaller one") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, IndexError, TypeError, struct.error):
        raise RefusedPicture("invalid_image", "is broken or cut short; send the whole file") from None
    except Exception:
        raise RefusedPicture("invalid_image", "can't be decoded; save it again as JPEG or PNG") from None
    out = io.BytesIO()
    clean = Image.frombytes(image.mode, image.size, image.tobytes())
    clean.save(out, "JPEG", quality=88 if real == "JPEG" else 92, subsampling=0 if real != "JPEG" else 2)
    turned = orientation in (5, 6, 7, 8)
    facts = {
        "source_width": stated_height if turned else stated_width,
        "source_height": stated_width if turned else stated_height,
        "width": clean.width,
        "height": clean.height,
        "frames": frames,
        "turned": orientation in UPRIGHT,
    }
    return facts, out.getvalue()


def read_exactly(stream: BinaryIO, count: int) -> bytes:
    """`count` bytes, or EOFError."""
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer frames until the other side closes."""
    while True:
        try:
            head_length, payload_length = struct.unpack(">II", read_exactly(source, 8))
            head = json.loads(read_exactly(source, head_length))
            payload = read_exactly(source, payload_length)
        except EOFError:
            return
        try:
            answer, picture = reencode(payload, head["real"])
        except RefusedPicture as refused:
            answer, picture = {"error": refused.code, "message": str(refused)}, b""
        encoded = json.dumps(answer).encode()
        sink.write(struct.pack(">II", len(encoded), len(picture)) + encoded + picture)
        sink.flush()


if __name__ == "__main__":
    bound_memory()
    Image.MAX_IMAGE_PIXELS = None  # our own check is stricter, and comes first
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.init()
    serve(sys.stdin.buffer, sys.stdout.buffer)
