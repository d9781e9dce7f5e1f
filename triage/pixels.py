"""Bytes to a checked 8-bit greyscale picture: the one way this program sees an X-ray.

Folder, upload, training and the dashboard all come through here, so that what the network was trained on,
what it is shown and what a person looks at cannot drift apart. Whatever cannot be shown correctly is refused
by name with `ImageRejected`; nothing is shown wrongly in silence. DICOM lives in `triage.dicom`, which is
imported only when a DICOM file turns up: a clinic that drops JPEGs does not pay for pydicom.

This module is long because the checks that have to agree (what the header says, what is decoded) stand side
by side.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

if TYPE_CHECKING:
    from triage.settings import Settings

JPEG = "image/jpeg"
PNG = "image/png"
DICOM = "application/dicom"

REJECTION_CODES: dict[str, str] = {
    "empty_file": "Empty file",
    "too_large": "File too large",
    "too_many_pixels": "Picture too large",
    "unknown_type": "Not an X-ray file",
    "unsupported_type": "Kind of file not supported",
    "truncated": "File incomplete",
    "damaged": "File damaged",
    "dicom_no_pixels": "DICOM without a picture",
    "dicom_unsupported_syntax": "DICOM compression not supported",
    "dicom_multi_frame": "DICOM with several frames",
    "dicom_unsupported_photometric": "DICOM colour model not supported",
    "dicom_not_a_radiograph": "Not a radiograph",
    "dicom_unsupported_encoding": "DICOM encoding not supported",
}
"""Every code that `ImageRejected` carries, with the short title that people are shown."""


class ImageRejected(Exception):
    """A file that cannot be shown correctly.

    Attributes:
        code: stable, for programs; here always one of `REJECTION_CODES`.
        detail: what is wrong and what to do, for people. Never holds patient data.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)  # both, so that it survives pickling between processes
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


@dataclass(frozen=True)
class Limits:
    """How much is read and decoded at most; checked before memory is spent.

    Attributes:
        max_bytes: size of a file, and of a deflated DICOM file once inflated, in bytes.
        max_pixels: width times height of a picture.
        max_side: longest side of a picture, in pixels.
    """

    max_bytes: int
    max_pixels: int
    max_side: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The limits that the settings give."""
        return cls(settings.max_bytes, settings.max_pixels, settings.max_side)

    def check_bytes(self, size: int) -> None:
        """Refuse a file of `size` bytes that is empty or too large.

        Raises:
            ImageRejected: `empty_file` or `too_large`.
        """
        if size == 0:
            raise ImageRejected("empty_file", "The file is empty. Send it again from where it was made.")
        if size > self.max_bytes:
            raise ImageRejected(
                "too_large",
                f"The file has {size:,} bytes; at most {self.max_bytes:,} are read. "
                "Export the X-ray smaller, or raise TRIAGE_MAX_BYTES.",
            )

    def check_size(self, width: int, height: int) -> None:
        """Refuse a picture of this size, in pixels, that is too large to decode, or has no size.

        Raises:
            ImageRejected: `damaged` or `too_many_pixels`.
        """
        if width < 1 or height < 1:
            raise ImageRejected("damaged", f"The file says its picture is {width} x {height}. Export it again.")
        if width * height > self.max_pixels or max(width, height) > self.max_side:
            raise ImageRejected(
                "too_many_pixels",
                f"The picture is {width:,} x {height:,}; at most {self.max_pixels:,} pixels, and "
                f"{self.max_side:,} on a side, are decoded. "
                "Export it smaller, or raise TRIAGE_MAX_PIXELS and TRIAGE_MAX_SIDE.",
            )


@dataclass(frozen=True)
class Header:
    """What is known without decoding pixels.

    Attributes:
        media_type: `image/jpeg`, `image/png` or `application/dicom`.
        width: of the upright picture, in pixels.
        height: of the upright picture, in pixels.
        study_instance_uid: DICOM only, None where it is missing or no UID.
        sop_instance_uid: DICOM only, None where it is missing or no UID.
    """

    media_type: str
    width: int
    height: int
    study_instance_uid: str | None = None
    sop_instance_uid: str | None = None


@dataclass(frozen=True)
class Picture:
    """A decoded radiograph.

    Attributes:
        pixels: (height, width) uint8, C-contiguous, upright; 0 is black.
        media_type: of the bytes it came from.
        rendered: True when those bytes cannot be shown by a browser (DICOM), so that a PNG of `pixels` has to
            be kept.
    """

    pixels: npt.NDArray[np.uint8]
    media_type: str
    rendered: bool


# -- What kind of file is it ---------------------------------------------------------------------------------

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD_BYTES = 256

_UNSUPPORTED: tuple[tuple[int, bytes, str], ...] = (
    (0, b"II*\x00", "TIFF"),
    (0, b"MM\x00*", "TIFF"),
    (0, b"II+\x00", "BigTIFF"),
    (0, b"MM\x00+", "BigTIFF"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftypmsf1", "HEIC"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyp", "MP4 video"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (4, b"JXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"%PDF-", "PDF"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"PK\x05\x06", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"BZh", "bzip2"),
    (0, b"\xfd7zXZ\x00", "xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (0, b"Rar!", "RAR"),
    (0, b"8BPS", "Photoshop"),
    (0, b"NRRD", "NRRD"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Microsoft Office"),
)

# How a data set may begin where the 128-byte preamble was dropped: with group length, length to end,
# character set, image type, creation date and time, SOP class or instance.
_FIRST_ELEMENTS = {0x0000, 0x0001, 0x0005, 0x0008, 0x0012, 0x0013, 0x0014, 0x0016, 0x0018}
_FIRST_VRS = {b"UL", b"CS", b"UI", b"DA", b"TM", b"OB", b"SH", b"RET"}


def sniff(head: bytes) -> str | None:
    """The media type by content, never by the file's name.

    A DICOM file without the 128-byte preamble is recognised where it begins like a little endian data set;
    whether it holds one shows when it is read.

    Args:
        head: the first bytes of the file, at least 132 where it has as many.

    Returns:
        `image/jpeg`, `image/png`, `application/dicom`, or None for anything else.
    """
    if head[128:132] == b"DICM":  # first: the preamble may hold anything, a TIFF or JPEG header too
        return DICOM
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(_PNG_SIGNATURE):
        return PNG
    return DICOM if _is_bare_data_set(head) else None


def _is_bare_data_set(head: bytes) -> bool:
    if len(head) < 132:
        return False
    group, element, vr, short = cast(tuple[int, int, bytes, int], struct.unpack_from("<HH2sH", head))
    if group == 0x0002 and element <= 0x0001:
        return vr in _FIRST_VRS
    if group != 0x0008 or element not in _FIRST_ELEMENTS:
        return False
    long = int.from_bytes(head[4:8], "little")
    return (vr in _FIRST_VRS and short <= 256) or (long <= 256 and long % 2 == 0)


def _refuse_unknown(head: bytes) -> ImageRejected:
    ask = "Send the X-ray as JPEG, PNG or DICOM."
    for offset, magic, name in _UNSUPPORTED:
        if head.startswith(magic, offset):
            return ImageRejected("unsupported_type", f"This is a {name} file, whatever its name says. {ask}")
    if head.startswith(b"BM") and len(head) > 18 and head[14:18] in {bytes([n, 0, 0, 0]) for n in (12, 40, 108, 124)}:
        return ImageRejected("unsupported_type", f"This is a BMP file, whatever its name says. {ask}")
    if not head.strip(b"\x00"):
        return ImageRejected(
            "truncated",
            "The file begins with nothing but zeros, as a copy does that never finished. Send it again.",
        )
    if all(byte >= 0x20 or byte in b"\t\r\n\x0c" for byte in head):
        return ImageRejected("unknown_type", f"This is a text file, whatever its name says. {ask}")
    return ImageRejected("unknown_type", f"The content is no picture that is known here. {ask}")


# -- What is known without decoding --------------------------------------------------------------------------

# What Pillow and pydicom raise on broken input. Named, not `Exception`: a task's time limit arrives as an
# exception in the middle of decoding, and must not be mistaken for a damaged file.
LIBRARY_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@contextmanager
def _as_rejection() -> Iterator[None]:
    """Turn what libraries raise and warn about into `ImageRejected`.

    What they say may quote values out of the file, so it is neither passed on nor chained. An error of the
    file system itself (it has an errno) is no fault of the file and passes through.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except MemoryError:
            raise ImageRejected(
                "damaged",
                "Decoding needs more memory than there is. Export the X-ray smaller, or try again later.",
            ) from None
        except LIBRARY_ERRORS as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise ImageRejected(
                "damaged",
                "The content is damaged and cannot be decoded. Export the X-ray again from its source.",
            ) from None


def read_header(source: Path | bytes, limits: Limits) -> Header:
    """What the file says about itself, and whether it is worth decoding. Decodes no pixels.

    Args:
        source: a path, of which only the parts that matter are read, or the bytes.
        limits: how large it may be.

    Returns:
        The header. Width and height are those of `decode` at full size.

    Raises:
        ImageRejected: it is known already that `decode` will refuse it.
        OSError: the path cannot be read.
    """
    if isinstance(source, bytes):
        limits.check_bytes(len(source))
        return _read_header(io.BytesIO(source), limits)
    limits.check_bytes(source.stat().st_size)
    with source.open("rb") as stream:
        return _read_header(stream, limits)


def _read_header(stream: BinaryIO, limits: Limits) -> Header:
    with _as_rejection():
        head = stream.read(_HEAD_BYTES)
        stream.seek(0)
        media_type = sniff(head)
        if media_type == DICOM:
            from triage import dicom

            return dicom.read_header(stream, limits)
        if media_type == JPEG:
            frame = read_jpeg_frame(stream)
            limits.check_size(frame.width, frame.height)
            _check_jpeg_kind(frame)
            return Header(JPEG, *_upright_size(frame.width, frame.height, frame.orientation))
        if media_type == PNG:
            png = _read_png_start(stream)
            limits.check_size(png.width, png.height)
            return Header(PNG, *_upright_size(png.width, png.height, png.orientation))
    raise _refuse_unknown(head)


def same_pixel_data(first: Path, second: Path) -> bool | None:
    """Whether two DICOM files carry the same pixel data, byte for byte. Decodes no pixels.

    Returns:
        None where they cannot be compared: one of them is unreadable, or they are compressed differently.
    """
    from triage import dicom

    try:
        with _as_rejection(), first.open("rb") as one, second.open("rb") as other:
            return dicom.same_pixel_data(one, other)
    except (ImageRejected, OSError):
        return None


# -- Decoding ------------------------------------------------------------------------------------------------


def decode(data: bytes, limits: Limits, *, at_least: int | None = None) -> Picture:
    """Decode a file completely.

    Args:
        data: the file's bytes.
        limits: how large it may be; checked before anything is decoded.
        at_least: the caller only needs a shorter side of this many pixels. A JPEG is then decoded at a half,
            quarter or eighth of its size, never below twice `at_least`, which is several times faster.

    Returns:
        The picture; smaller than the header says where `at_least` allowed it.

    Raises:
        ImageRejected: the file cannot be shown correctly.
    """
    limits.check_bytes(len(data))
    media_type = sniff(data[:_HEAD_BYTES])
    with _as_rejection():
        if media_type == JPEG:
            frame = read_jpeg_frame(io.BytesIO(data))
            limits.check_size(frame.width, frame.height)
            _check_jpeg_kind(frame)
            grey = decode_jpeg(data, frame, at_least=at_least)
            return Picture(_upright(grey, frame.orientation), JPEG, rendered=False)
        if media_type == PNG:
            png = _read_png_start(io.BytesIO(data))
            limits.check_size(png.width, png.height)
            return Picture(_upright(_decode_png(data, png), png.orientation), PNG, rendered=False)
        if media_type == DICOM:
            from triage import dicom

            return Picture(dicom.render(data, limits), DICOM, rendered=True)
    raise _refuse_unknown(data[:_HEAD_BYTES])


def network_input(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The picture as the network takes it: stretched to a square, antialiased.

    Stretched and not padded: measured better on this task.

    Args:
        pixels: (height, width) uint8.
        side: of the square, in pixels.

    Returns:
        (side, side) uint8.
    """
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


def read_for_network(data: bytes, limits: Limits, side: int) -> tuple[Picture, npt.NDArray[np.uint8]]:
    """Decode a file as large as the network needs it: the one path for serving and for training.

    Args:
        data: the file's bytes.
        limits: how large it may be.
        side: of the network's input, in pixels.

    Returns:
        The picture, and its (side, side) uint8 network input. A picture that is `rendered` has its full size.

    Raises:
        ImageRejected: the file cannot be shown correctly.
    """
    picture = decode(data, limits, at_least=side)
    return picture, network_input(picture.pixels, side)


def encode_png(pixels: npt.NDArray[np.uint8], *, compress_level: int = 1) -> bytes:
    """An 8-bit grey PNG.

    Args:
        pixels: (height, width) uint8.
        compress_level: zlib's, 0 to 9; 1 is several times faster than the usual 6 and little larger.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=compress_level)
    return buffer.getvalue()


# -- JPEG ----------------------------------------------------------------------------------------------------

_ENTROPY_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a marker that is no stuffed byte, restart or fill
_MOST_SCANS = 100  # a progressive JPEG has about ten; thousands of empty ones are a way to burn a worker's time
_MOST_JUNK = 65536


@dataclass(frozen=True)
class JpegFrame:
    """What a JPEG says about itself before its first scan.

    Attributes:
        width: as stored, before `orientation`, in pixels.
        height: as stored, in pixels.
        precision: bits per sample.
        process: the SOF marker's second byte: 0xC0 baseline, 0xC1 extended, 0xC2 progressive, 0xC3 lossless,
            ...
        components: their identifiers; 1, 3 or 4 of them.
        adobe_transform: 0 none, 1 YCbCr, 2 YCCK; None without an Adobe marker.
        orientation: EXIF, 1 to 8.
        data_start: where the first scan begins, in bytes.
    """

    width: int
    height: int
    precision: int
    process: int
    components: tuple[int, ...]
    adobe_transform: int | None
    orientation: int
    data_start: int


def _cut_short(kind: str) -> ImageRejected:
    return ImageRejected("truncated", f"The {kind} ends too early: it was not copied completely. Send it again.")


def _take(stream: BinaryIO, count: int, kind: str) -> bytes:
    taken = stream.read(count)
    if len(taken) < count:
        raise _cut_short(kind)
    return taken


def read_jpeg_frame(stream: BinaryIO) -> JpegFrame:
    """Walk a JPEG's segments up to its first scan (ITU-T T.81, annex B).

    Args:
        stream: at the start of the JPEG; other segments are skipped by seeking.

    Raises:
        ImageRejected: `truncated` or `damaged`.
    """
    damaged = ImageRejected("damaged", "The JPEG's structure is broken. Export the X-ray again from its source.")
    frame: tuple[int, int, int, int, tuple[int, ...]] | None = None
    transform: int | None = None
    orientation = 1
    junk = 0
    if _take(stream, 2, "JPEG") != b"\xff\xd8":
        raise damaged
    while True:
        if _take(stream, 1, "JPEG") != b"\xff":
            junk += 1
            if junk > _MOST_JUNK:
                raise damaged
            continue
        while (marker := _take(stream, 1, "JPEG")[0]) == 0xFF:
            pass
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD7:
            continue
        if marker in (0xD8, 0xD9):
            raise damaged
        length = int.from_bytes(_take(stream, 2, "JPEG"), "big") - 2
        if length < 0:
            raise damaged
        if marker == 0xDA:
            if frame is None:
                raise damaged
            process, precision, height, width, components = frame
            position = stream.tell() + length
            return JpegFrame(width, height, precision, process, components, transform, orientation, position)
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            body = _take(stream, length, "JPEG")
            if frame is not None or length < 6 or length < 6 + 3 * body[5]:
                raise damaged
            precision, height, width, count = struct.unpack_from(">BHHB", body)
            frame = (marker, precision, height, width, tuple(body[6 : 6 + 3 * count : 3]))
        elif marker == 0xE1:
            body = _take(stream, length, "JPEG")
            if body.startswith(b"Exif\x00"):
                orientation = _orientation(body[6:])
        elif marker == 0xEE:
            body = _take(stream, length, "JPEG")
            if body.startswith(b"Adobe") and length >= 12:
                transform = body[11]
        else:
            stream.seek(length, io.SEEK_CUR)


def _check_jpeg_kind(frame: JpegFrame) -> None:
    names = {
        0xC3: "lossless",
        0xC5: "differential",
        0xC6: "differential",
        0xC7: "differential lossless",
        0xF7: "JPEG-LS",
    }
    ask = "Send it as an ordinary (baseline or progressive) JPEG, PNG or DICOM."
    if frame.precision != 8:
        raise ImageRejected("unsupported_type", f"This is a JPEG with {frame.precision} bits per sample. {ask}")
    if frame.process not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
        name = names.get(frame.process, "rare")
        raise ImageRejected("unsupported_type", f"This is a JPEG of the {name} kind. {ask}")
    if len(frame.components) not in (1, 3, 4):
        raise ImageRejected("unsupported_type", f"This JPEG has {len(frame.components)} colour components. {ask}")


def _check_jpeg_end(data: bytes, position: int) -> None:
    """Refuse a JPEG without its end marker: half written, or given its length in advance and filled with
    zeros.

    The decoder would not complain: it fills what is missing with grey.
    """
    scans = 1
    while match := _ENTROPY_END.search(data, position):
        marker = data[match.start() + 1]
        if marker == 0xD9:
            return
        scans += marker == 0xDA
        if scans > _MOST_SCANS:
            raise ImageRejected("damaged", f"The JPEG has more than {_MOST_SCANS} scans. Export the X-ray again.")
        position = match.end() + int.from_bytes(data[match.end() : match.end() + 2], "big")
    raise _cut_short("JPEG")


def decode_jpeg(data: bytes, frame: JpegFrame, *, at_least: int | None = None) -> npt.NDArray[np.uint8]:
    """Decode a JPEG to grey as it is stored, without turning it upright.

    Args:
        data: the JPEG.
        frame: what `read_jpeg_frame` found; its size is within the limits.
        at_least: see `decode`.

    Returns:
        (height, width) uint8: the luma of a colour picture.

    Raises:
        ImageRejected: `truncated` or `damaged`.
    """
    _check_jpeg_end(data, frame.data_start)
    # The plugin's class, not Image.open: nothing else may look at these bytes, and Pillow's own guard against
    # large pictures (a warning, or an error) does not come before the limits that were checked above.
    with JpegImageFile(io.BytesIO(data)) as image:
        if image.size != (frame.width, frame.height):
            raise ValueError("two sizes in one JPEG")
        # Grey is taken from the decoder's luma plane: no colour conversion, no chroma to decode.
        image.draft("L", (2 * at_least, 2 * at_least) if at_least else None)
        image.load()
        if image.mode == "CMYK":
            inverted = image if frame.adobe_transform is not None else ImageChops.invert(image)
            # Pillow always takes CMYK as Adobe writes it, upside down; undone where no Adobe marker says so.
            return np.array(inverted.convert("RGB").convert("L"))
        return np.array(image.convert("L"))


# -- PNG -----------------------------------------------------------------------------------------------------

_MOST_CHUNKS_BEFORE_DATA = 1000
_INFLATE_STEP = 1 << 18
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True)
class _PngStart:
    width: int
    height: int
    bit_depth: int
    colour_type: int
    interlaced: bool
    orientation: int

    def inflated_bytes(self) -> int:
        """Size of the filtered rows: each has one byte before its samples (PNG specification, sections 7.2 and 8)."""
        bits = self.bit_depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[self.colour_type]
        passes = _ADAM7 if self.interlaced else ((0, 0, 1, 1),)
        size = 0
        for x, y, step_x, step_y in passes:
            columns, rows = -(-(self.width - x) // step_x), -(-(self.height - y) // step_y)
            size += rows * (1 + -(-columns * bits // 8)) if columns > 0 and rows > 0 else 0
        return size


def _read_png_start(stream: BinaryIO) -> _PngStart:
    """Walk a PNG's chunks up to its first pixel data (PNG specification, section 5)."""
    stream.seek(len(_PNG_SIGNATURE))
    start = _take(stream, 25, "PNG")
    if start[:8] != b"\x00\x00\x00\rIHDR" or zlib.crc32(start[4:21]) != int.from_bytes(start[21:], "big"):
        raise ImageRejected("damaged", "The PNG's header is broken. Export the X-ray again from its source.")
    width, height, bit_depth, colour_type, _, _, interlace = struct.unpack_from(">IIBBBBB", start, 8)
    orientation = 1
    for _ in range(_MOST_CHUNKS_BEFORE_DATA):
        length, kind = struct.unpack(">I4s", _take(stream, 8, "PNG"))
        if kind in (b"IDAT", b"IEND"):
            return _PngStart(width, height, bit_depth, colour_type, interlace == 1, orientation)
        if kind == b"eXIf" and length <= _MOST_JUNK:
            orientation = _orientation(_take(stream, length, "PNG"))
            length = 0
        stream.seek(length + 4, io.SEEK_CUR)
    raise ImageRejected("damaged", "The PNG has too many chunks before its pixels. Export the X-ray again.")


def _check_png_chunks(data: bytes, start: _PngStart) -> None:
    """Refuse a PNG that is cut short, has too few rows, or whose checksums do not match.

    The decoder looks at none of that: it leaves what is missing black.
    """
    view = memoryview(data)
    position = len(_PNG_SIGNATURE)
    missing = start.inflated_bytes()
    inflater = zlib.decompressobj()
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        critical = not kind[0] & 0x20
        if critical and zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise ImageRejected(
                "damaged",
                "A checksum in the PNG does not match: the file was altered on its way. Send it again.",
            )
        if kind == b"acTL" and data[position + 8 : position + 12] > b"\x00\x00\x00\x01":
            raise ImageRejected("unsupported_type", "This is an animated PNG. Send each X-ray as a file of its own.")
        if kind == b"IDAT" and missing > 0:
            waiting: bytes | memoryview = view[position + 8 : end - 4]
            while waiting and missing > 0 and not inflater.eof:
                missing -= len(inflater.decompress(waiting, _INFLATE_STEP))
                waiting = inflater.unconsumed_tail
        if kind == b"IEND":
            if missing > 0:
                raise _cut_short("PNG")
            return
        position = end
    raise _cut_short("PNG")


def _decode_png(data: bytes, start: _PngStart) -> npt.NDArray[np.uint8]:
    _check_png_chunks(data, start)
    with PngImageFile(io.BytesIO(data)) as image:
        if image.size != (start.width, start.height):
            raise ValueError("two sizes in one PNG")
        image.load()
        key: Any = image.info.get("transparency")
        if start.colour_type == 0:
            return _grey_png(image, start.bit_depth, key)
        if key is not None and start.colour_type == 2 and start.bit_depth == 16:
            raise ImageRejected(
                "unsupported_type",
                "This is a 16-bit colour PNG with a transparent colour. Send it as a grey PNG.",
            )
        if key is None and image.mode in ("RGB", "P"):
            return np.array(image.convert("RGB").convert("L"))
        # Alpha, and transparent palette entries or colours: on black, as the viewer's background is.
        rgba = image.convert("RGBA")
        return np.array(ImageChops.multiply(rgba.convert("RGB").convert("L"), rgba.getchannel("A")))


def _grey_png(image: Image.Image, bit_depth: int, key: int | None) -> npt.NDArray[np.uint8]:
    """A grey PNG; the one sample value `key`, if any, is transparent and so becomes black."""
    if bit_depth < 16:
        grey = np.array(image.convert("L"))
        if key is not None:
            grey[grey == key * 255 // (2**bit_depth - 1)] = 0
        return grey
    samples = np.asarray(image).astype(np.uint32)  # little endian 16 bit in Pillow; Pillow's own convert("L") clips
    if key is not None:
        samples[samples == key] = 0
    # round(v * 255 / 65535) without a division: 0 -> 0, 65535 -> 255.
    return ((samples * 255 + 32895) >> 16).astype(np.uint8)


# -- Which way is up -----------------------------------------------------------------------------------------


def _orientation(exif: bytes) -> int:
    """The orientation (tag 0x0112) in an EXIF block's first directory, 1 to 8; 1 where it says none that
    makes sense.

    Read here and not through Pillow, so that the header and the decoded picture agree and odd EXIF raises no
    warnings.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None or len(exif) < 10:
        return 1
    (directory,) = struct.unpack_from(order + "I", exif, 4)
    if directory + 2 > len(exif):
        return 1
    (count,) = struct.unpack_from(order + "H", exif, directory)
    for entry in range(directory + 2, min(directory + 2 + 12 * count, len(exif) - 11), 12):
        tag, kind, _, value = struct.unpack_from(order + "HHIH", exif, entry)
        if tag == 0x0112:
            return int(value) if kind == 3 and 1 <= value <= 8 else 1
    return 1


def _upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    return (height, width) if orientation >= 5 else (width, height)


def _upright(pixels: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn a stored picture upright (EXIF 2.32, 4.6.4 A, Orientation)."""
    if orientation >= 5:
        pixels = pixels.T
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
