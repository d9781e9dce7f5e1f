"""The texts of the printable summary of a study."""

from __future__ import annotations

from collections.abc import Sequence

SUMMARY = "Summary"
PRINT = "Print"
HOW = "Ctrl+P prints the same: this sheet alone, black on white, on A4 or Letter."
MANY = (
    "Up to {fit} images fit on one page, unless much is noted of them. These take more; "
    "each page repeats the study's number and the notice."
)
CUT = "The first {most} images are shown; the study has more."
LINK = "One-page summary"
TITLE = "Study {id}"
NO_SUCH_STUDY = "There is no study {id} here. The link may come from another installation."
NO_STUDY_NAMED = (
    "This page shows one study. Open an image from the worklist: “{link}” is beside the number of its study."
)
ALL_DISCARDED = "No image of this study is left to show: they were discarded."

IMAGES = "Images"
ACCESSION = "Accession number"
TAKEN = "Taken"
MORE_NAMES = "{name} and under {more} more names"
IMAGE = "Image {id}"
TIMES = "Received {received}, finished {finished}"
RECEIVED = "Received {received}"
SET = "Prediction set: {labels}"
REVIEW = "Needs review"
MODEL = "model {version}"
VERDICT = "Verdict"
NO_VERDICT = "none given"
NOTE = "Note: {note}"
VERDICT_BY = "{verdict} ({who}, {when})"
PRINTED = "Printed by {who}, as things stood on {when}"


def labels(names: Sequence[str]) -> str:
    """The types that the model keeps in play, in one line."""
    return SET.format(labels=", ".join(names))


def names(first: str, count: int) -> str:
    """The name that an image came under, and how many others it has."""
    return first if count < 2 else MORE_NAMES.format(name=first, more=count - 1)


def date(day: str) -> str:
    """A day as DICOM writes it, YYYYMMDD, to be read."""
    return f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 else day
