"""A DICOM file to its data set (PS3.10 and PS3.5): the attributes that are looked at, and how they are coded."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import pydicom.config
from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator, read_dataset

from triage.rejections import ImageRejected, Limits, cut_short

# pydicom's complaints quote values and file names, either of which can be a patient's name: not into any log.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

NATIVE_SYNTAXES = {
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
}
JPEG_SYNTAXES = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit}  # of the second, the 8-bit files

# All that is ever read out of a file: no name, no birth date, no free text.
_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "Modality",
    "PresentationIntentType",
    "PresentationLUTShape",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelAspectRatio",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "NominalScannedPixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "VOILUTSequence",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "PixelData",
)
_TAGS: list[Any] = [tag_for_keyword(keyword) for keyword in _KEYWORDS]
_FIRST_PIXEL_TAG = 0x7FE00008
_LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"}


@dataclass(frozen=True)
class Coding:
    """How the bytes of the data set are to be read.

    Attributes:
        syntax: transfer syntax UID; None where the file does not say.
        implicit: whether the elements come without their VR.
        little_endian: the order of the bytes in each number.
    """

    syntax: str | None
    implicit: bool
    little_endian: bool


def _read_meta(stream: BinaryIO) -> str | None:
    """Read the file meta information (PS3.10, 7.1); leaves the stream where the data set begins.

    Returns:
        The transfer syntax UID, or None where there is none: files from before PS3.10, without a meta header.
    """
    stream.seek(128)
    if stream.read(4) != b"DICM":
        stream.seek(0)
    syntax = None
    while True:
        start = stream.tell()
        head = stream.read(8)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            stream.seek(start)
            return syntax
        tag, vr, length = head[:4], head[4:6], struct.unpack_from("<H", head, 6)[0]
        if vr in _LONG_VRS:
            (length,) = struct.unpack("<I", stream.read(4))
        elif not vr.isalpha():  # some writers use implicit VR here, against the standard
            (length,) = struct.unpack_from("<I", head, 4)
        if tag == b"\x02\x00\x10\x00":
            syntax = stream.read(min(length, 1024)).rstrip(b"\0 ").decode("ascii", "replace")
        else:
            stream.seek(length, io.SEEK_CUR)


def read_data_set(stream: BinaryIO, limits: Limits, *, with_pixels: bool) -> tuple[Dataset, Coding]:
    """Read those of a file's attributes that this program looks at.

    Args:
        stream: at the start of the file.
        limits: how large a deflated data set may become.
        with_pixels: False to stop before the pixel data.

    Returns:
        The data set, whose values are not yet decoded, and its coding.

    Raises:
        ImageRejected: `unknown_type`, `truncated` or `too_large`.
    """
    syntax = _read_meta(stream)
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        stream = io.BytesIO(_inflate(stream.read(), limits))
    start = stream.tell()
    if syntax is None:
        # Without a meta header only the first element tells; big endian never came without one.
        implicit = not stream.read(6)[4:].isupper()
        stream.seek(start)
        coding = Coding(None, implicit, little_endian=True)
    else:
        coding = Coding(syntax, syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian)

    def at_pixels(tag: int, _vr: str | None, _length: int) -> bool:
        return tag >= _FIRST_PIXEL_TAG

    dataset = read_dataset(
        stream,
        coding.implicit,
        coding.little_endian,
        stop_when=None if with_pixels else at_pixels,
        specific_tags=_TAGS,
    )
    if syntax is None and not ("SOPClassUID" in dataset or "Rows" in dataset):
        raise ImageRejected("unknown_type", "The content is no picture that is known here. Send JPEG, PNG or DICOM.")
    wanted = ("Rows", "PixelData") if with_pixels else ("Rows",)
    if not all(keyword in dataset for keyword in wanted) and _ends_inside_an_element(stream, start, dataset):
        raise cut_short("DICOM file")
    return dataset, coding


def _inflate(deflated: bytes, limits: Limits) -> bytes:
    """Inflate a data set (PS3.5, A.5) to `limits.max_bytes` at most: a megabyte can hold a gigabyte."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(deflated, limits.max_bytes + 1)
    if len(inflated) > limits.max_bytes:
        raise ImageRejected(
            "too_large",
            f"Inflated, the DICOM file has more than the {limits.max_bytes:,} bytes that are read. "
            "Export the X-ray smaller, or raise TRIAGE_MAX_BYTES.",
        )
    if not inflater.eof:
        raise cut_short("DICOM file")
    return inflated


def _ends_inside_an_element(stream: BinaryIO, start: int, dataset: Dataset) -> bool:
    """Whether the file ends inside an element, rather than lacking what is looked for."""
    implicit, little_endian = dataset.original_encoding
    size = stream.seek(0, io.SEEK_END)
    stream.seek(start)
    try:
        for _ in data_element_generator(stream, bool(implicit), bool(little_endian), specific_tags=[0x00080005]):
            pass
    except (EOFError, struct.error, IndexError):
        return True
    return stream.tell() > size
