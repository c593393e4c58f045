"""Files made in code, for tests: pictures, DICOM, PDF."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from app.base.messages import PictureUrl

PARAM = "messages[0].content[1].image_url.url"
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAaFtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAADRp"
    "bG9jAAAAAERAAAIAAQAAAAABxQABAAAAAAAAADsAAgAAAAACAAABAAAAAAAAAF4AAAA4aWluZgAAAAAAAgAAABVpbmZlAgAAAAABAABo"
    "dmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAA4GlwcnAAAADAaXBjbwAAAHhodmNDAQNwAAAAkAAAAAAAHvAA"
    "/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQArQgEBA3AAAAMAkAAAAwAAAwAeoDCBBZbqSSmubgIaDAgAAAMA"
    "yAAAAwAIQGIAAQAHRAHBcrAiQAAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABgAAAAQAAAABBwaXhpAAAAAAMICAgAAAAJ"
    "aXJvdAMAAAAYaXBtYQAAAAAAAAABAAEFgQIDBIUAAAAaaXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAKFtZGF0AAAANygBrxOAw8N4TN//"
    "Ciiv7W9X0OaRbmuec3Cub6555SsfittJJJGg4ANsisFAyXMzcAIWlVuXEUwAAAAGRXhpZgAATU0AKgAAAAgAAwEPAAIAAAAQAAAAMgES"
    "AAMAAAABAAYAAIglAAQAAAABAAAAQgAAAABDYW1lcmFNYWtlck5hbWUAAAEAAQACAAAAAk4AAAAAAAAA"
)
"""96 x 64 px, red with a blue upper third, turned by its orientation; a camera's name and a place in its Exif."""


def file_of(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The picture as a file."""
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def url_of(data: bytes, declared: str = "image/jpeg") -> PictureUrl:
    """The file as a caller sends it."""
    return PictureUrl(f"data:{declared};base64,{base64.b64encode(data).decode()}", PARAM)


def noise(width: int = 48, height: int = 40, mode: str = "RGB") -> Image.Image:
    """A picture that doesn't compress, always the same."""
    values = np.random.default_rng(7).integers(0, 256, (height, width, 4), dtype=np.uint8)
    return Image.fromarray(values, "RGBA").convert(mode)


def png_chunk(name: bytes, content: bytes) -> bytes:
    """One chunk with its checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(*chunks: bytes) -> bytes:
    """A file of these chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png_head(width: int, height: int, depth: int = 8, colour: int = 2, interlace: int = 0) -> bytes:
    """The first chunk."""
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def dicom(pixels: np.ndarray[Any, Any] | None, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> bytes:
    """A DICOM file of grey (2 axes), colour (3, the last of 3) or many frames (`NumberOfFrames` among the tags).

    A tag given as None is left out.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(ExplicitVRLittleEndian)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = tags.pop("SOPClassUID", CTImageStorage)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.Modality = "DX"
    if pixels is not None:
        colour = pixels.ndim >= 3 and pixels.shape[-1] == 3
        dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
        dataset.SamplesPerPixel = 3 if colour else 1
        dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
        if colour:
            dataset.PlanarConfiguration = 0
        dataset.BitsAllocated = dataset.BitsStored = pixels.dtype.itemsize * 8
        dataset.HighBit = dataset.BitsStored - 1
        dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
        content = pixels.tobytes()
        dataset.add_new("PixelData", "OB" if pixels.dtype.itemsize == 1 else "OW", content + b"\0" * (len(content) % 2))
    out = io.BytesIO()
    with pydicom.config.disable_value_validation():
        for name, value in tags.items():
            if value is None:
                del dataset[name]
            else:
                setattr(dataset, name, value)
        pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    # The syntax is only named: what it promises is for the test to say.
    stated, wanted = ExplicitVRLittleEndian.encode() + b"\0", syntax.encode() + b"\0" * (len(syntax) % 2)
    if wanted == stated:
        return out.getvalue()
    field = b"\x02\x00\x10\x00UI"
    before, after = (field + struct.pack("<H", len(one)) + one for one in (stated, wanted))
    data = out.getvalue().replace(before, after, 1)
    (length,) = struct.unpack_from("<I", data, 140)
    return data[:140] + struct.pack("<I", length + len(wanted) - len(stated)) + data[144:]


def pdf(
    pages: int = 1, size: tuple[float, float] = (595, 842), content: bytes = b"", words: str = "", extra: bytes = b""
) -> bytes:
    """A PDF whose pages hold a line of words in Helvetica, or the content given."""
    drawn = content or b"BT /F1 18 Tf 50 700 Td (" + words.encode("latin-1") + b") Tj ET"
    kids = b" ".join(b"%d 0 R" % (5 + number) for number in range(pages))
    box = b"%g %g" % size
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R " + extra + b">>",
        b"<< /Type /Pages /Kids [" + kids + b"] /Count %d >>" % pages,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Length %d >>\nstream\n" % len(drawn) + drawn + b"\nendstream",
        *(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 " + box + b"] /Contents 4 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>"
            for _ in range(pages)
        ),
    ]
    return pdf_of(objects)


def pdf_of(objects: list[bytes], trailer: bytes = b"") -> bytes:
    """A file of these objects, numbered from 1; the first is the catalogue."""
    out, places = b"%PDF-1.7\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
        + table
        + b"trailer\n<< /Size %d /Root 1 0 R " % (len(objects) + 1)
        + trailer
        + b">>\nstartxref\n%d\n%%%%EOF\n" % len(out)
    )
