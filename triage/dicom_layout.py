"""What a DICOM data set says about its picture, and whether that is a radiograph that can be shown (PS3.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from triage.codecs import HTJ2K, JPEG_2000
from triage.dicom_attributes import read_code, read_integer, read_uid, unsupported
from triage.dicom_file import CODECS, NATIVE_SYNTAXES, Coding
from triage.radiography import OTHER_MODALITIES, UNSPECIFIC
from triage.rejections import ImageRejected, Limits

SAMPLES: Final = {
    "MONOCHROME1": 1,
    "MONOCHROME2": 1,
    "PALETTE COLOR": 1,
    "RGB": 3,
    "YBR_FULL": 3,
    "YBR_FULL_422": 3,
    "YBR_PARTIAL_422": 3,
    "YBR_ICT": 3,
    "YBR_RCT": 3,
}
"""Photometric interpretations that are shown, and their samples per pixel (PS3.3 C.7.6.3.1.2)."""

_RETIRED: Final = {"YBR_PARTIAL_420", "HSV", "ARGB", "CMYK", "XYB"}

_FOR_PROCESSING: Final = {
    uid.DigitalXRayImageStorageForProcessing,
    uid.DigitalMammographyXRayImageStorageForProcessing,
    uid.DigitalIntraOralXRayImageStorageForProcessing,
}

_SQUARE_WITHIN = 0.01
"""Pixels whose sides differ by less than this fraction are taken as square."""


@dataclass(frozen=True)
class Layout:
    """How the pixels lie in the pixel data (PS3.3 C.7.6.3), and what they show.

    Attributes:
        rows: as stored.
        columns: as stored.
        samples: per pixel, 1 or 3.
        allocated: bits per sample in the file, 8 or 16.
        stored: bits of each sample that hold its value.
        high_bit: the highest of those, counted from 0.
        signed: whether the value is in two's complement.
        photometric: photometric interpretation.
        planar: whether colours come plane after plane.
        shown_height: with square pixels, in pixels.
        shown_width: with square pixels, in pixels.
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: bool
    shown_height: int
    shown_width: int


def examine(dataset: Dataset, coding: Coding, limits: Limits) -> Layout:
    """Refuse by name what the attributes say cannot be shown, the plainest reason first.

    Raises:
        ImageRejected: one of the `dicom_` codes, `damaged` or `too_many_pixels`.
    """
    _check_object(dataset, coding, limits)
    if (frames := read_integer(dataset, "NumberOfFrames", 1)) > 1:
        raise several_frames(frames)
    if "Rows" not in dataset or "Columns" not in dataset:
        raise no_pixels()
    rows, columns = read_integer(dataset, "Rows"), read_integer(dataset, "Columns")
    limits.check_size(columns, rows)
    photometric, samples = _check_photometric(dataset, coding)
    _check_syntax(coding)
    _check_compressed_colours(photometric, coding)
    allocated = read_integer(dataset, "BitsAllocated")
    stored = read_integer(dataset, "BitsStored", allocated)
    high_bit = read_integer(dataset, "HighBit", stored - 1)
    if allocated not in (8, 16):
        raise unsupported(f"it has {allocated} bits per sample")
    if not 1 <= stored <= high_bit + 1 <= allocated:
        raise unsupported(f"{stored} bits up to bit {high_bit} do not fit into {allocated}")
    if photometric.startswith("YBR") and (allocated, stored) != (8, 8):
        raise unsupported(f"it is {photometric} with {stored} bits per sample")
    shape = read_code(dataset, "PresentationLUTShape")
    if (photometric, shape) in {("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")}:
        raise unsupported(f"{photometric} and presentation LUT shape {shape} contradict each other")
    sop_class = read_uid(dataset, "SOPClassUID") or coding.sop_class
    if read_code(dataset, "PresentationIntentType") == "FOR PROCESSING" or sop_class in _FOR_PROCESSING:
        raise unsupported("it is marked FOR PROCESSING, raw detector data; send the image FOR PRESENTATION")
    height, width = _square_size(dataset, rows, columns)
    limits.check_size(width, height)
    return Layout(
        rows=rows,
        columns=columns,
        samples=samples,
        allocated=allocated,
        stored=stored,
        high_bit=high_bit,
        signed=read_integer(dataset, "PixelRepresentation", 0) == 1,
        photometric=photometric,
        planar=read_integer(dataset, "PlanarConfiguration", 0) == 1,
        shown_height=height,
        shown_width=width,
    )


def _check_object(dataset: Dataset, coding: Coding, limits: Limits) -> None:
    """Refuse what is no radiograph, by its modality, or by its SOP class where the modality does not tell."""
    modality = read_code(dataset, "Modality")
    if modality in limits.modalities:
        return
    sop_class = read_uid(dataset, "SOPClassUID") or coding.sop_class
    if modality in UNSPECIFIC and sop_class in limits.sop_classes:
        return
    name = uid.UID(sop_class).name
    if modality in OTHER_MODALITIES:
        what = f"is {OTHER_MODALITIES[modality]} (modality {modality})"
    elif name != sop_class:
        what = f"is no radiograph but of the kind {name}"
    else:
        what = "is of a modality that is no plain radiography" if modality else "does not say what it shows"
    raise ImageRejected(
        "dicom_not_a_radiograph",
        f"The file {what}. Only radiographs (modality {', '.join(sorted(limits.modalities))}) and secondary "
        "captures are looked at; TRIAGE_DICOM_MODALITIES and TRIAGE_DICOM_SOP_CLASSES say which.",
    )


def _check_photometric(dataset: Dataset, coding: Coding) -> tuple[str, int]:
    photometric = read_code(dataset, "PhotometricInterpretation")
    samples = read_integer(dataset, "SamplesPerPixel", 1)
    tables = [f"{colour}PaletteColorLookupTable" for colour in ("Red", "Green", "Blue")]
    if photometric == "PALETTE COLOR" and not all(f"{name}Data" in dataset for name in tables):
        raise ImageRejected(
            "dicom_unsupported_photometric",
            "The photometric interpretation is PALETTE COLOR, and its tables of colours are missing or in segments. "
            "Export the X-ray as MONOCHROME2, PNG or JPEG.",
        )
    if SAMPLES.get(photometric) != samples:
        named = photometric if photometric in SAMPLES or photometric in _RETIRED else "(missing or unknown)"
        raise ImageRejected(
            "dicom_unsupported_photometric",
            f"The photometric interpretation {named} with {samples} samples per pixel is not supported. "
            "Export the X-ray as MONOCHROME2, PNG or JPEG.",
        )
    return photometric, samples


_NAMES: Final = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
    "1.2.840.10008.1.2.8.1": "Deflated Image Frame Compression",
    "1.2.840.113619.5.2": "Implicit VR Big Endian DLX (GE Private)",
}
"""Transfer syntaxes that pydicom has no name for (PS3.6, table A-1; the last from GE's conformance statements)."""


def _check_syntax(coding: Coding) -> None:
    if coding.syntax is None or coding.syntax in NATIVE_SYNTAXES | CODECS.keys() | {uid.RLELossless}:
        return
    plain = coding.syntax if re.fullmatch(r"[0-9.]{1,64}", coding.syntax) else "an unreadable UID"
    name = _NAMES.get(plain) or (uid.UID(plain).name if plain == coding.syntax else plain)
    named = f"{name} ({plain})" if name != plain else plain
    raise ImageRejected(
        "dicom_unsupported_syntax",
        f"The transfer syntax is {named}, which is not supported. "
        "Export the X-ray uncompressed (Explicit VR Little Endian), as PNG or as JPEG.",
    )


def _check_compressed_colours(photometric: str, coding: Coding) -> None:
    """Which colour models a compression can hold (PS3.5, 8.2): elsewhere they would be taken for others."""
    native = coding.syntax is None or coding.syntax in NATIVE_SYNTAXES
    jpeg_2000 = CODECS.get(coding.syntax or "") in (JPEG_2000, HTJ2K)
    fits = {
        "YBR_FULL_422": native or coding.syntax in (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit),
        "YBR_PARTIAL_422": native,
        "YBR_ICT": jpeg_2000,
        "YBR_RCT": jpeg_2000,
    }
    if not fits.get(photometric, True):
        raise unsupported(f"{photometric} does not go with its compression")


def _square_size(dataset: Dataset, rows: int, columns: int) -> tuple[int, int]:
    """Height and width with square pixels: the coarser direction is stretched (PS3.3 C.7.6.3.1.7, 10.7.1.1).

    Spacings and ratio are given as vertical, then horizontal. A value that is not positive says nothing.
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio"):
        value = dataset.get(keyword)
        if not isinstance(value, (list, MultiValue)) or len(value) != 2:
            continue
        vertical, horizontal = float(value[0]), float(value[1])
        if not (0 < vertical < np.inf and 0 < horizontal < np.inf):
            continue
        ratio = vertical / horizontal
        if abs(ratio - 1) <= _SQUARE_WITHIN:
            break
        return (round(rows * ratio), columns) if ratio > 1 else (rows, round(columns / ratio))
    return rows, columns


def several_frames(count: int) -> ImageRejected:
    """The refusal of a picture that moves."""
    return ImageRejected(
        "dicom_multi_frame",
        f"The file holds {count} frames. Export the one X-ray that matters as a single image.",
    )


def no_pixels() -> ImageRejected:
    """The refusal of a data set without pixel data."""
    return ImageRejected(
        "dicom_no_pixels",
        "The DICOM file holds no picture, only data about one. Send the image object itself.",
    )
