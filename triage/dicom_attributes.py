"""Single attributes of a DICOM data set, as values that can be relied on."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from triage.dicom_file import Coding
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


def has_item(dataset: Dataset, keyword: str) -> bool:
    """Whether an attribute is a sequence with something in it."""
    return keyword in dataset and bool(dataset[keyword].value)
