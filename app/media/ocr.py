"""Reads the words in one picture after another, in a process of its own: half a gigabyte that no service worker needs.

Frames are those of `worker.py`. A head in is {}, its payload one of our own JPEGs; a head out is {"words": [{"quad":
[x, y] four times, clockwise from the upper left corner [px], "text", "again", "score": 0..1}]}, without payload. Every
word is read twice, the second time from a larger, rescaled cut of the picture: `again`. What the two readings don't
agree on was not read.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any

from app.media.worker import answer, bound_process, questions

MEMORY_BYTES_MAX = 1_500 * 1024 * 1024
"""Of data this process may hold; usual is 0.5 GB."""
FIND_SIDE_PX = 1120
WORDS_MIN = 6
"""A picture with fewer words is no sheet; what stands there isn't read."""
WORDS_MAX = 400
SCORE_MIN = 0.5
LINE_WIDTH_PX = 160
BATCH = 4
SAMPLE, WELL_READ = 6, 0.85
"""So many pieces tell whether a picture stands on its head: their mean score is below this, and better turned."""
PAGES_MAX = 60
"""After so many pages the process ends and the next question starts another: its memory grows with every new size."""


class Reader:
    """The models, loaded once."""

    def __init__(self) -> None:
        import cv2
        import numpy
        from rapidocr import RapidOCR
        from rapidocr.ch_ppocr_rec import TextRecInput
        from rapidocr.utils.process_img import get_rotate_crop_image

        cv2.setNumThreads(1)
        self._cv2, self._numpy, self._cut, self._lines = cv2, numpy, get_rotate_crop_image, TextRecInput
        self._engine = RapidOCR(
            params={
                "Global.log_level": "critical",
                "EngineConfig.onnxruntime.intra_op_num_threads": 1,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "Det.limit_type": "max",
                "Det.limit_side_len": FIND_SIDE_PX,
                "Rec.rec_img_shape": [3, 48, LINE_WIDTH_PX],
                "Rec.rec_batch_num": BATCH,
            }
        )
        self._find = self._engine._load_det_model()  # type: ignore[no-untyped-call]
        self._read = self._engine._load_rec_model()  # type: ignore[no-untyped-call]

    def words(self, data: bytes) -> list[dict[str, Any]]:
        """Every piece of text with its place, in the picture turned upright; none where there is next to none."""
        from PIL import Image

        picture = self._numpy.asarray(Image.open(io.BytesIO(data), formats=["JPEG"]).convert("RGB"))[:, :, ::-1]
        quads = self._places(picture)
        if len(quads) >= WORDS_MIN and sum(map(_is_tall, quads)) > len(quads) / 2:
            picture = self._numpy.ascontiguousarray(self._numpy.rot90(picture))
            quads = self._places(picture)
        if len(quads) < WORDS_MIN:
            return []
        if self._stands_on_its_head(picture, quads):
            picture = self._numpy.ascontiguousarray(picture[::-1, ::-1])
            far = self._numpy.array([picture.shape[1] - 1, picture.shape[0] - 1], dtype="float32")
            quads = [self._numpy.roll(far - quad, 2, axis=0) for quad in quads]
        first = self._texts([self._cut(picture, quad.copy()) for quad in quads])
        again = self._texts([self._larger(picture, quad) for quad in quads])
        return [
            {"quad": [round(float(at), 1) for at in quad.reshape(-1)], "text": text, "again": other, "score": score}
            for quad, (text, score), (other, _) in zip(quads, first, again, strict=True)
            if text.strip() and score >= SCORE_MIN
        ]

    def _places(self, picture: Any) -> list[Any]:
        """Four corners of each piece of text, clockwise from its upper left."""
        found = self._find(picture).boxes
        return [] if found is None else [self._numpy.array(quad, dtype="float32") for quad in found[:WORDS_MAX]]

    def _stands_on_its_head(self, picture: Any, quads: list[Any]) -> bool:
        """Whether the widest pieces read badly as they are, and well when they are turned round."""
        widest = sorted(quads, key=_width)[-SAMPLE:]
        cuts = [self._cut(picture, quad.copy()) for quad in widest]
        score = sum(score for _, score in self._texts(cuts)) / len(cuts)
        if score >= WELL_READ:
            return False
        turned = self._texts([self._numpy.ascontiguousarray(cut[::-1, ::-1]) for cut in cuts])
        return sum(score for _, score in turned) / len(cuts) > score

    def _texts(self, cuts: list[Any]) -> list[tuple[str, float]]:
        found = self._read(self._lines(img=cuts, return_word_box=False))
        return [(text, round(float(score), 3)) for text, score in zip(found.txts, found.scores, strict=True)]

    def _larger(self, picture: Any, quad: Any) -> Any:
        """The piece with some room around it, and half as large again."""
        numpy, cv2 = self._numpy, self._cv2
        across, down = quad[1] - quad[0], quad[3] - quad[0]
        across, down = across / max(1.0, float(numpy.hypot(*across))), down / max(1.0, float(numpy.hypot(*down)))
        room = 0.12 * float(numpy.hypot(*(quad[3] - quad[0])))
        moves = [-across - down, across - down, across + down, down - across]
        limits = numpy.array([picture.shape[1] - 1, picture.shape[0] - 1], dtype="float32")
        wider = numpy.array(
            [numpy.clip(corner + move * room, 0, limits) for corner, move in zip(quad, moves, strict=True)],
            dtype="float32",
        )
        cut = self._cut(picture, wider)
        return cv2.resize(cut, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_CUBIC)


def _width(quad: Any) -> float:
    return float(abs(quad[1][0] - quad[0][0]) + abs(quad[1][1] - quad[0][1]))


def _is_tall(quad: Any) -> bool:
    return bool(abs(quad[3][1] - quad[0][1]) > 1.5 * abs(quad[1][0] - quad[0][0]))


def main() -> None:
    """Serve stdin: say that it is ready, then answer frames until the other side closes."""
    bound_process(MEMORY_BYTES_MAX)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no frame
    reader = Reader()
    answer(answers, {})
    for _, (_, payload) in zip(range(PAGES_MAX), questions(sys.stdin.buffer), strict=False):
        answer(answers, {"words": reader.words(payload)})
