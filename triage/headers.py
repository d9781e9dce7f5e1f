"""What a file is, told from its first bytes and never from its name."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import cast

from triage.rejections import ImageRejected

JPEG = "image/jpeg"
PNG = "image/png"
DICOM = "application/dicom"

HEAD_BYTES = 256
"""How many bytes `sniff` and `refuse_unknown` are given."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Exam:
    """What a DICOM file says of the exam that a clinic sorts and finds it by; no name, no birth date, no free text.

    Each is None where it is missing, or not written the way the standard says (PS3.5, table 6.2-1).

    Attributes:
        study_date: YYYYMMDD.
        study_time: HHMMSS, or its first part; without fractions.
        accession_number: of the order, up to 16 characters.
        series_instance_uid: of the series.
        body_part: a defined term such as HAND.
        view_position: such as AP or LL.
        laterality: R, L, B (both) or U (unpaired).
    """

    study_date: str | None = None
    study_time: str | None = None
    accession_number: str | None = None
    series_instance_uid: str | None = None
    body_part: str | None = None
    view_position: str | None = None
    laterality: str | None = None


@dataclass(frozen=True)
class Header:
    """What is known without decoding pixels.

    Attributes:
        media_type: `image/jpeg`, `image/png` or `application/dicom`.
        width: of the upright picture, in pixels.
        height: of the upright picture, in pixels.
        study_instance_uid: DICOM only, None where it is missing or no UID.
        sop_instance_uid: DICOM only, None where it is missing or no UID.
        exam: DICOM only; of the others nothing is known.
    """

    media_type: str
    width: int
    height: int
    study_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    exam: Exam = Exam()


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
    if head[128:132] == b"DICM" or head.startswith(b"DICM\x02\0"):
        return DICOM  # first: the preamble may hold anything, a TIFF or JPEG header too
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(PNG_SIGNATURE):
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


def refuse_unknown(head: bytes) -> ImageRejected:
    """The refusal of a file that `sniff` does not know, which names the kind it is of if it can.

    Args:
        head: the first `HEAD_BYTES` of the file.
    """
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
