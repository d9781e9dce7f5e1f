"""DICOM to a checked 8-bit greyscale picture: the part of `triage.pixels` that knows PS3.3 and PS3.5.

Grey values go through the standard's pipeline: stored value -> Modality LUT or rescale -> VOI LUT or window
-> display. All steps work on single values, and there are at most 65,536 stored values: the pipeline is
computed once on a table of those and then looked up per pixel, which is exact and fast.

Not applied, because most viewers do not either and they hide nothing here: overlays and display shutters.
"""

from __future__ import annotations

import io
import logging
import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pydicom.config
from PIL import Image
from pydicom import uid
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.filereader import data_element_generator, read_dataset

from triage.pixels import DICOM, Header, ImageRejected, Limits, decode_jpeg, read_jpeg_frame

# pydicom's complaints quote values and file names, either of which can be a patient's name: not into any log.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_NATIVE = {
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
}
_JPEG = {uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit}  # of the second, the 8-bit files

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
_PIXEL_DATA = 0x7FE00010
_UNDEFINED_LENGTH = 0xFFFFFFFF

_SQUARE_WITHIN = 0.01
"""Pixels whose sides differ by less than this fraction are taken as square."""

_ROBUST_RANGE = (0.005, 0.995)
"""Without a window: the quantiles of the picture that become black and white."""

_MOST_INFLATED_BYTES = 500_000_000
"""Where no limits are given: what a data set is inflated to at most."""

_LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"}


# -- The file ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Coding:
    """How the bytes of the data set are to be read."""

    syntax: str | None  # transfer syntax UID; None where the file does not say
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


def _read(stream: BinaryIO, limits: Limits, *, with_pixels: bool) -> tuple[Dataset, _Coding]:
    syntax = _read_meta(stream)
    if syntax == uid.DeflatedExplicitVRLittleEndian:
        stream = io.BytesIO(_inflate(stream.read(), limits))
    start = stream.tell()
    if syntax is None:
        # Without a meta header only the first element tells; big endian never came without one.
        implicit = not stream.read(6)[4:].isupper()
        stream.seek(start)
        coding = _Coding(None, implicit, little_endian=True)
    else:
        coding = _Coding(syntax, syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian)

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
    if not all(keyword in dataset for keyword in wanted) and _is_cut_short(stream, start, dataset):
        raise _cut_short()
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
        raise _cut_short()
    return inflated


def _is_cut_short(stream: BinaryIO, start: int, dataset: Dataset) -> bool:
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


def _cut_short() -> ImageRejected:
    return ImageRejected("truncated", "The DICOM file ends too early: it was not copied completely. Send it again.")


# -- What the attributes say ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    """How the pixels lie in the pixel data (PS3.3 C.7.6.3), and what they show."""

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


def _first(dataset: Dataset, keyword: str) -> Any:
    """The value of an attribute, the first of several; None where it is missing or empty."""
    value = dataset.get(keyword)
    if isinstance(value, (list, pydicom.multival.MultiValue)):
        value = value[0] if value else None
    return None if value is None or value == "" else value


def _integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    value = _first(dataset, keyword)
    if value is None:
        if default is None:
            raise _unsupported(f"the attribute {keyword} is missing")
        return default
    return int(value)


def _number(dataset: Dataset, keyword: str) -> float | None:
    value = _first(dataset, keyword)
    if value is None:
        return None
    number = float(value)
    if not np.isfinite(number):
        raise _unsupported(f"the attribute {keyword} is no finite number")
    return number


def _code(dataset: Dataset, keyword: str) -> str:
    return str(_first(dataset, keyword) or "").strip().upper()


def _identifier(dataset: Dataset, keyword: str) -> str | None:
    value = str(_first(dataset, keyword) or "").strip("\0 ")
    # Anything else in the field may be text about the patient.
    return value if re.fullmatch(r"[0-9.]{1,64}", value) else None


def _unsupported(what: str) -> ImageRejected:
    return ImageRejected(
        "dicom_unsupported_encoding",
        f"The picture cannot be shown correctly: {what}. Export the X-ray as an ordinary DX image, PNG or JPEG.",
    )


def _examine(dataset: Dataset, coding: _Coding, limits: Limits) -> _Layout:
    """Refuse by name what the attributes say cannot be shown, the plainest reason first."""
    _check_modality(dataset)
    if _integer(dataset, "NumberOfFrames", 1) > 1:
        frames = _integer(dataset, "NumberOfFrames")
        raise ImageRejected(
            "dicom_multi_frame",
            f"The file holds {frames} frames. Export the one X-ray that matters as a single image.",
        )
    if "Rows" not in dataset or "Columns" not in dataset:
        raise _no_pixels()
    rows, columns = _integer(dataset, "Rows"), _integer(dataset, "Columns")
    limits.check_size(columns, rows)
    photometric, samples = _check_photometric(dataset, coding)
    _check_syntax(coding)
    allocated = _integer(dataset, "BitsAllocated")
    stored = _integer(dataset, "BitsStored", allocated)
    high_bit = _integer(dataset, "HighBit", stored - 1)
    if allocated not in (8, 16):
        raise _unsupported(f"it has {allocated} bits per sample")
    if not 1 <= stored <= high_bit + 1 <= allocated:
        raise _unsupported(f"{stored} bits up to bit {high_bit} do not fit into {allocated}")
    if samples == 3 and (allocated, stored) != (8, 8):
        raise _unsupported("it is in colour with more than 8 bits per sample")
    shape = _code(dataset, "PresentationLUTShape")
    if (photometric, shape) in {("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")}:
        raise _unsupported(f"{photometric} and presentation LUT shape {shape} contradict each other")
    if _code(dataset, "PresentationIntentType") == "FOR PROCESSING":
        raise _unsupported("it is marked FOR PROCESSING, raw detector data; send the image FOR PRESENTATION")
    height, width = _square_size(dataset, rows, columns)
    limits.check_size(width, height)
    return _Layout(
        rows=rows,
        columns=columns,
        samples=samples,
        allocated=allocated,
        stored=stored,
        high_bit=high_bit,
        signed=_integer(dataset, "PixelRepresentation", 0) == 1,
        photometric=photometric,
        planar=_integer(dataset, "PlanarConfiguration", 0) == 1,
        shown_height=height,
        shown_width=width,
    )


def _check_modality(dataset: Dataset) -> None:
    modality = _code(dataset, "Modality")
    if modality in _RADIOGRAPHS:
        return
    known = _OTHER_MODALITIES.get(modality)
    name = f"{known} (modality {modality})" if known else "of a modality that is no plain radiography"
    raise ImageRejected(
        "dicom_not_a_radiograph",
        f"The file is {name}. Only radiographs (modality CR, DX or RG) are looked at.",
    )


def _check_photometric(dataset: Dataset, coding: _Coding) -> tuple[str, int]:
    photometric = _code(dataset, "PhotometricInterpretation")
    samples = _integer(dataset, "SamplesPerPixel", 1)
    expected = {"MONOCHROME1": 1, "MONOCHROME2": 1, "RGB": 3, "YBR_FULL": 3}
    if coding.syntax in _JPEG:
        expected["YBR_FULL_422"] = 3
    if expected.get(photometric) != samples:
        named = photometric if photometric in _PHOTOMETRICS else "(missing or unknown)"
        raise ImageRejected(
            "dicom_unsupported_photometric",
            f"The photometric interpretation {named} with {samples} samples per pixel is not supported. "
            "Export the X-ray as MONOCHROME2, PNG or JPEG.",
        )
    return photometric, samples


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


def _check_syntax(coding: _Coding) -> None:
    if coding.syntax is None or coding.syntax in _NATIVE | _JPEG | {uid.RLELossless}:
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
        if not isinstance(value, (list, pydicom.multival.MultiValue)) or len(value) != 2:
            continue
        vertical, horizontal = float(value[0]), float(value[1])
        if not (0 < vertical < np.inf and 0 < horizontal < np.inf):
            continue
        ratio = vertical / horizontal
        if abs(ratio - 1) <= _SQUARE_WITHIN:
            break
        return (round(rows * ratio), columns) if ratio > 1 else (rows, round(columns / ratio))
    return rows, columns


def _no_pixels() -> ImageRejected:
    return ImageRejected(
        "dicom_no_pixels",
        "The DICOM file holds no picture, only data about one. Send the image object itself.",
    )


def read_header(stream: BinaryIO, limits: Limits) -> Header:
    """What `triage.pixels.read_header` answers for DICOM.

    Args:
        stream: at the start of the file; nothing is read of elements that are not needed.
        limits: how large the picture may be.

    Raises:
        ImageRejected: see there.
    """
    dataset, coding = _read(stream, limits, with_pixels=False)
    layout = _examine(dataset, coding, limits)
    return Header(
        DICOM,
        layout.shown_width,
        layout.shown_height,
        _identifier(dataset, "StudyInstanceUID"),
        _identifier(dataset, "SOPInstanceUID"),
    )


def same_pixel_data(first: BinaryIO, second: BinaryIO) -> bool | None:
    """What `triage.pixels.same_pixel_data` answers, for two files at their start."""
    limits = Limits(max_bytes=_MOST_INFLATED_BYTES, max_pixels=0, max_side=0)
    found = []
    for stream in (first, second):
        dataset, coding = _read(stream, limits, with_pixels=True)
        if "PixelData" not in dataset:
            return None
        # Uncompressed, little endian pixels are the same bytes, whatever the data set around them is like.
        plain = coding.syntax is None or coding.syntax in _NATIVE - {uid.ExplicitVRBigEndian}
        found.append(("plain" if plain else coding.syntax, _raw(dataset, "PixelData")[0]))
    (one, one_pixels), (other, other_pixels) = found
    return one_pixels == other_pixels if one == other else None


# -- The stored values ---------------------------------------------------------------------------------------


def _raw(dataset: Dataset, keyword: str) -> tuple[bytes, RawDataElement]:
    """The bytes of an element as they lie in the file: where its VR is ambiguous, pydicom would guess."""
    element: object = dataset.get_item(keyword)
    if not isinstance(element, RawDataElement):
        raise TypeError("no plain element")
    return element.value or b"", element


def _samples(dataset: Dataset, coding: _Coding, layout: _Layout) -> npt.NDArray[Any]:
    """The samples as they are stored: (rows, columns) uint8 or uint16, or (rows, columns, 3) uint8."""
    if "PixelData" not in dataset:
        if "FloatPixelData" in dataset or "DoubleFloatPixelData" in dataset:
            raise _unsupported("its pixels are floating point numbers")
        raise _no_pixels()
    value, element = _raw(dataset, "PixelData")
    if not value:
        raise _no_pixels()
    encapsulated = element.length == _UNDEFINED_LENGTH
    if encapsulated is (coding.syntax is None or coding.syntax in _NATIVE):
        raise _unsupported("its pixels are not stored the way its transfer syntax says")
    if not encapsulated:
        if len(value) < element.length:
            raise _cut_short()
        return _native_samples(value, element, coding, layout)
    frame = get_frame(value, 0, number_of_frames=1)
    if coding.syntax == uid.RLELossless:
        return _planes(_rle_samples(frame, layout), layout, planar=True)
    return _jpeg_samples(frame, layout)


def _native_samples(value: bytes, element: RawDataElement, coding: _Coding, layout: _Layout) -> npt.NDArray[Any]:
    """Uncompressed pixels (PS3.5, 8.1.1 and 8.2)."""
    count = layout.rows * layout.columns * layout.samples
    expected = count * layout.allocated // 8
    if len(value) < expected:
        raise _cut_short()
    if len(value) >= expected + max(expected // 2, 1024):
        raise _unsupported("there are more pixels than rows and columns say")
    if layout.allocated == 16:
        words = np.frombuffer(value, "<u2" if coding.little_endian else ">u2", count)
        return words.reshape(layout.rows, layout.columns)
    octets = np.frombuffer(value, np.uint8)
    if not coding.little_endian and element.VR == "OW":
        # Two 8-bit samples share each 16-bit word, and the bytes of words are swapped (PS3.5, 8.1.2 and 7.3).
        octets = octets[: len(octets) // 2 * 2].reshape(-1, 2)[:, ::-1].reshape(-1)
    return _planes(octets[:count], layout, planar=layout.planar)


def _planes(flat: npt.NDArray[Any], layout: _Layout, *, planar: bool) -> npt.NDArray[Any]:
    if layout.samples == 1:
        return flat.reshape(layout.rows, layout.columns)
    if planar:
        return np.moveaxis(flat.reshape(layout.samples, layout.rows, layout.columns), 0, -1)
    return flat.reshape(layout.rows, layout.columns, layout.samples)


def _rle_samples(frame: bytes, layout: _Layout) -> npt.NDArray[Any]:
    """Run length encoded pixels (PS3.5, annex G), plane after plane: one segment per byte of a sample, high
    byte first.

    Not pydicom's decoder: that one expands whatever the segments say, 64 times their size, before it looks.
    """
    plane = layout.rows * layout.columns
    per_sample = layout.allocated // 8
    header = struct.unpack_from("<16I", frame)
    segments, offsets = header[0], header[1:]
    if segments != layout.samples * per_sample:
        raise _unsupported("its number of RLE segments does not fit its samples")
    ends = (*offsets[1:segments], len(frame))
    planes = np.stack(
        [
            np.frombuffer(_unpack_bits(frame[start:end], plane), np.uint8)
            for start, end in zip(offsets[:segments], ends, strict=True)
        ]
    )
    if per_sample == 2:
        words: npt.NDArray[np.uint16] = planes[0].astype(np.uint16) << 8 | planes[1]
        return words
    return planes.reshape(-1)


def _unpack_bits(segment: bytes, expected: int) -> bytearray:
    """Decode one RLE segment to exactly `expected` bytes (PS3.5, G.3.2)."""
    unpacked = bytearray()
    position = 0
    while len(unpacked) < expected:
        if position >= len(segment):
            raise _cut_short()
        control = segment[position]
        if control < 128:
            unpacked += segment[position + 1 : position + 2 + control]
            position += 2 + control
        elif control > 128:
            unpacked += segment[position + 1 : position + 2] * (257 - control)
            position += 2
        else:
            position += 1
    del unpacked[expected:]
    return unpacked


def _jpeg_samples(frame: bytes, layout: _Layout) -> npt.NDArray[np.uint8]:
    """An 8-bit JPEG; of a colour one, the luma (PS3.5, 8.2.1)."""
    jpeg = read_jpeg_frame(io.BytesIO(frame))
    if jpeg.precision != 8 or jpeg.process not in (0xC0, 0xC1):
        raise ImageRejected(
            "dicom_unsupported_syntax",
            f"The picture is a {jpeg.precision}-bit JPEG (JPEG Extended, {uid.JPEGExtended12Bit}), "
            "which is not supported. "
            "Export the X-ray uncompressed (Explicit VR Little Endian), as PNG or as JPEG.",
        )
    if (jpeg.height, jpeg.width) != (layout.rows, layout.columns) or len(jpeg.components) != layout.samples:
        raise _unsupported("its rows, columns or samples are not those of the JPEG inside")
    if layout.allocated != 8:
        raise _unsupported("it has an 8-bit JPEG where 16 bits are announced")
    if layout.samples == 3:
        # What the decoder will take the components for; it must be what the DICOM file says.
        stored_rgb = jpeg.adobe_transform == 0 or jpeg.components == (0x52, 0x47, 0x42)
        if stored_rgb is not (layout.photometric == "RGB"):
            raise _unsupported(f"{layout.photometric} and the colours of the JPEG inside contradict each other")
    return decode_jpeg(frame, jpeg)


# -- From stored values to what is shown ---------------------------------------------------------------------


def render(data: bytes, limits: Limits) -> npt.NDArray[np.uint8]:
    """Render a DICOM radiograph as it is meant to be seen.

    Args:
        data: the file's bytes.
        limits: how large the picture may be.

    Returns:
        (height, width) uint8, C-contiguous, with square pixels; 0 is black.

    Raises:
        ImageRejected: see `triage.pixels.decode`.
    """
    dataset, coding = _read(io.BytesIO(data), limits, with_pixels=True)
    layout = _examine(dataset, coding, limits)
    samples = _samples(dataset, coding, layout)
    if layout.samples == 1:
        grey = _render_monochrome(samples, dataset, coding, layout)
    elif layout.photometric == "RGB" and samples.ndim == 3:
        grey = np.array(Image.fromarray(np.ascontiguousarray(samples)).convert("L"))
    else:
        grey = samples[..., 0] if samples.ndim == 3 else samples  # Y is the luma (PS3.3 C.7.6.3.1.2)
    if (layout.shown_height, layout.shown_width) != grey.shape:
        size = (layout.shown_width, layout.shown_height)
        grey = np.array(Image.fromarray(np.ascontiguousarray(grey)).resize(size, Image.Resampling.BILINEAR))
    return np.ascontiguousarray(grey)


def _render_monochrome(
    samples: npt.NDArray[Any], dataset: Dataset, coding: _Coding, layout: _Layout
) -> npt.NDArray[np.uint8]:
    # PS3.5, 8.1.1: the value lies below the high bit; bits around it may be overlays and are no part of it.
    shift = layout.high_bit + 1 - layout.stored
    levels = 1 << layout.stored
    index = samples >> shift if shift else samples
    if layout.stored < layout.allocated:
        index = index & (levels - 1)
    stored = np.arange(levels)
    if layout.signed:
        stored[levels // 2 :] -= levels

    padding = _padding(dataset, coding, stored, layout)
    values = _modality_values(dataset, coding, stored, layout)
    grey = _voi_grey(dataset, coding, values, index, padding, layout)
    if layout.photometric == "MONOCHROME1":  # PS3.3 C.7.6.3.1.2: the lowest value is white
        grey = 1 - grey
    table = np.floor(255 * grey + 0.5).astype(np.uint8)
    table[padding] = 0
    shown: npt.NDArray[np.uint8] = table[index]
    return shown


def _words(dataset: Dataset, keyword: str, coding: _Coding) -> npt.NDArray[np.int64]:
    """16-bit words of an element whose VR is US or SS or OW, unsigned."""
    value, _ = _raw(dataset, keyword)
    return np.frombuffer(value, "<u2" if coding.little_endian else ">u2").astype(np.int64)


def _padding(dataset: Dataset, coding: _Coding, stored: npt.NDArray[Any], layout: _Layout) -> npt.NDArray[np.bool_]:
    """Which stored values are padding (PS3.3 C.7.5.1.1.2): left out of any range, and shown black."""
    if "PixelPaddingValue" not in dataset:
        return np.zeros(stored.shape, np.bool_)

    def bound(keyword: str) -> int:
        words = _words(dataset, keyword, coding)
        if len(words) != 1:
            raise _unsupported(f"the attribute {keyword} is no single number")
        word = int(words[0])
        return word - 65536 if layout.signed and word >= 32768 else word

    first = bound("PixelPaddingValue")
    last = bound("PixelPaddingRangeLimit") if "PixelPaddingRangeLimit" in dataset else first
    padding: npt.NDArray[np.bool_] = (stored >= min(first, last)) & (stored <= max(first, last))
    return padding


def _modality_values(
    dataset: Dataset, coding: _Coding, stored: npt.NDArray[Any], layout: _Layout
) -> npt.NDArray[np.float64]:
    """Stored values to those the machine means (PS3.3 C.11.1): by table, or slope * stored + intercept."""
    if _has_item(dataset, "ModalityLUTSequence"):
        return _look_up(dataset, "ModalityLUTSequence", coding, stored, signed=layout.signed)[0]
    slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
    if slope == 0:
        raise _unsupported("its rescale slope is zero")
    return stored * (1.0 if slope is None else slope) + (intercept or 0.0)


def _voi_grey(
    dataset: Dataset,
    coding: _Coding,
    values: npt.NDArray[np.float64],
    index: npt.NDArray[Any],
    padding: npt.NDArray[np.bool_],
    layout: _Layout,
) -> npt.NDArray[np.float64]:
    """Values to grey from 0 to 1 (PS3.3 C.11.2): the first window; without one the VOI LUT; without that a
    range.

    The range is the whole one for up to 8 bits, which are made for display, and else from the 0.5th to the
    99.5th percentile of the picture without its padding. A window whose width makes no sense (0 is what some
    machines write for none) is taken as none.
    """
    centre, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    function = _code(dataset, "VOILUTFunction") or "LINEAR"
    if centre is not None and width is not None and width >= (1 if function == "LINEAR" else 1e-9):
        return window(values, centre, width, function)
    if _has_item(dataset, "VOILUTSequence"):
        signed = bool(values.min() < 0)
        grey, bits = _look_up(dataset, "VOILUTSequence", coding, values, signed=signed)
        return np.asarray(grey / (2**bits - 1))
    if layout.stored <= 8:
        low, high = float(values.min()), float(values.max())
    else:
        low, high = _robust_range(values, np.bincount(index.ravel(), minlength=len(values)), padding)
    if high <= low:
        return np.zeros(values.shape)
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def window(values: npt.NDArray[np.float64], centre: float, width: float, function: str) -> npt.NDArray[np.float64]:
    """Apply a window (PS3.3 C.11.2.1.2.1 LINEAR, C.11.2.1.3.1 SIGMOID, C.11.2.1.3.2 LINEAR_EXACT).

    Args:
        values: of any shape.
        centre: of the window.
        width: of the window; at least 1 for LINEAR, above 0 for the others.
        function: LINEAR, LINEAR_EXACT or SIGMOID.

    Returns:
        Grey from 0 to 1, float64, of the same shape.

    Raises:
        ImageRejected: `dicom_unsupported_encoding`, another function.
    """
    if function == "LINEAR":
        if width == 1:
            return (values > centre - 0.5).astype(np.float64)
        return np.asarray(np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1))
    if function == "LINEAR_EXACT":
        return np.asarray(np.clip((values - centre) / width + 0.5, 0, 1))
    if function == "SIGMOID":
        # tanh form of 1 / (1 + exp(-4 (x - c) / w)): it cannot overflow.
        return np.asarray(0.5 + 0.5 * np.tanh(2 * (values - centre) / width))
    raise _unsupported("its VOI LUT function is none of LINEAR, LINEAR_EXACT and SIGMOID")


def _robust_range(
    values: npt.NDArray[np.float64], counts: npt.NDArray[np.intp], padding: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """The values at the quantiles of `_ROBUST_RANGE` in a picture that has `counts` pixels of each."""
    counts = np.where(padding, 0, counts)
    order = np.argsort(values, kind="stable")
    below = np.cumsum(counts[order])
    if below[-1] == 0:
        return 0.0, 0.0
    low, high = (int(np.searchsorted(below, quantile * below[-1])) for quantile in _ROBUST_RANGE)
    if values[order[high]] <= values[order[low]]:  # nearly flat: whatever differs at all
        present = values[counts > 0]
        return float(present.min()), float(present.max())
    return float(values[order[low]]), float(values[order[high]])


# -- Look-up tables ------------------------------------------------------------------------------------------


def _has_item(dataset: Dataset, keyword: str) -> bool:
    return keyword in dataset and bool(dataset[keyword].value)


def _look_up(
    dataset: Dataset, keyword: str, coding: _Coding, values: npt.NDArray[Any], *, signed: bool
) -> tuple[npt.NDArray[np.float64], int]:
    """Apply the first table of a LUT sequence (PS3.3 C.11.1.1.1 and C.11.2.1.1).

    Its descriptor: number of entries (0 means 65,536), the value mapped to the first entry (signed if the
    input is), bits per entry. Values before the first and after the last entry get those entries.

    Returns:
        The entries, float64, and their number of bits.
    """
    item: Dataset = dataset[keyword].value[0]
    descriptor = _words(item, "LUTDescriptor", coding)
    if len(descriptor) != 3:
        raise _unsupported("the descriptor of its look-up table is broken")
    entries, first, bits = (int(word) for word in descriptor)
    entries = entries or 65536
    if signed and first >= 32768:
        first -= 65536
    raw, _ = _raw(item, "LUTData")
    if not 8 <= bits <= 16 or len(raw) not in (2 * entries, entries, entries + 1):
        raise _unsupported("its look-up table has not the size it says")
    if len(raw) == 2 * entries:
        table = _words(item, "LUTData", coding)
    elif bits == 8 and coding.little_endian:
        table = np.frombuffer(raw, np.uint8, entries).astype(np.int64)
    else:
        raise _unsupported("its look-up table has not the size it says")
    if table.max() >= 2**bits:
        raise _unsupported("its look-up table has entries beyond the bits it says")
    position = np.clip(np.floor(values + 0.5).astype(np.int64) - first, 0, entries - 1)
    return table[position].astype(np.float64), bits
