"""The texts of whether the images that come in look like those that the model was made for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from dashboard import wording_model
from triage.drift import LEAST_IMAGES, Judged, Reference

DRIFT = "Do the images still look like those it was tested on?"
HELP = (
    "What this version said, by the week in which it said it (images that “triage rescore” sent again count in that "
    "week), with the number of images below. Hollow dots stand for fewer than {least} images. The dashed line is what "
    "it said of the images that it was tested on, and had not seen."
)
NONE_TITLE = "This version judged no images in the last 12 weeks"
NONE = "As soon as it has, each week is set against what it said of those it was tested on."
TOO_FEW = "Too little to judge: in no week of the last 12 did this version see {least} images or more."
NO_REFERENCE = (
    "Its bundle does not tell what it said of the images that it was tested on: there is nothing to set the weeks "
    "against."
)
MORE_UNLIKE = (
    "In the week of {week}, {count:,} of {total:,} images were unlike those that it learnt from ({share}; {reference} "
    "of those it was tested on). Its figures above do not hold for such images: look at what comes in, and at the "
    "devices that it comes from."
)
MORE_REVIEW = (
    "In the week of {week}, it asked for a human at {count:,} of {total:,} images ({share}; {reference} of those it "
    "was tested on)."
)
NOTHING_STANDS_OUT = (
    "In the week of {week}, no more of its {total:,} images than expected were unlike those that it learnt from, or "
    "needed review. That does not say that it was right on them."
)

IMAGES = "Images judged"
CONFIDENCE = "Confidence: median, and the middle half"
UNLIKE = "Unlike the training data"
REVIEW = "Needs review"
SHARE_HELP = "with its 95 % interval"
NUMBERS = "The same in numbers"
COLUMNS = ("Week of", "Images", "Confidence: median (middle half)", "Unlike the training data", "Needs review")
TESTED_ON = "Tested on"
NOT_KNOWN = "–"

PARTS = "Body parts, by week"
PARTS_HELP = (
    "Share of the images that were classified for the first time in a week, as DICOM names the part; JPG and PNG files "
    "do not say it. Nothing is known of the parts that the model was tested on."
)
PART = "Body part"
NOT_TOLD = "Not said by the file"
OTHER_PARTS = "Other parts"
ALL_IMAGES = "Images"
PARTS_SHOWN = 8
CELL = "{part}, week of {week}: {count:,} of {total:,}"

IMAGES_ALT = "week of {week}: {count:,}"
SHARE_ALT = "week of {week}: {count:,} of {total:,} ({share})"
CONFIDENCE_ALT = "week of {week}: median {median}, middle half {low} to {high}, of {total:,} images"


def share(count: int, total: int) -> str:
    """A share as people read it."""
    return wording_model.share(count / total) if total else NOT_KNOWN


def count_and_share(count: int, total: int) -> str:
    """How many of how many."""
    return f"{count:,} of {total:,}: {share(count, total)}" if total else NOT_KNOWN


def quartiles(found: tuple[float, float, float] | None) -> str:
    """Median and middle half."""
    if found is None:
        return NOT_KNOWN
    low, median, high = (f"{value:.0%}" for value in found)
    return f"{median} ({low} to {high})"


def numbers(monday: date, judged: Judged) -> tuple[str, ...]:
    """A week as a row."""
    return (
        wording_model.week(monday),
        f"{judged.images:,}",
        quartiles(judged.quartiles),
        count_and_share(judged.unlike, judged.measured),
        count_and_share(judged.review, judged.images),
    )


def tested_on(reference: Reference) -> tuple[str, ...]:
    """The reference as a row."""
    shares = [
        NOT_KNOWN if known is None else wording_model.share(known) for known in (reference.unlike, reference.review)
    ]
    return (TESTED_ON, "", quartiles(reference.quartiles), *shares)


def images_alt(weeks: Sequence[tuple[date, Judged]]) -> str:
    """The bars in words."""
    return "; ".join(IMAGES_ALT.format(week=wording_model.week(day), count=found.images) for day, found in weeks)


def confidence_alt(weeks: Sequence[tuple[date, Judged]]) -> str:
    """The confidence in words."""
    said = []
    for day, found in weeks:
        if found.quartiles is not None:
            low, median, high = (f"{value:.0%}" for value in found.quartiles)
            week = wording_model.week(day)
            said.append(CONFIDENCE_ALT.format(week=week, median=median, low=low, high=high, total=found.images))
    return "; ".join(said)


def shares_alt(weeks: Sequence[tuple[date, int, int]]) -> str:
    """Shares in words."""
    return "; ".join(
        SHARE_ALT.format(week=wording_model.week(day), count=count, total=total, share=share(count, total))
        for day, count, total in weeks
        if total
    )


def help_text() -> str:
    """What the charts show."""
    return HELP.format(least=LEAST_IMAGES)
