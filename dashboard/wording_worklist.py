"""The texts of the worklist."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard import wording
from triage.records import DISCARDED, DONE, NEEDS_REVIEW, OTHERS, OVERDUE, QUARANTINED, QUEUED, REVIEWED
from triage.worklist import Count, Sort, View

NOTHING_OPEN = "Choose a study from the list to see the picture and what the model says. Keys: J next, K previous."
SORT_LABEL = "Order"
SORTS: Mapping[Sort, str] = {
    "triage": "Needs review first",
    "urgency": "Most urgent",
    "confidence_down": "Most confident",
    "confidence_up": "Least confident",
    "oldest": "Longest wait",
}
LANE_LABEL = "Lane"
LANES = {OVERDUE: "Waits too long", NEEDS_REVIEW: "Needs review", OTHERS: "Others", REVIEWED: "Reviewed"}
ALL_LANES = "All"
SEARCH = "Name, accession number or image number"
SEARCH_SHORT = "Name or number"
SEARCH_HELP = (
    "Finds what begins so, in capitals or not: the name of a file, an accession number; "
    "or the whole number of an image or a study"
)
FILTERS = {
    "status": "Status",
    "label": "Type that the model says",
    "body_part": "Body part",
    "source": "Came in by",
    "reviewed": "Reviewed",
    "first": "Came in from",
    "last": "to",
}
FILTERS_BUTTON = "Filters"
FILTERS_SET = "Filters ({count})"
ANY = "any"
STATUSES = {DONE: "classified", QUEUED: "waiting", QUARANTINED: "in quarantine", DISCARDED: "discarded"}
REVIEWED_OR_NOT = {True: "yes", False: "no"}
SHOW_ALL = "Clear the filters"
PAGE_POSITION = "{first:,}–{last:,} of {total}"
PAGE_SOMEWHERE = "of {total}"
PAGE_FAR = "beyond {before:,} of {total}"
EXPORT = "Export"
EXPORT_AS = {"csv": "CSV, for a spreadsheet", "json": "JSON"}
EXPORT_HELP = "This list, in this order: the images of the first {most:,} studies. Noted in the audit trail."
EMPTY = "Nothing has been classified yet."
EMPTY_WAITING = "Nothing has been classified yet; {waiting:,} wait."
EMPTY_HOW = "Drop JPG, PNG or DICOM files into the inbox, or use Upload. The inbox is"
NOTHING_FITS = "No study fits the filters."
OVERDUE_BADGE = "Waits too long"
REVIEWED_BADGE = "Reviewed"
URGENCY = "urgency {percent}"
IMAGES = "{count} images"
URGENCY_TITLE = "How urgent each type is"
URGENCY_NOTE = (
    "Urgency is this weight, from 0, can wait, to 1, at once, times the probability of each type. The weights that "
    "ship are an opinion: nobody has validated them in a clinic, and they know nothing of the patient. Set your own."
)
URGENCY_SAVE = "Save the weights"
URGENCY_CHANGED = "Changed by {who}, {when}."
URGENCY_REFUSED = "The weights were not changed: {problem}."
STATUS_ROW = {QUEUED: "Waiting for a worker", QUARANTINED: "In quarantine", DISCARDED: "Discarded"}


def filters(count: int) -> str:
    """The button of the filters; how many are set."""
    return FILTERS_SET.format(count=count) if count else FILTERS_BUTTON


def count(number: Count) -> str:
    """How many there are."""
    return f"{number.number:,}" if number.is_exact else wording.more_than(number.number)


def lane(which: int | None, number: Count) -> str:
    """A lane and how many studies stand in it; None: all lanes."""
    return f"{ALL_LANES if which is None else LANES[which]} {count(number)}"


def position(view: View, lane: int | None) -> str:
    """Which rows of how many a page shows."""
    total = view.total if lane is None or lane not in view.lanes else view.lanes[lane]
    if not view.before.is_exact and not view.before.number:
        return PAGE_SOMEWHERE.format(total=count(total))
    if not view.before.is_exact:
        return PAGE_FAR.format(before=view.before.number, total=count(total))
    first = view.before.number + 1
    last = view.before.number + len(view.entries)
    if total.is_exact:
        total = Count(max(total.number, last))
    return PAGE_POSITION.format(first=first, last=last, total=count(total))
