"""Single attributes of a DICOM data set, as values that can be relied on."""

from __future__ import annotations

import io
import re
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence_item
from pydicom.multival import MultiValue

from triage.dicom_file import Coding, Rationed
from triage.headers import Exam
from triage.rejections import ImageRejected


def unsupported(what: str) -> ImageRejected:
    """The refusal of a picture that would be shown wrongly; `what` is why, and quotes nothing from the file."""
    return ImageRejected(
        "dicom_unsupported_encoding",
        f"The picture cannot be shown correctly: {what}. Export the X-ray as an ordinary DX image, PNG or JPEG.",
    )


def first_value(dataset: Dataset, keyword: str) -> Any:
    """The value of an attribute, the first of several; None where it is missing or empty."""
    value = dataset.get(keyword)
    if isinstance(value, (list, MultiValue)):
        value = value[0] if value else None
    return None if value is None or value == "" else value


def read_integer(dataset: Dataset, keyword: str, default: int | None = None) -> int:
    """The value of an attribute that is a whole number.

    Raises:
        ImageRejected: it is missing and has no `default`.
    """
    value = first_value(dataset, keyword)
    if value is None:
        if default is None:
            raise unsupported(f"the attribute {keyword} is missing")
        return default
    return int(value)


def read_number(dataset: Dataset, keyword: str) -> float | None:
    """The value of an attribute that is a decimal number; None where it is missing or empty.

    Raises:
        ImageRejected: it is not finite.
    """
    value = first_value(dataset, keyword)
    if value is None:
        return None
    number = float(value)
    if not np.isfinite(number):
        raise unsupported(f"the attribute {keyword} is no finite number")
    return number


def read_code(dataset: Dataset, keyword: str) -> str:
    """The value of an attribute that is a defined term, in capitals; empty where it is missing."""
    return str(first_value(dataset, keyword) or "").strip().upper()


def read_uid(dataset: Dataset, keyword: str) -> str | None:
    """The value of an attribute that is a UID; None where it is missing or no UID."""
    value = str(first_value(dataset, keyword) or "").strip("\0 ")
    # Anything else in the field may be text about the patient.
    return value if re.fullmatch(r"[0-9.]{1,64}", value) else None


def read_exam(dataset: Dataset) -> Exam:
    """What is kept of the exam; what is not written as the standard says may be anything, and is left out."""

    def read(keyword: str, pattern: str) -> str | None:
        value = str(first_value(dataset, keyword) or "").strip()
        found = re.match(pattern, value)
        return found[0] if found else None

    return Exam(
        study_date=read("StudyDate", r"\d{8}$"),
        study_time=read("StudyTime", r"\d{2,6}(?=\.|$)"),
        accession_number=read("AccessionNumber", r"[\w .,:/#+-]{1,16}$"),
        series_instance_uid=read_uid(dataset, "SeriesInstanceUID"),
        body_part=read("BodyPartExamined", r"[A-Z0-9 _]{1,16}$"),
        view_position=read("ViewPosition", r"[A-Z0-9 _]{1,16}$"),
        laterality=read("ImageLaterality", r"[RLUB]$") or read("Laterality", r"[RLUB]$"),
    )


def is_empty(dataset: Dataset, keyword: str) -> bool:
    """Whether an attribute is missing, or there without a value."""
    return keyword not in dataset or not dataset.get_item(keyword).value


def raw_value(dataset: Dataset, keyword: str) -> tuple[bytes, RawDataElement]:
    """The bytes of an element as they lie in the file: where its VR is ambiguous, pydicom would guess."""
    element: object = dataset.get_item(keyword)
    if not isinstance(element, RawDataElement):
        raise TypeError("no plain element")
    return element.value or b"", element


def read_words(dataset: Dataset, keyword: str, coding: Coding) -> npt.NDArray[np.int64]:
    """16-bit words of an element whose VR is US or SS or OW, unsigned."""
    value, _ = raw_value(dataset, keyword)
    return np.frombuffer(value, "<u2" if coding.little_endian else ">u2").astype(np.int64)


def first_item(dataset: Dataset, keyword: str) -> Dataset | None:
    """The first item of a sequence; None where it is missing or has none. What comes after it is not looked at."""
    if keyword not in dataset:
        return None
    element: object = dataset.get_item(keyword)
    if not isinstance(element, RawDataElement):  # a sequence without a length: it had to be read to be skipped
        items = dataset[keyword].value
        return items[0] if items else None
    if not element.value:
        return None
    # One whose writer did not know that it is a sequence is always implicit inside (PS3.5, 6.2.2).
    implicit = element.is_implicit_VR or element.VR == "UN"
    stream = cast(BinaryIO, Rationed(io.BytesIO(element.value)))
    return read_sequence_item(stream, implicit, element.is_little_endian, "iso8859")
