"""From data URLs to checked pictures: what is declared, what it really is, and our own pixels of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.base.errors import Invalid
from app.base.messages import Json, Picture, PictureUrl
from app.media.processes import Died, Processes, TookTooLong
from app.media.uploads import DECLARED, Upload, read_data_url

PICTURES_MAX = 20
DECODE_S_MAX = 3.0
TOKENS_PER_PIXEL_INVERSE = 750
TOKENS_MAX = 3_279
INLINE_BYTES_MAX = 1_000_000
WORDS_MAX = 20_000
CODES = (
    "image_url_not_allowed",
    "unsupported_image_format",
    "invalid_image",
    "image_too_large",
    "image_too_small",
)
"""What a refusal of a picture is coded with."""
SAID = ("modality", "body_part", "view", "laterality", "species", "breed")
SHOWN = ("page", "pages", "frame", "frames", "dicom")
"""Facts of the worker that go out as they are, where there are any."""


def tokens_of(width: int, height: int) -> int:
    """What a picture of this size counts for: ceil(width x height / 750), at most 3,279."""
    return min(TOKENS_MAX, math.ceil(width * height / TOKENS_PER_PIXEL_INVERSE))


class Pictures:
    """Checks pictures for every request of this worker, with a bounded number of decoding processes."""

    def __init__(self, processes: int = 1) -> None:
        self.processes = Processes("app.media.worker", processes=processes, seconds_max=DECODE_S_MAX)

    def check_room(self) -> None:
        """Refuse now what `check` would refuse for want of room."""
        self.processes.check_room()

    async def check(self, urls: Sequence[PictureUrl]) -> tuple[tuple[Picture, ...], ...]:
        """The pictures of a request as our own pixels: of each file, in order, its one picture or its pages.

        Raises:
            Invalid: one of them is refused; `param` names it.
            Unavailable: too many pictures are waiting already.
        """
        if len(urls) > PICTURES_MAX:
            raise _too_many(urls[PICTURES_MAX].param)
        self.check_room()
        uploads = [await _read(url) for url in urls]
        done: dict[tuple[bytes, int | None], tuple[Picture, ...]] = {}
        files: list[tuple[Picture, ...]] = []
        index = 0
        for url, upload in zip(urls, uploads, strict=True):
            same = (upload.data, upload.frame)
            if same not in done:
                done[same] = await self._pictures(upload, url.param, PICTURES_MAX - index)
            pictures = tuple(
                replace(picture, facts={"index": at, **_declared(picture.facts, upload)})
                for at, picture in enumerate(done[same], index)
            )
            index += len(pictures)
            if index > PICTURES_MAX:
                raise _too_many(url.param)
            files.append(pictures)
        return tuple(files)

    async def _pictures(self, upload: Upload, param: str, room: int) -> tuple[Picture, ...]:
        if upload.format != "pdf":
            return (await self._decode({"format": upload.format, "frame": upload.frame}, upload.data, param),)
        first = await self._decode({"format": "pdf", "page": 0}, upload.data, param)
        pages = first.facts["pages"]
        if pages > room:
            raise Invalid(
                f"The PDF has {pages} pages and a request takes {PICTURES_MAX} pictures in all; "
                "send the pages that matter.",
                code="image_too_large",
                param=param,
            )
        rest = [await self._decode({"format": "pdf", "page": page}, upload.data, param) for page in range(1, pages)]
        return (first, *rest)

    async def _decode(self, head: Json, data: bytes, param: str) -> Picture:
        def refused(message: str, code: str = "invalid_image") -> Invalid:
            return Invalid(message, code=code, param=param)

        try:
            answer, payload = await self.processes.ask(head, data)
        except TookTooLong:
            raise refused("The picture takes too long to decode; save it again as JPEG.") from None
        except Died:
            raise refused("The picture can't be decoded; save it again as JPEG.") from None
        if "error" in answer:
            raise refused(f"The picture {answer['message']}.", answer["error"])
        return _picture(head["format"], answer["facts"], answer["sizes"], payload)

    async def close(self) -> None:
        """End the decoding processes."""
        await self.processes.close()


def _too_many(param: str) -> Invalid:
    return Invalid(f"A request takes at most {PICTURES_MAX} pictures; send fewer.", param=param)


async def _read(url: PictureUrl) -> Upload:
    if len(url.url) > INLINE_BYTES_MAX:
        return await asyncio.to_thread(read_data_url, url.url, url.param)
    return read_data_url(url.url, url.param)


def _picture(real: str, found: dict[str, Any], sizes: Sequence[int], payload: bytes) -> Picture:
    width, height = found["width"], found["height"]
    notes = list(found["notes"])
    if "pages" in found:
        notes.append(f"Page {found['page']} of {found['pages']}.")
    if "frames" in found and not any("rame" in note for note in notes):
        notes.append(f"Frame {found['frame']} of {found['frames']} was used.")
    if "pages" not in found and max(found["source_width"], found["source_height"]) > max(width, height):
        notes.append(f"Shrunk from {found['source_width']} x {found['source_height']} to {width} x {height} pixels.")
    if found["retake"]:
        notes.append(found["retake"])
    tokens = tokens_of(width, height)
    facts: Json = {
        "kind": found["kind"],
        "format": real,
        "width": width,
        "height": height,
        "source_width": found["source_width"],
        "source_height": found["source_height"],
        "tokens": tokens,
        "quality": found["quality"],
        "retake": found["retake"],
        "measures": found["measures"],
        **{name: found[name] for name in SHOWN if name in found},
        "notes": notes,
    }
    words = str(found.get("words", ""))[:WORDS_MAX]
    return Picture(
        payload[: sizes[0]],
        "image/jpeg",
        width,
        height,
        tokens,
        facts,
        fine=payload[sizes[0] :],
        words=words,
        written=bool(found["written"]),
    )


def _declared(facts: Json, upload: Upload) -> Json:
    """The facts with what the caller had declared; what was declared wrongly is noted."""
    notes = facts["notes"]
    if DECLARED[upload.declared] not in ("", upload.format):
        notes = [f"Declared as {upload.declared}, is {upload.format.upper()}, and was read as that.", *notes]
    return {**facts, "declared": upload.declared, "notes": notes}


def file_says(dicom: Json) -> str:
    """The facts of a DICOM file in a sentence; empty where it tells nothing."""
    said = [f"{name.replace('_', ' ')} {dicom[name]}" for name in SAID if name in dicom]
    if "pixel_spacing_mm" in dicom:
        down, across = dicom["pixel_spacing_mm"]
        at = "in the animal" if dicom["pixel_spacing_at"] == "patient" else "at the detector, so lengths are magnified"
        said.append(f"a pixel of the file is {down:g} x {across:g} mm {at}")
    return f"The file says: {', '.join(said)}." if said else ""


def described(pictures: Sequence[Picture]) -> str:
    """A line for each picture: what it is, what was measured and done. No word of the file's own is in it."""
    return "\n".join(f"- {_line(picture.facts)}" for picture in pictures)


def _line(facts: Json) -> str:
    pieces = [f"Picture {facts['index'] + 1}: {facts['kind'].replace('_', ' ')}, {facts['format'].upper()}"]
    if facts["kind"] == "radiograph_like":
        pieces[0] += " (grey and dark around, as radiographs, CT and ultrasound stills are; the file doesn't say which)"
    if facts["kind"] not in ("photo", "document", "lab_sheet") and "pixel_spacing_mm" not in facts.get("dicom", {}):
        pieces.append("no scale is known")
    pieces.append(f"quality {facts['quality'].replace('_', ' ')}")
    return "; ".join(pieces) + ". " + " ".join(facts["notes"])
