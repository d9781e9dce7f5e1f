"""What a DICOM data set says about its picture, and whether that is a radiograph that can be shown (PS3.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from triage.dicom_attributes import read_code, read_integer, unsupported
from triage.dicom_file import JPEG_SYNTAXES, NATIVE_SYNTAXES, Coding
from triage.rejections import ImageRejected, Limits

# Secondary captures and digitised films come as OT, SC or without a modality.
_RADIOGRAPHS = {"", "CR", "DX", "RG", "OT", "SC"}
_OTHER_MODALITIES = {
    "BMD": "bone densitometry",
    "CT": "computed tomography",
    "DOC": "a document",
    "ECG": "an electrocardiogram",
    "ES": "endoscopy",
    "IO": "intra-oral radiography",
    "KO": "a list of key objects",
    "MG": "mammography",
    "MR": "magnetic resonance",
    "NM": "nuclear medicine",
    "OP": "ophthalmic photography",
    "PR": "a presentation state",
    "PT": "positron emission tomography",
    "PX": "panoramic dental radiography",
    "REG": "a registration",
    "RF": "fluoroscopy",
    "RTIMAGE": "a radiotherapy image",
    "SEG": "a segmentation",
    "SM": "slide microscopy",
    "SR": "a structured report",
    "US": "ultrasound",
    "XA": "angiography",
    "XC": "a photograph",
}

_PHOTOMETRICS = {
    "MONOCHROME1",
    "MONOCHROME2",
    "PALETTE COLOR",
    "RGB",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_PARTIAL_420",
    "YBR_PARTIAL_422",
    "YBR_ICT",
    "YBR_RCT",
    "HSV",
    "ARGB",
    "CMYK",
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
    _check_modality(dataset)
    if read_integer(dataset, "NumberOfFrames", 1) > 1:
        frames = read_integer(dataset, "NumberOfFrames")
        raise ImageRejected(
            "dicom_multi_frame",
            f"The file holds {frames} frames. Export the one X-ray that matters as a single image.",
        )
    if "Rows" not in dataset or "Columns" not in dataset:
        raise no_pixels()
    rows, columns = read_integer(dataset, "Rows"), read_integer(dataset, "Columns")
    limits.check_size(columns, rows)
    photometric, samples = _check_photometric(dataset, coding)
    _check_syntax(coding)
    allocated = read_integer(dataset, "BitsAllocated")
    stored = read_integer(dataset, "BitsStored", allocated)
    high_bit = read_integer(dataset, "HighBit", stored - 1)
    if allocated not in (8, 16):
        raise unsupported(f"it has {allocated} bits per sample")
    if not 1 <= stored <= high_bit + 1 <= allocated:
        raise unsupported(f"{stored} bits up to bit {high_bit} do not fit into {allocated}")
    if samples == 3 and (allocated, stored) != (8, 8):
        raise unsupported("it is in colour with more than 8 bits per sample")
    shape = read_code(dataset, "PresentationLUTShape")
    if (photometric, shape) in {("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")}:
        raise unsupported(f"{photometric} and presentation LUT shape {shape} contradict each other")
    if read_code(dataset, "PresentationIntentType") == "FOR PROCESSING":
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


def _check_modality(dataset: Dataset) -> None:
    modality = read_code(dataset, "Modality")
    if modality in _RADIOGRAPHS:
        return
    known = _OTHER_MODALITIES.get(modality)
    name = f"{known} (modality {modality})" if known else "of a modality that is no plain radiography"
    raise ImageRejected(
        "dicom_not_a_radiograph",
        f"The file is {name}. Only radiographs (modality CR, DX or RG) are looked at.",
    )


def _check_photometric(dataset: Dataset, coding: Coding) -> tuple[str, int]:
    photometric = read_code(dataset, "PhotometricInterpretation")
    samples = read_integer(dataset, "SamplesPerPixel", 1)
    expected = {"MONOCHROME1": 1, "MONOCHROME2": 1, "RGB": 3, "YBR_FULL": 3}
    if coding.syntax in JPEG_SYNTAXES:
        expected["YBR_FULL_422"] = 3
    if expected.get(photometric) != samples:
        named = photometric if photometric in _PHOTOMETRICS else "(missing or unknown)"
        raise ImageRejected(
            "dicom_unsupported_photometric",
            f"The photometric interpretation {named} with {samples} samples per pixel is not supported. "
            "Export the X-ray as MONOCHROME2, PNG or JPEG.",
        )
    return photometric, samples


def _check_syntax(coding: Coding) -> None:
    if coding.syntax is None or coding.syntax in NATIVE_SYNTAXES | JPEG_SYNTAXES | {uid.RLELossless}:
        return
    plain = coding.syntax if re.fullmatch(r"[0-9.]{1,64}", coding.syntax) else "an unreadable UID"
    name = uid.UID(plain).name if plain == coding.syntax else plain
    named = f"{name} ({plain})" if name != plain else plain
    raise ImageRejected(
        "dicom_unsupported_syntax",
        f"The transfer syntax is {named}, which is not supported. "
        "Export the X-ray uncompressed (Explicit VR Little Endian), as PNG or as JPEG.",
    )


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


def no_pixels() -> ImageRejected:
    """The refusal of a data set without pixel data."""
    return ImageRejected(
        "dicom_no_pixels",
        "The DICOM file holds no picture, only data about one. Send the image object itself.",
    )
