"""Pages of a PDF to pixels, with the words of their own text layer. Runs in the worker."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pypdfium2
from PIL import Image

from app.media.containers import RefusedPicture
from app.media.raster import check_size

PAGES_MAX = 1_000
WORDS_MAX = 20_000
POINTS_MAX = 20_000
"""PDF allows 14,400 points a side."""


def opened(data: bytes, page_index: int, side_px: int) -> tuple[Image.Image, dict[str, Any]]:
    """One page, its longer side `side_px` long, and what is known of it.

    Raises:
        RefusedPicture: locked, broken, without such a page.
    """
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if getattr(error, "err_code", None) == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise RefusedPicture("invalid_image", "is a PDF locked with a password; send it unlocked") from None
        raise RefusedPicture("invalid_image", "is a broken PDF; save it again") from None
    with suppress(pypdfium2.PdfiumError):
        document.init_forms()
    pages = len(document)
    if not pages:
        raise RefusedPicture("invalid_image", "is a PDF without a page")
    if pages > PAGES_MAX:
        raise RefusedPicture("image_too_large", f"is a PDF of {pages} pages; send the pages that matter")
    if page_index >= pages:
        raise RefusedPicture("invalid_image", f"has {pages} pages; page {page_index + 1} is not one of them")
    page = document[page_index]
    width, height = page.get_size()
    longest = max(width, height)
    if not 1 <= longest <= POINTS_MAX:
        raise RefusedPicture("invalid_image", "has a page without a size that paper could have; save it again")
    scale = side_px / longest
    check_size(round(width * scale), round(height * scale), "pdf")
    picture = page.render(scale=scale, rev_byteorder=True).to_pil().convert("RGB")
    return picture, {
        "source_width": picture.width,
        "source_height": picture.height,
        "kind": "document",
        "page": page_index + 1,
        "pages": pages,
        "words": _words(page),
        "notes": [],
    }


def _words(page: Any) -> str:
    with suppress(pypdfium2.PdfiumError):
        text = page.get_textpage()
        count = text.count_chars()
        if count > 0:
            return str(text.get_text_range(0, min(count, WORDS_MAX)))
    return ""
