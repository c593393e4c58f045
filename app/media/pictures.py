"""From data URLs to checked pictures: what is declared, what it really is, and our own pixels of it."""

from __future__ import annotations

import asyncio
import json
import math
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pybase64

from app.base.errors import Invalid, Unavailable
from app.base.messages import Json, Picture, PictureUrl

PICTURES_MAX = 20
BYTES_MAX = 20 * 1024 * 1024
DECODE_S_MAX = 3.0
START_S_MAX = 20.0
WAITING_MAX = 64
TOKENS_PER_PIXEL_INVERSE = 750
TOKENS_MAX = 3_279
INLINE_BYTES_MAX = 1_000_000
LOW_RESOLUTION_PX = 400
DECLARED = {"image/jpeg": "JPEG", "image/jpg": "JPEG", "image/png": "PNG", "image/webp": "WEBP", "image/gif": "GIF"}
WORKER = Path(__file__).with_name("worker.py")


def tokens_of(width: int, height: int) -> int:
    """What a picture of this size counts for: ceil(width x height / 750), at most 3,279."""
    return min(TOKENS_MAX, math.ceil(width * height / TOKENS_PER_PIXEL_INVERSE))


def real_format(data: bytes) -> str | None:
    """What the first bytes say the file is: JPEG, PNG, WEBP, GIF, or None."""
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    return None


def read_data_url(url: str, param: str) -> tuple[str, bytes]:
    """The real format and the bytes of a picture's data URL.

    Raises:
        Invalid: image_url_not_allowed, unsupported_image_format, invalid_image, image_too_large; `param` is given on.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or scheme.lower() != "data":
        raise Invalid(
            "Send the picture itself as data:image/jpeg;base64,...; addresses are not fetched.",
            code="image_url_not_allowed",
            param=param,
        )
    head, comma, payload = rest.partition(",")
    declared, *options = [piece.strip().lower() for piece in head.split(";")]
    if declared not in DECLARED:
        raise Invalid(
            "Send JPEG, PNG, WebP or GIF, declared as image/jpeg, image/png, image/webp or image/gif.",
            code="unsupported_image_format",
            param=param,
        )
    if not comma or "base64" not in options:
        raise Invalid("Write the picture as data:image/...;base64,...", code="invalid_image", param=param)
    if len(payload) > (BYTES_MAX + 2) // 3 * 4 + 4:
        raise Invalid("The picture is over 20 MB; send a smaller one.", code="image_too_large", param=param)
    try:
        data = pybase64.b64decode(payload.encode("ascii"), validate=True)
    except ValueError:
        raise Invalid(
            "The picture's base64 is broken; use the standard alphabet with padding.",
            code="invalid_image",
            param=param,
        ) from None
    if len(data) > BYTES_MAX:
        raise Invalid("The picture is over 20 MB; send a smaller one.", code="image_too_large", param=param)
    real = real_format(data)
    if real is None:
        raise Invalid(
            "The bytes are no JPEG, PNG, WebP or GIF, whatever they are declared as.",
            code="unsupported_image_format" if data else "invalid_image",
            param=param,
        )
    if DECLARED[declared] != real:
        raise Invalid(
            f"The picture is declared as {declared} and is {real}; declare it as image/{real.lower()}.",
            code="invalid_image",
            param=param,
        )
    return real, data


class _Decoder:
    """One decoding process, started at need, killed when it takes too long."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def decode(self, real: str, data: bytes) -> tuple[Json, bytes]:
        """The worker's answer.

        Raises:
            TimeoutError: it took longer than 3 s; the process is gone.
            EOFError: the process died.
        """
        process = self._process
        if process is None or process.returncode is not None:
            process = await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        head = json.dumps({"real": real}).encode()
        try:
            async with asyncio.timeout(DECODE_S_MAX):
                process.stdin.write(struct.pack(">II", len(head), len(data)) + head + data)
                await process.stdin.drain()
                head_length, payload_length = struct.unpack(">II", await process.stdout.readexactly(8))
                answer: dict[str, Any] = json.loads(await process.stdout.readexactly(head_length))
                return answer, await process.stdout.readexactly(payload_length)
        except BaseException as error:
            await self.close()
            if isinstance(error, asyncio.IncompleteReadError | ConnectionError | BrokenPipeError):
                raise EOFError from None
            raise

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(WORKER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=None if os.name == "nt" else {},  # nothing of ours is for this process to see
            start_new_session=True,
        )
        return self._process

    async def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        if process is not None and process.stdin is not None:
            process.stdin.close()


class Pictures:
    """Checks pictures for every request of this worker, with a bounded number of decoding processes."""

    def __init__(self, processes: int = 1) -> None:
        self._idle = [_Decoder() for _ in range(processes)]
        self._all = tuple(self._idle)
        self._places = asyncio.Semaphore(processes)
        self._waiting = 0

    async def check(self, urls: Sequence[PictureUrl]) -> tuple[Picture, ...]:
        """The pictures of a request, in order, as our own pixels.

        Raises:
            Invalid: one of them is refused; `param` names it.
            Unavailable: too many pictures are waiting already.
        """
        if len(urls) > PICTURES_MAX:
            raise Invalid(
                f"A request takes at most {PICTURES_MAX} pictures; send fewer.", param=urls[PICTURES_MAX].param
            )
        read = [await self._read(url) for url in urls]
        done: dict[bytes, tuple[Json, bytes]] = {}
        pictures = []
        for index, (url, (real, data)) in enumerate(zip(urls, read, strict=True)):
            if data not in done:
                done[data] = await self._decode(real, data, url.param)
            pictures.append(_picture(index, real, *done[data]))
        return tuple(pictures)

    async def _read(self, url: PictureUrl) -> tuple[str, bytes]:
        if len(url.url) > INLINE_BYTES_MAX:
            return await asyncio.to_thread(read_data_url, url.url, url.param)
        return read_data_url(url.url, url.param)

    async def _decode(self, real: str, data: bytes, param: str) -> tuple[Json, bytes]:
        if self._waiting >= WAITING_MAX:
            raise Unavailable("Too many pictures are being read; try again shortly.", retry_after_s=2)
        self._waiting += 1
        try:
            async with self._places:
                decoder = self._idle.pop()
                try:
                    answer, encoded = await decoder.decode(real, data)
                finally:
                    self._idle.append(decoder)
        except TimeoutError:
            raise Invalid(
                "The picture takes too long to decode; save it again as JPEG.", code="invalid_image", param=param
            ) from None
        except EOFError:
            raise Invalid(
                "The picture can't be decoded; save it again as JPEG.", code="invalid_image", param=param
            ) from None
        finally:
            self._waiting -= 1
        if "error" in answer:
            raise Invalid(f"The picture {answer['message']}.", code=answer["error"], param=param)
        return answer, encoded

    async def close(self) -> None:
        """End the decoding processes."""
        for decoder in self._all:
            await decoder.close()


def _picture(index: int, real: str, answer: Json, encoded: bytes) -> Picture:
    notes = []
    if answer["frames"] > 1:
        notes.append(f"Animated with {answer['frames']} frames: only the first one was used.")
    if answer["turned"]:
        notes.append("Turned upright as its orientation tag says.")
    if (answer["source_width"], answer["source_height"]) != (answer["width"], answer["height"]):
        notes.append(
            f"Shrunk from {answer['source_width']} x {answer['source_height']} to "
            f"{answer['width']} x {answer['height']} pixels."
        )
    low = max(answer["source_width"], answer["source_height"]) < LOW_RESOLUTION_PX
    if low:
        notes.append("Few pixels: small details can't be judged; a closer, larger photo would help.")
    tokens = tokens_of(answer["width"], answer["height"])
    facts: Json = {
        "index": index,
        "kind": "photo",
        "format": real.lower(),
        "width": answer["width"],
        "height": answer["height"],
        "tokens": tokens,
        "quality": "low_resolution" if low else "not_assessed",
        "notes": notes,
    }
    return Picture(encoded, "image/jpeg", answer["width"], answer["height"], tokens, facts)
