"""Files that cannot be shown correctly: how they are refused, and how much is read at most."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Self

from triage.radiography import MODALITIES, SOP_CLASSES

if TYPE_CHECKING:
    from triage.settings import Settings

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
    "decoder_crashed": "The decoder broke down",
    "decoder_too_slow": "Decoding takes too long",
    "decoder_out_of_memory": "Decoding takes too much memory",
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
    """What is looked at, and how much is read and decoded at most; checked before memory is spent.

    Attributes:
        max_bytes: size of a file, and of a deflated DICOM file once inflated, in bytes.
        max_pixels: width times height of a picture.
        max_side: longest side of a picture, in pixels.
        decode_seconds: what a native decoder of compressed DICOM may take for a picture.
        decode_megabytes: of memory that it may take, in units of 2**20 bytes.
        modalities: of the DICOM files that are taken for radiographs.
        sop_classes: UIDs of those that are, where the modality does not tell: it is missing, OT or SC.
    """

    max_bytes: int
    max_pixels: int
    max_side: int
    decode_seconds: float = 20.0
    decode_megabytes: int = 2000
    modalities: frozenset[str] = MODALITIES
    sop_classes: frozenset[str] = SOP_CLASSES

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The limits that the settings give."""
        return cls(
            settings.max_bytes,
            settings.max_pixels,
            settings.max_side,
            settings.decode_seconds,
            settings.decode_megabytes,
            frozenset(settings.dicom_modalities.split()),
            frozenset(settings.dicom_sop_classes.split()),
        )

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


def failed_on_it() -> ImageRejected:
    """The refusal of a file on which the program itself fails, in a way that nobody foresaw."""
    return ImageRejected("internal_error", "The program failed on this file; its log says how. Retry after an update.")


def damaged() -> ImageRejected:
    """The refusal of a file that breaks the rules of its format."""
    return ImageRejected(
        "damaged", "The content is damaged and cannot be decoded. Export the X-ray again from its source."
    )


def cut_short(kind: str) -> ImageRejected:
    """The refusal of a file that ends before it is complete; `kind` is what it is called, as in "JPEG"."""
    return ImageRejected("truncated", f"The {kind} ends too early: it was not copied completely. Send it again.")


def too_slow() -> ImageRejected:
    """The refusal of a file whose decoder exceeds its time."""
    return ImageRejected(
        "decoder_too_slow",
        "Decoding the file takes longer than TRIAGE_DECODE_SECONDS allows. "
        "Export the X-ray uncompressed, as PNG or as JPEG.",
    )


def read_exactly(stream: BinaryIO, count: int, kind: str) -> bytes:
    """Read `count` bytes.

    Raises:
        ImageRejected: `truncated`, there are fewer.
    """
    taken = stream.read(count)
    if len(taken) < count:
        raise cut_short(kind)
    return taken


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
def as_rejection() -> Iterator[None]:
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
            raise damaged() from None
