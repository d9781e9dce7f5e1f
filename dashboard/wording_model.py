"""The texts of the model page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from triage.agreement import Agreement

MODEL = "Model"
MADE = "made {date}"
UNUSABLE = "No model can be used: {problem}"

INTERVALS = "Each figure with its 95 % interval."
MEASURED = "Measured on {images:,} images in {groups:,} groups that belong together."
HELD_OUT = "Each image was judged by a network that saw neither it nor a duplicate of it that was found."
NO_FIGURES = "Nothing is known of how good this model is: its bundle has no figures."
FIGURES = {
    "top_1": "Top-1: the type is right",
    "top_2": "Top-2: in the first two",
    "top_3": "Top-3: in the first three",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro-F1",
    "auroc": "AUROC, one against rest",
    "calibration_error": "Expected calibration error",
    "coverage": "Prediction sets hold it",
    "set_size": "Types in a prediction set",
}
IN_PERCENT = frozenset({"top_1", "top_2", "top_3", "balanced_accuracy", "macro_f1", "coverage"})
DECIMALS = {"set_size": 1}

NOT_FOR = "What it must not be used for"
NOT_A_DIAGNOSIS = "It is for ordering a worklist, and a second opinion beside a clinician's own. It is not a diagnosis."
NO_NO_FRACTURE = (
    "Its {count} types are types of fracture, and it names one for every picture, of a healthy bone as well. “No "
    "fracture” is not among them: it cannot say that a bone is intact, and a low confidence does not mean that one is."
)
USES = (
    "Do not decide anything about a patient by it alone, or without a clinician who looks at the picture.",
    "Do not rule a fracture out by it, leave a picture unread, or put off looking at one because it ranks low.",
)
NOT_VALIDATED = (
    "It is no medical device, and has not been validated in a clinic, on any patient group, or on any X-ray equipment."
)
FEW_DATA = "The data are few ({images:,} images measured): expect worse on another clinic's pictures."
NO_GROUPS = (
    "Nothing is known of the age, sex, origin or equipment behind them: nobody can say how it does on children, or on "
    "your devices."
)
UNKNOWN = "Nothing is known of how good it is, and its confidence is not calibrated."

RELIABILITY = "Is it as sure as it is right?"
RELIABILITY_HELP = (
    "Each dot is the images of one range of confidence, with a 95 % interval. On the dashed line it is as often right "
    "as it is sure; below the line it is too sure."
)
RELIABILITY_ALT = "confidence {confidence:.0%}: right {right:.0%} of {images:,.0f}"
SURE = "confidence"
RIGHT = "right"

CONFUSION = "What is taken for what"
CONFUSION_HELP = (
    "A row is the images of one type, a column what the model called them; shaded by the share of the row. "
    "Recall is how many of a type were called so."
)
TYPE = "Type"
RECALL = "Recall"
CELL = "{true}, called {named}: {share:.0%}"

AGREEMENT = "What clinicians say of it"
AGREEMENT_HELP = (
    "Images by what this version named, each with the verdict that stands. Whoever gave it saw what the model said, "
    "and not every image has one: this does not replace the figures above."
)
NO_VERDICTS_TITLE = "No verdicts yet"
NO_VERDICTS = "As soon as somebody says of an image whether this version is right, it is counted here."
NAMED = "The model named"
VERDICTS = {
    "agree": "Agree",
    "correct": "Another type",
    "no_fracture": "No fracture",
    "other": "Other finding",
    "unreadable": "Unreadable",
}
AGREED = "Agreed"
BY_WEEK = "Share that agrees, by the week of the verdict"
BY_WEEK_HELP = (
    "Each dot is the verdicts of one week, with a 95 % interval and their number below; hollow: fewer than 20. Who "
    "gives a verdict, and on what, may change from week to week, and the share with it."
)
BY_TYPE_AND_WEEK = "By type and week: agreed of all verdicts"
NO_RECENT_VERDICTS = "Nobody gave a verdict in the last 12 weeks."
WEEK_ALT = "week of {week}: {count:,} of {total:,} agreed"
ALL = "All"
FEW = 20
"""Below so many verdicts a percentage would look surer than it is."""


def share(value: float) -> str:
    """A share with one decimal, as the model's card has it."""
    return f"{value * 100:.1f} %"


def figure(name: str, value: float, low: float, high: float) -> tuple[str, str]:
    """A figure, and its interval."""
    if name in IN_PERCENT:
        return share(value), f"{low * 100:.1f} to {high * 100:.1f} %"
    decimals = DECIMALS.get(name, 3)
    return f"{value:.{decimals}f}", f"{low:.{decimals}f} to {high:.{decimals}f}"


def agreed(total: Agreement) -> str:
    """How many of the verdicts agree."""
    said = f"{total.agreed:,} of {total.total:,}"
    return f"{said}: few verdicts" if total.total < FEW else f"{said}: {total.agreed / total.total:.0%}"


def week(monday: date) -> str:
    """A week by its first day."""
    return f"{monday:%d %b}"


def count(number: int) -> str:
    """A number in little room."""
    if number < 10_000:
        return f"{number:,}" if number else "–"
    return f"{number / 1000:.0f}k"


def whole_percent(value: float) -> str:
    """A share beside an axis."""
    return f"{value:.0%}"


def agreed_of(row: Agreement | None) -> str:
    """How many verdicts agree, in little room."""
    return "–" if row is None else f"{row.agreed:,} / {row.total:,}"


def agreed_by_week(weeks: Sequence[tuple[date, int, int]]) -> str:
    """The weeks for whoever cannot see the chart: Monday, verdicts that agree, all verdicts."""
    return "; ".join(
        WEEK_ALT.format(week=week(day), count=agreed, total=total) for day, agreed, total in weeks if total
    )


def reliability(bins: Sequence[tuple[float, float, float]]) -> str:
    """The diagram for whoever cannot see it: confidence, share that is right, images."""
    return "; ".join(RELIABILITY_ALT.format(confidence=c, right=r, images=n) for c, r, n in bins)
