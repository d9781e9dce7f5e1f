"""A DICOM file to its data set (PS3.10 and PS3.5): the attributes that are looked at, and how they are coded."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast

import pydicom.config
from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator, read_dataset

from triage.codecs import HTJ2K, JPEG, JPEG_2000, JPEG_LS
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
CODECS: Final[dict[str, bytes]] = {
    uid.JPEGBaseline8Bit: JPEG,
    uid.JPEGExtended12Bit: JPEG,
    uid.JPEGLossless: JPEG,
    uid.JPEGLosslessSV1: JPEG,
    uid.JPEGLSLossless: JPEG_LS,
    uid.JPEGLSNearLossless: JPEG_LS,
    uid.JPEG2000Lossless: JPEG_2000,
    uid.JPEG2000: JPEG_2000,
    uid.HTJ2KLossless: HTJ2K,
    uid.HTJ2KLosslessRPCL: HTJ2K,
    uid.HTJ2K: HTJ2K,
}
"""Transfer syntaxes whose pixels are a codestream, and what decodes it (PS3.5, annex A.4)."""

# All that is ever read out of a file: no name, no birth date, no free text but the short names of its windows.
_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "Modality",
    "BodyPartExamined",
    "ViewPosition",
    "Laterality",
    "ImageLaterality",
    "BurnedInAnnotation",
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
    "WindowCenterWidthExplanation",
    "VOILUTFunction",
    "VOILUTSequence",
    "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData",
    "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData",
    "FloatPixelData",
    "DoubleFloatPixelData",
    "PixelData",
)
_TAGS: list[Any] = [tag_for_keyword(keyword) for keyword in _KEYWORDS]
_SYNTAX, _SOP_CLASS = b"\x02\x00\x10\x00", b"\x02\x00\x02\x00"
_FIRST_PIXEL_TAG = 0x7FE00008
_MOST_READS = 100_000
"""Of a file, before it is refused: an X-ray has some hundred elements, and each takes one or two."""

_LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"}


@dataclass(frozen=True)
class Coding:
    """How the bytes of the data set are to be read.

    Attributes:
        syntax: transfer syntax UID; None where the file does not say.
        implicit: whether the elements come without their VR.
        little_endian: the order of the bytes in each number.
        sop_class: UID of the kind of object, as the meta header has it; empty where that does not say.
    """

    syntax: str | None
    implicit: bool
    little_endian: bool
    sop_class: str = ""


class Rationed:
    """A stream that can be read from `_MOST_READS` times.

    Elements and items of no length cost 8 bytes of a file, and microseconds and hundreds of bytes of memory here: the
    watcher would be busy for a quarter of an hour with a file that holds nothing else.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell, self._read = stream.seek, stream.tell, stream.read
        self._left = _MOST_READS

    def read(self, size: int = -1) -> bytes:
        """As of the stream itself.

        Raises:
            ImageRejected: `damaged`, it was read from too often.
        """
        self._left -= 1
        if self._left < 0:
            raise ImageRejected(
                "damaged", "The DICOM file has far more elements than an X-ray. Export it again from its source."
            )
        return self._read(size)


def _read_meta(stream: BinaryIO) -> dict[bytes, str]:
    """Read the file meta information (PS3.10, 7.1); leaves the stream where the data set begins.

    The preamble may be missing, and the prefix after it.

    Returns:
        `_SYNTAX` and `_SOP_CLASS` with their UIDs; nothing in files from before PS3.10, without a meta header.
    """
    for offset in (128, 0):
        stream.seek(offset)
        if stream.read(4) == b"DICM":
            break
    else:
        stream.seek(0)
    found: dict[bytes, str] = {}
    while True:
        start = stream.tell()
        head = stream.read(8)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            stream.seek(start)
            return found
        tag, vr, length = head[:4], head[4:6], struct.unpack_from("<H", head, 6)[0]
        if vr in _LONG_VRS:
            (length,) = struct.unpack("<I", stream.read(4))
        elif not vr.isalpha():  # some writers use implicit VR here, against the standard
            (length,) = struct.unpack_from("<I", head, 4)
        if tag in (_SYNTAX, _SOP_CLASS):
            found[tag] = stream.read(min(length, 1024)).rstrip(b"\0 ").decode("ascii", "replace")
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
        ImageRejected: `unknown_type`, `truncated`, `damaged` or `too_large`.
    """
    stream = cast(BinaryIO, Rationed(stream))
    meta = _read_meta(stream)
    syntax, sop_class = meta.get(_SYNTAX), meta.get(_SOP_CLASS, "")
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        stream = cast(BinaryIO, Rationed(io.BytesIO(_inflate(stream.read(), limits))))
    start = stream.tell()
    if syntax is None:
        # Without a meta header only the first element tells; big endian never came without one.
        implicit = not stream.read(6)[4:].isupper()
        stream.seek(start)
        coding = Coding(None, implicit, little_endian=True, sop_class=sop_class)
    else:
        coding = Coding(syntax, syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian, sop_class)

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
