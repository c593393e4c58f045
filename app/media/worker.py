"""Decodes one file after another in a process of its own: the only place where a caller's pixels are decoded.

Reads frames from stdin and answers on stdout: 8 bytes (two big-endian lengths), a JSON head, a payload. The first
answer says that it is ready. A head in is {"format", "frame", "page"}, the payload the file's bytes. A head out is
{"error": code, "message": str} or {"facts", "sizes"}, each with the process's own `used_s` of processor time; the
payload is the picture, then the finer grey one.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageFile

from app.media.containers import RefusedPicture
from app.media.quality import judged, measured
from app.media.raster import SIDE_PX_MAX, fitted, opened

MEMORY_BYTES_MAX = 480 * 1024 * 1024
"""Of data this process may hold; 500 MB with what the libraries' own pages take."""
FINE_PX_MAX = 2_200
NICE = 5
"""How far this process steps back behind those who answer requests."""


def bound_process(memory_bytes: int = MEMORY_BYTES_MAX) -> None:
    """Let an allocation beyond the bound fail in this process, and let those who answer requests go first."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(AttributeError, OSError):
        os.nice(NICE)
    with contextlib.suppress(OSError):
        # Linux groups processes by session, this one is alone in its own, and weighs groups first: without this line
        # the other means nothing.
        Path("/proc/self/autogroup").write_text(str(NICE), encoding="ascii")


def decoded(head: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """The facts of a picture and its pixels, upright, shrunk, without any metadata, as JPEG; finer in grey if written.

    Raises:
        RefusedPicture: broken, too large, too small, or nothing to look at.
    """
    real = head["format"]
    try:
        if real == "dicom":
            from app.media import dicom

            image, facts = dicom.opened(data, head.get("frame"))
        elif real == "pdf":
            from app.media import pdf

            image, facts = pdf.opened(data, head.get("page", 0), FINE_PX_MAX)
        else:
            image, facts = opened(data, real, head.get("frame"))
        return _finished(image, facts, real)
    except RefusedPicture:
        raise
    except MemoryError:
        raise RefusedPicture("image_too_large", "needs more memory than a picture may; send a smaller one") from None
    except Exception:
        # Decoders raise whatever they like on a broken file.
        raise RefusedPicture("invalid_image", "is broken or cut short; send the whole file") from None


def _finished(image: Image.Image, facts: dict[str, Any], real: str) -> tuple[dict[str, Any], bytes, bytes]:
    source = image
    size = fitted(*image.size)
    if size != image.size:
        # Of a JPEG that the decoder has shrunk already, HAMMING is as sharp as the slower ones.
        way = Image.Resampling.HAMMING if real == "jpeg" else Image.Resampling.LANCZOS
        image = image.resize(size, way, reducing_gap=2.0)
    measures = measured(image)
    kind = facts.setdefault("kind", "radiograph_like" if measures.looks_radiographic else "photo")
    facts["width"], facts["height"] = image.size
    facts["quality"], facts["retake"] = judged(measures, kind, max(facts["source_width"], facts["source_height"]))
    facts["measures"] = {
        "blur": measures.blur,
        "brightness": measures.mean,
        "contrast": measures.spread,
        "burnt_out_share": measures.clipped_share,
    }
    facts["written"] = measures.looks_written
    fine = b""
    if max(source.size) > SIDE_PX_MAX and (kind == "document" or (kind == "photo" and measures.looks_written)):
        fine = _jpeg(source.convert("L").resize(fitted(*source.size, FINE_PX_MAX), Image.Resampling.HAMMING), 85, 0)
    return facts, _jpeg(image, *((88, 2) if real == "jpeg" else (92, 0))), fine


def _jpeg(image: Image.Image, quality: int, subsampling: int) -> bytes:
    out = io.BytesIO()
    image.info = {}  # comments and profiles would be written
    image.save(out, "JPEG", quality=quality, subsampling=subsampling)
    return out.getvalue()


def _read_exactly(stream: BinaryIO, count: int) -> bytes:
    """`count` bytes, or EOFError."""
    data = stream.read(count)
    if len(data) != count:
        raise EOFError
    return data


def answer(sink: BinaryIO, head: dict[str, Any], payload: bytes = b"") -> None:
    """Write one answer."""
    encoded = json.dumps({**head, "used_s": time.process_time()}).encode()
    sink.write(struct.pack(">II", len(encoded), len(payload)) + encoded + payload)
    sink.flush()


def questions(source: BinaryIO) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Each question, until the other side closes."""
    with contextlib.suppress(EOFError):
        while True:
            head_length, payload_length = struct.unpack(">II", _read_exactly(source, 8))
            yield json.loads(_read_exactly(source, head_length)), _read_exactly(source, payload_length)


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Say that it is ready, then answer until the other side closes."""
    answer(sink, {})
    for head, payload in questions(source):
        try:
            facts, picture, fine = decoded(head, payload)
        except RefusedPicture as refused:
            answer(sink, {"error": refused.code, "message": str(refused)})
            continue
        answer(sink, {"facts": facts, "sizes": [len(picture), len(fine)]}, picture + fine)


def main() -> None:
    """Serve stdin."""
    bound_process()
    Image.MAX_IMAGE_PIXELS = None  # our own check is stricter, and comes first
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    # A library's message must not end up between our frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, answers)
