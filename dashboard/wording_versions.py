"""The texts of the versions that there are, and of making another one active."""

from __future__ import annotations

from triage.comparison import Comparison, Difference

VERSIONS = "Versions"
COLUMNS = ("Version", "", "Where from", "Made", "Top-1", "")
ACTIVE = "active"
ORIGINS = {"own": "your own", "shipped": "came with the program", "pinned": "TRIAGE_MODEL"}

CHANGES = (
    "Making another version active and going back are kept in the audit trail, with who did it. Workers take the "
    "version with their next message; “triage rescore” brings the open worklist to it."
)
PINNED = "TRIAGE_MODEL names the model, whichever version is active. Unset it to choose one here."
NOT_YOURS = (
    "You cannot change the model here: that is for those whom TRIAGE_ADMINISTRATORS names. “triage model promote "
    "VERSION” and “triage model rollback” do it on the machine itself."
)
ASK_NAME = "Who changes the model? Your name or initials; the audit trail keeps it"
NO_OTHER = "There is no other usable version. “python -m training.run” makes one, “triage model import” takes one in."
CHOOSE = "Another version"
COMPARE = "Compare with the active one"
GO_BACK = "Go back to the version before"
NO_WAY_BACK = "No version was active before this one, as far as the audit trail tells."

TRYING = "Checking and trying out {version}, and comparing it. This takes some seconds …"
SWITCHING = "Checking once more, then switching to {version}. This takes some seconds …"
GOING_BACK = "Trying out the version before, then going back to it. This takes some seconds …"

PROMOTE_TITLE = "Make {after} active?"
BACK_TITLE = "Go back to {after}?"
INSTEAD = "Active now: {before}."
CONFIRM_PROMOTE = "Make {after} active"
CONFIRM_BACK = "Go back to {after}"
CANCEL = "Leave it as it is"
FIGURE = "Figure"
EACH_ON_ITS_OWN = (
    "Each on the images that it was tested on itself, with its 95 % interval. These may be different images: what "
    "counts is the comparison on the same ones."
)
NO_FIGURE = "not known"
SAME_TITLE = "On the same {images:,} held-out images"
SAME_COLUMNS = ("", "{before}", "{after}", "Difference, with its 95 % interval")
SAME_TOP_1 = "Top-1: the type is right"
SAME_LOG_LOSS = "Log loss; lower is better"
NO_COMPARISON_BACK = "Going back is not compared: nothing keeps you from leaving a version that went wrong."
OBJECTION = "It takes a reason: {objection}."
REASON = "Why all the same? The audit trail keeps the reason"
REASON_BACK = "Why? May be left empty; the audit trail keeps it"
REASON_MISSING = "Say why before you make this version active."

DONE = "{after} is active; it was {before}. The audit trail says that it was {actor}."
DONE_FIRST = "{after} is active. The audit trail says that it was {actor}."
UNCHANGED = "{after} is active already; nothing was changed."
REFUSED = "The active version stays. {message}"
FAILED = (
    "That did not come to an end. The version that is marked as active in the list is the one in use; the dashboard's "
    "log says more."
)


def difference(difference: Difference, *, percent: bool) -> tuple[str, str, str]:
    """A figure of the active version, of the other one, and by how much they differ."""
    if percent:
        points = [100 * value for value in (difference.difference, difference.low, difference.high)]
        return (
            f"{difference.active * 100:.1f} %",
            f"{difference.candidate * 100:.1f} %",
            f"{points[0]:+.1f} points ({points[1]:+.1f} to {points[2]:+.1f})",
        )
    return (
        f"{difference.active:.3f}",
        f"{difference.candidate:.3f}",
        f"{difference.difference:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})",
    )


def same_images(comparison: Comparison) -> list[tuple[str, ...]]:
    """Both on the same images, a row for each figure."""
    return [
        (SAME_TOP_1, *difference(comparison.top_1, percent=True)),
        (SAME_LOG_LOSS, *difference(comparison.log_loss, percent=False)),
    ]


def sentence(message: str) -> str:
    """A message of the core as a sentence."""
    return message[:1].upper() + message[1:] + ("" if message.endswith(".") else ".")
