"""DICOM to 8-bit pixels as a viewer shows them, and the few facts that name neither people, places nor days.

Runs in the worker. Of the tags only TAGS are read at all; what goes out of them is a number or a word of a list here.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.uid import UID, JPEGExtended12Bit

from app.media.containers import RefusedPicture
from app.media.raster import check_size

FRAMES_MAX = 10_000
FRAME_BYTES_MAX = 128 * 1024 * 1024
ALL_BYTES_MAX = 8 * 1024 * 1024 * 1024
SPECIES_CHARACTERS_MAX = 64
ASPECT_MAX = 5.0
DIRECTORY = "1.2.840.10008.1.3.10"
TAGS = [
    "SOPClassUID", "Modality", "BodyPartExamined", "ViewPosition", "Laterality", "ImageLaterality",
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence",
    "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelSpacing", "PixelAspectRatio", "BurnedInAnnotation",
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "RepresentativeFrameNumber", "SmallestImagePixelValue", "LargestImagePixelValue",
    "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData",
    "ModalityLUTSequence", "RescaleIntercept", "RescaleSlope", "VOILUTSequence", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths", "PixelData", "FloatPixelData", "DoubleFloatPixelData", "DirectoryRecordSequence",
]  # fmt: skip
"""Every element that is read. None holds a person, a place or a day; species and breed are checked by the clinic."""
OTHER_FILES = (b"MZ", b"\x7fELF", b"%PDF", b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"PK\x03\x04", b"#!", b"<")
"""What DICOM's first 128 bytes, free for anybody's use, must not make of it; a TIFF over the same pixels is usual."""
PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
KINDS = {
    **dict.fromkeys(["CR", "DX", "RG", "RF", "XA", "IO", "PX", "DR"], "radiograph"),
    **dict.fromkeys(["US", "IVUS", "BDUS"], "ultrasound"),
    **dict.fromkeys(["NM", "PT"], "nuclear_medicine"),
    **dict.fromkeys(["XC", "OP", "DG"], "photo"),
    **dict.fromkeys(["GM", "SM"], "microscopy"),
    "CT": "ct",
    "MR": "mri",
    "MG": "mammogram",
    "ES": "endoscopy",
    "OCT": "oct",
    "TG": "thermogram",
    "RTDOSE": "dose_map",
    "RTIMAGE": "radiograph",
    "SEG": "segmentation",
    "ECG": "tracing",
    "OT": "picture",
    "SC": "picture",
}
"""What a picture is, by DICOM's modality."""
WITHOUT_PIXELS = ("SR", "DOC", "PR", "KO", "RTPLAN", "RTSTRUCT", "RTRECORD", "REG", "AU", "HD", "EPS")
USUALLY_LETTERED = ("ultrasound", "endoscopy", "picture")
_BODY_PARTS = """
ABDOMEN ABDOMENPELVIS ADRENAL AIRWAY ANKLE ANUS AORTA ARM ARTERY AXILLA BACK BILEDUCT BLADDER BRAIN BREAST
BRONCHUS BUTTOCK CALCANEUS CALF CARDIAC CARPUS CECUM CERVIX CERVICALSPINE CHEEK CHEST CHESTABDOMEN
CHESTABDPELVIS CLAVICLE COCCYX COLON CORNEA CSPINE CTSPINE CREST DIGIT DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY
EYE EYELID FACE FEMUR FETLOCK FETUS FIBULA FINGER FOOT FOREARM FOREFOOT FORELIMB GALLBLADDER HAND HEAD
HEADNECK HEART HINDLIMB HIP HOCK HOOF HUMERUS ILEUM ILIUM JAW JAWREGION JEJUNUM JOINT KIDNEY KNEE LARYNX LEG
LIVER LSPINE LSSPINE LUMBARSPINE LUNG MANDIBLE MANUS MAXILLA MEDIASTINUM METACARPUS METATARSUS MOUTH MUZZLE
NASALCAVITY NAVICULAR NECK NECKCHEST NOSE ORBIT OVARY PANCREAS PASTERN PATELLA PAW PELVIS PENIS PES PHALANX
PROSTATE RADIUS RADIUSULNA RECTUM RIB RIBS SACRUM SCALP SCAPULA SCROTUM SHOULDER SINUS SKIN SKULL SPINE SPLEEN
SSPINE STERNUM STIFLE STOMACH TAIL TARSUS TEETH TESTIS THIGH THORACICSPINE THORAX THUMB THYMUS THYROID TIBIA
TIBIAFIBULA TLSPINE TMJ TOE TONGUE TOOTH TRACHEA TRUNK TSPINE TYMPANICBULLA ULNA URETER URETHRA UTERUS VAGINA
VEIN VERTEBRA WHOLEBODY WING WRIST ZYGOMA
"""
BODY_PARTS = frozenset(_BODY_PARTS.split())
_VIEWS = """
AP PA LL RL RLD LLD RLO LLO VD DV LAT LATERAL ML LM MLO CC DP DPL DPA PD PL CDCR CRCD CD CR DLPMO DMPLO DMPALO
DLPALO PALD DI OBL OBLIQUE SKYLINE FLEXED AXIAL LEFTLATERAL RIGHTLATERAL VENTRODORSAL DORSOVENTRAL
LATEROMEDIAL MEDIOLATERAL CRANIOCAUDAL CAUDOCRANIAL DORSOPALMAR DORSOPLANTAR PALMARODORSAL PLANTARODORSAL
ROSTROCAUDAL OPENMOUTH XCCL LMO SIO FB
"""
VIEWS = frozenset(_VIEWS.split())
Values = NDArray[Any]


def opened(data: bytes, wanted: int | None) -> tuple[Image.Image, dict[str, Any]]:
    """One frame in 8-bit grey or RGB, and what is known of it.

    Args:
        wanted: which frame, from 1; None for the one that the file says represents it, else the first.

    Raises:
        RefusedPicture: no picture in it, too large, no such frame, an encoding that isn't read.
        Exception: whatever the decoders raise on a broken file.
    """
    if data.startswith(OTHER_FILES):
        raise RefusedPicture("invalid_image", "is two kinds of file at once; export it again")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
        dataset = pydicom.dcmread(io.BytesIO(data), force=True, specific_tags=TAGS)
        syntax = _check_class(dataset)
        frames, frame, chosen = _frame(dataset, wanted)
        _check_bounds(dataset, frames)
        pixels, photometric = _pixels(dataset, frame - 1, frames, syntax)
        spread = _of_frame(dataset, frame - 1)
        image, notes = _shown(pixels, photometric, dataset, spread)
    width, height = image.size
    image, squared = _square(image, dataset, spread)
    facts: dict[str, Any] = {
        "source_width": width,
        "source_height": height,
        "kind": KINDS.get(_word(dataset, "Modality"), "picture"),
        "notes": [*chosen, *notes, *squared],
        "dicom": _facts(dataset, spread, syntax),
    }
    burned_in = _word(dataset, "BurnedInAnnotation")
    if burned_in == "YES":
        facts["notes"].append("The file says that words are burned into its pixels; they stay, and may name people.")
    elif burned_in != "NO" and facts["kind"] in USUALLY_LETTERED:
        facts["notes"].append("Words burned into its pixels, if there are any, stay, and may name people.")
    if frames > 1:
        facts |= {"frame": frame, "frames": frames}
    return image, facts


def _check_class(dataset: Dataset) -> UID:
    """The transfer syntax of a data set that is a picture."""
    named = {str(dataset.get("SOPClassUID", "")), str(getattr(dataset.file_meta, "MediaStorageSOPClassUID", ""))}
    if DIRECTORY in named or "DirectoryRecordSequence" in dataset:
        raise RefusedPicture(
            "unsupported_image_format", "is a DICOMDIR, the index of a disc; send the files that it lists"
        )
    if not len(dataset):
        raise RefusedPicture("invalid_image", "is a broken DICOM file; export it again")
    if not any(name in dataset for name in PIXELS):
        modality = _word(dataset, "Modality")
        said = f" (modality {modality})" if modality in KINDS or modality in WITHOUT_PIXELS else ""
        raise RefusedPicture("unsupported_image_format", f"is a DICOM file without pixels{said}; send the images")
    stated = getattr(dataset.file_meta, "TransferSyntaxUID", None)
    if stated is None:
        implicit, little = dataset.original_encoding
        if implicit:
            return pydicom.uid.ImplicitVRLittleEndian
        return pydicom.uid.ExplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian
    syntax = UID(str(stated))
    try:
        get_decoder(syntax)
    except NotImplementedError:
        name = syntax.name if syntax.name != syntax else "an encoding of its maker"
        raise RefusedPicture("unsupported_image_format", f"is stored as {name}, which is not read here") from None
    return syntax


def _pixels(dataset: Dataset, index: int, frames: int, syntax: UID) -> tuple[Values, str]:
    """The frame's samples and how they are meant."""
    dataset.NumberOfFrames = frames  # a broken figure has been read as 1
    if syntax == JPEGExtended12Bit and _number(dataset, "BitsStored", 8) > 8:
        return _twelve_bit(dataset, index, frames), str(dataset.PhotometricInterpretation)
    decoder = get_decoder(syntax)
    if not decoder.is_available:
        raise RefusedPicture("unsupported_image_format", f"is stored as {syntax.name}, which is not read here")
    try:
        pixels, meta = decoder.as_array(dataset, index=index)
    except AttributeError as error:
        raise RefusedPicture(
            "invalid_image", "is a DICOM file that lacks what its pixels need; export it again"
        ) from error
    return pixels, str(meta["photometric_interpretation"])


def _twelve_bit(dataset: Dataset, index: int, frames: int) -> Values:
    """Lossy JPEG of 12 bits: GDCM reads it, but pydicom doesn't ask it to."""
    import gdcm

    if _number(dataset, "SamplesPerPixel", 1) != 1:
        raise RefusedPicture("unsupported_image_format", "is a colour JPEG of 12 bits, which is not read here")
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(get_frame(dataset.PixelData, index, number_of_frames=frames))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((columns, rows, 1))
    image.SetDataElement(element)
    named = gdcm.PhotometricInterpretation.GetPIType(str(dataset.PhotometricInterpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(named))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(JPEGExtended12Bit))))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, 0))
    found = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM hands bytes over as text
    return np.frombuffer(found, dtype="<u2").reshape(rows, columns)


def _number(dataset: Dataset, name: str, default: int) -> int:
    """A whole number, or the default where there is none or it can't be read."""
    try:
        return int(dataset.get(name))
    except (TypeError, ValueError):
        return default


def _frame(dataset: Dataset, wanted: int | None) -> tuple[int, int, list[str]]:
    """How many frames there are, which is taken (from 1), and why, in words."""
    frames = max(1, _number(dataset, "NumberOfFrames", 1))
    if frames > FRAMES_MAX:
        raise RefusedPicture("image_too_large", f"has {frames} frames; send at most {FRAMES_MAX}")
    if wanted is not None:
        if wanted > frames:
            raise RefusedPicture("invalid_image", f"has {frames} frames; frame {wanted} is not one of them")
        return frames, wanted, [f"Frame {wanted} of {frames}, as asked for."] if frames > 1 else []
    stated = _number(dataset, "RepresentativeFrameNumber", 0)
    if 1 <= stated <= frames and frames > 1:
        return frames, stated, [f"Frame {stated} of {frames}, which the file names as its representative one."]
    more = "; ask for another with ;frame=N in its data URL"
    return frames, 1, [f"Only the first of {frames} frames was used{more}."] if frames > 1 else []


def _check_bounds(dataset: Dataset, frames: int) -> None:
    """Refuse by what the header states, before a byte is decoded."""
    rows, columns = _number(dataset, "Rows", 0), _number(dataset, "Columns", 0)
    if rows < 1 or columns < 1:
        raise RefusedPicture("invalid_image", "is a DICOM file that doesn't state its size; export it again")
    check_size(columns, rows, "dicom")
    samples, bits = _number(dataset, "SamplesPerPixel", 1), _number(dataset, "BitsAllocated", 16)
    if samples not in (1, 3) or bits not in (1, 8, 16, 32, 64):
        raise RefusedPicture("unsupported_image_format", f"has {samples} samples of {bits} bits a pixel")
    size = rows * columns * samples * max(bits, 8) // 8
    if size > FRAME_BYTES_MAX or size * frames > ALL_BYTES_MAX:
        raise RefusedPicture("image_too_large", f"unpacks to {frames} frames of {size // 1_000_000} MB; send less")


def _of_frame(dataset: Dataset, index: int) -> Dataset:
    """The frame's own spacing, rescaling and window: enhanced files keep them in functional groups."""
    found = Dataset()
    groups = []
    if shared := dataset.get("SharedFunctionalGroupsSequence"):
        groups.append(shared[0])
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    if index < len(per_frame):
        groups.append(per_frame[index])
    for source in (
        dataset,
        *(
            item
            for group in groups
            for name in ("PixelMeasuresSequence", "PixelValueTransformationSequence", "FrameVOILUTSequence")
            for item in (group.get(name) or [])[:1]
        ),
    ):
        for name in ("PixelSpacing", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "VOILUTSequence",
                     "WindowCenter", "WindowWidth", "VOILUTFunction"):  # fmt: skip
            if name in source:
                found[name] = source[name]
    return found


def _shown(pixels: Values, photometric: str, dataset: Dataset, spread: Dataset) -> tuple[Image.Image, list[str]]:
    """The pixels as a viewer shows them at first."""
    if photometric == "PALETTE COLOR":
        coloured = apply_color_lut(pixels, dataset)
        return Image.fromarray(_bytes_of(coloured, np.iinfo(coloured.dtype).max), "RGB"), []
    if pixels.ndim == 3:
        bits = _number(dataset, "BitsStored", 8)
        return Image.fromarray(_bytes_of(pixels, 2**bits - 1), "RGB"), []
    padding = _padding(pixels, dataset)
    values = apply_modality_lut(pixels, spread).astype(np.float32, copy=False)
    shown, note = _voi(values, padding, spread)
    notes = [note]
    if photometric == "MONOCHROME1":
        shown = 1.0 - shown
        notes.append("Stored inverted (MONOCHROME1), shown with bone white.")
    shown[padding] = 0.0
    return Image.fromarray((shown * 255.0 + 0.5).astype(np.uint8), "L"), notes


def _bytes_of(pixels: Values, top: int) -> NDArray[np.uint8]:
    """Colour samples between 0 and `top` as bytes."""
    if top == 255:
        return np.ascontiguousarray(pixels.astype(np.uint8, copy=False))
    return np.ascontiguousarray((np.clip(pixels, 0, top).astype(np.float32) * (255.0 / top) + 0.5).astype(np.uint8))


def _padding(pixels: Values, dataset: Dataset) -> Values:
    """Where the file says that no picture is."""
    low = dataset.get("PixelPaddingValue")
    if low is None or low == "":
        return np.zeros(pixels.shape, dtype=bool)
    high = dataset.get("PixelPaddingRangeLimit", low)
    low, high = sorted((int(low), int(high)))
    return np.asarray((pixels >= low) & (pixels <= high))


def _voi(values: Values, padding: Values, spread: Dataset) -> tuple[Values, str]:
    """The values of interest from 0 to 1: by the file's table, by its window, else between two percentiles."""
    stretched = "No window is stored: stretched between the darkest and brightest 0.5 %."
    for made in (_by_table, _by_window):
        found = made(values, spread)
        if found is None:
            continue
        shown, note = found
        if float(np.ptp(shown)) > 0.02 or float(np.ptp(values)) == 0:
            return shown, note
        stretched = "The window stored shows nothing: stretched between the darkest and brightest 0.5 %."
    inside = values[~padding] if padding.any() and not padding.all() else values
    if not np.isfinite(inside).all():
        inside = inside[np.isfinite(inside)]
        if not inside.size:
            raise RefusedPicture("invalid_image", "holds values that are no numbers")
        values = np.nan_to_num(values, nan=0.0, posinf=float(inside.max()), neginf=float(inside.min()))
    low, high = (
        float(value) for value in np.percentile(inside[:: max(1, inside.size // 1_000_000)].ravel(), [0.5, 99.5])
    )
    if high <= low:
        low, high = float(inside.min()), float(inside.max())
    return np.clip((values - low) / max(high - low, 1e-6), 0.0, 1.0), stretched


def _by_table(values: Values, spread: Dataset) -> tuple[Values, str] | None:
    tables = spread.get("VOILUTSequence")
    if not tables:
        return None
    descriptor, content = tables[0].get("LUTDescriptor"), tables[0].get("LUTData")
    if descriptor is None or content is None or len(descriptor) != 3:
        return None
    entries, first, bits = int(descriptor[0]) or 65536, int(descriptor[1]), int(descriptor[2])
    if isinstance(content, bytes):
        content = np.frombuffer(content, dtype="<u2" if len(content) >= 2 * entries else "u1")
    table = np.asarray(content, dtype=np.float32)[:entries]
    if not table.size or not 1 <= bits <= 16:
        return None
    at = np.clip(np.nan_to_num(values) - first, 0, table.size - 1).astype(np.int32)
    return np.clip(table[at] / float(2**bits - 1), 0.0, 1.0), "Shown by the table that the file stores (VOI LUT)."


def _by_window(values: Values, spread: Dataset) -> tuple[Values, str] | None:
    """As PS3.3 C.11.2.1.2 and C.11.2.1.3 have it."""
    centre, width = _first(spread.get("WindowCenter")), _first(spread.get("WindowWidth"))
    if centre is None or width is None or not np.isfinite([centre, width]).all():
        return None
    function = str(spread.get("VOILUTFunction") or "LINEAR").upper()
    note = f"Shown by the window that the file stores (centre {centre:g}, width {width:g})."
    if function == "SIGMOID" and width > 0:
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -60, 60))), note
    if function == "LINEAR_EXACT" and width > 0:
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0), note
    if width > 1:
        return np.clip((values - (centre - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0), note
    return None


def _first(value: Any) -> float | None:
    """The first of one or several figures, or None."""
    if value is None or value == "":
        return None
    if isinstance(value, str | bytes):
        return None
    try:
        return float(value[0]) if hasattr(value, "__len__") else float(value)
    except (TypeError, ValueError, IndexError):
        return None


def _square(image: Image.Image, dataset: Dataset, spread: Dataset) -> tuple[Image.Image, list[str]]:
    """The picture with square pixels."""
    pair = spread.get("PixelSpacing") or dataset.get("ImagerPixelSpacing") or dataset.get("PixelAspectRatio")
    try:
        down, across = float(pair[0]), float(pair[1])
        ratio = down / across
    except (TypeError, ValueError, IndexError, ZeroDivisionError):
        return image, []
    if not 1 / ASPECT_MAX <= ratio <= ASPECT_MAX or 0.99 <= ratio <= 1.01:
        return image, []
    width, height = image.size
    size = (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)
    check_size(*size, "dicom")
    return image.resize(size, Image.Resampling.BICUBIC), ["Its pixels are not square; it was stretched to true shape."]


def _word(dataset: Dataset, name: str) -> str:
    """A coded word, folded; empty where there is none."""
    value = dataset.get(name)
    return re.sub(r"[^A-Z0-9]", "", str(value).upper()) if value is not None else ""


def _facts(dataset: Dataset, spread: Dataset, syntax: UID) -> dict[str, Any]:
    """What is kept: words of our own lists, numbers, and the species and breed as written, for the clinic to check."""
    modality, part, view = (_word(dataset, name) for name in ("Modality", "BodyPartExamined", "ViewPosition"))
    side = _word(dataset, "ImageLaterality") or _word(dataset, "Laterality")
    facts: dict[str, Any] = {
        "modality": modality if modality in KINDS else None,
        "body_part": part.lower() if part in BODY_PARTS else None,
        "view": view if view in VIEWS else None,
        "laterality": {"L": "left", "R": "right", "B": "both", "U": "unpaired"}.get(side),
    }
    for name, of in (
        ("PixelSpacing", "patient"),
        ("ImagerPixelSpacing", "detector"),
        ("NominalScannedPixelSpacing", "detector"),
    ):
        pair = (spread if name == "PixelSpacing" else dataset).get(name)
        try:
            spacing = [round(float(pair[0]), 5), round(float(pair[1]), 5)]
        except (TypeError, ValueError, IndexError):
            continue
        if all(0 < value < 100 for value in spacing):
            facts |= {"pixel_spacing_mm": spacing, "pixel_spacing_at": of}
            break
    facts["transfer_syntax"] = syntax.name
    for fact, name, codes in (
        ("species", "PatientSpeciesDescription", "PatientSpeciesCodeSequence"),
        ("breed", "PatientBreedDescription", "PatientBreedCodeSequence"),
    ):
        said = dataset.get(name)
        if not said and (coded := dataset.get(codes)):
            said = coded[0].get("CodeMeaning")
        if said:
            facts[fact] = re.sub(r"[^\w .,'()/-]", " ", str(said))[:SPECIES_CHARACTERS_MAX].strip()
    return {name: value for name, value in facts.items() if value is not None}
