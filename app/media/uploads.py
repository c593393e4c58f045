"""From a data URL to bytes and what they really are: no pixel is looked at here."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pybase64

from app.base.errors import Invalid

BYTES_MAX = 20 * 1024 * 1024
MEDIA_TYPES = {
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "gif": "image/gif",
    "tiff": "image/tiff",
    "bmp": "image/bmp",
    "avif": "image/avif",
    "heic": "image/heic",
    "dicom": "application/dicom",
    "pdf": "application/pdf",
}
"""Every format that is taken, and how it is declared."""
DECLARED = {
    **{media_type: name for name, media_type in MEDIA_TYPES.items()},
    **dict.fromkeys(["image/jpg", "image/pjpeg"], "jpeg"),
    **dict.fromkeys(["image/apng", "image/x-png"], "png"),
    "image/tif": "tiff",
    **dict.fromkeys(["image/x-bmp", "image/x-ms-bmp"], "bmp"),
    **dict.fromkeys(["image/heif", "image/heic-sequence", "image/heif-sequence"], "heic"),
    "image/dicom": "dicom",
    "application/octet-stream": "",
}
"""What a caller may declare, and the format that it names; octet-stream leaves it to the bytes."""
DOCUMENTS = ("dicom", "pdf")
"""Formats that a wrong declaration never turns into: they are more than a picture."""
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"mif2"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
TAKEN = "Send JPEG, PNG, WebP, GIF, HEIC, AVIF, TIFF, BMP, DICOM or PDF"
_FRAME = re.compile(r"frame=([1-9][0-9]{0,5})")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came.

    Attributes:
        declared: the media type its data URL names.
        format: what its bytes are; a key of MEDIA_TYPES.
        frame: which of its frames is asked for, from 1; None leaves it to the file.
    """

    declared: str
    format: str
    data: bytes
    frame: int | None = None


def real_format(data: bytes) -> str | None:
    """What the first bytes say the file is, or None."""
    if data[128:132] == b"DICM":
        return "dicom"
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    if data[4:8] == b"ftyp":
        return _isobmff(data)
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "tiff"
    if data.startswith(b"%PDF-"):
        return "pdf"
    if data.startswith(b"BM"):
        return "bmp"
    return None


def _isobmff(data: bytes) -> str | None:
    """AVIF or HEIC by the brands of the first box."""
    length = min(int.from_bytes(data[:4], "big"), 256)
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, length - 3, 4))}
    if brands & AVIF_BRANDS:
        return "avif"
    return "heic" if brands & HEIF_BRANDS else None


def _bare_dicom(data: bytes) -> bool:
    """A data set without the preamble: it begins with an element of group 2 or 8."""
    return data[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08", b"\x00\x02") and len(data) > 132


def read_data_url(url: str, param: str) -> Upload:
    """The file in a data URL.

    Raises:
        Invalid: image_url_not_allowed, unsupported_image_format, invalid_image, image_too_large; `param` is given on.
    """

    def refused(message: str, code: str = "invalid_image") -> Invalid:
        return Invalid(message, code=code, param=param)

    scheme, colon, rest = url.partition(":")
    if not colon or scheme.lower() != "data":
        raise refused(
            "Send the file itself as data:image/jpeg;base64,...; addresses are not fetched.", "image_url_not_allowed"
        )
    head, comma, payload = rest.partition(",")
    declared, *options = [piece.strip().lower() for piece in head.split(";")]
    if declared not in DECLARED:
        raise refused(f"{TAKEN}, declared as image/jpeg, application/dicom and so on.", "unsupported_image_format")
    if not comma or "base64" not in options:
        raise refused("Write the file as data:image/jpeg;base64,...")
    if len(payload) > (BYTES_MAX + 2) // 3 * 4 + 4:
        raise refused("The file is over 20 MB; send a smaller one.", "image_too_large")
    try:
        data = pybase64.b64decode(payload.encode("ascii"), validate=True)
    except ValueError:
        raise refused("The file's base64 is broken; use the standard alphabet with padding.") from None
    if len(data) > BYTES_MAX:
        raise refused("The file is over 20 MB; send a smaller one.", "image_too_large")
    real = real_format(data)
    if real is None and DECLARED[declared] == "dicom" and _bare_dicom(data):
        real = "dicom"
    if real is None:
        raise refused(
            f"The bytes are none of the formats taken here, whatever they are declared as. {TAKEN}.",
            "unsupported_image_format" if data else "invalid_image",
        )
    meant = DECLARED[declared]
    if meant not in ("", real) and (meant in DOCUMENTS or real in DOCUMENTS):
        raise refused(f"The file is declared as {declared} and is {real.upper()}; declare it as {MEDIA_TYPES[real]}.")
    frames = [found for option in options if (found := _FRAME.fullmatch(option))]
    return Upload(declared, real, data, int(frames[0][1]) if frames else None)
