"""Every text that the dashboard shows, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

from triage.pixels import REJECTION_CODES
from triage.records import AGREE, CORRECT, DISCARDED, DONE, PROCESSING, QUARANTINED, QUEUED

TITLE = "Fracture triage"
WORKLIST = "Worklist"
UPLOAD = "Upload"
QUARANTINE = "Quarantine"

# -- what the model says ----------------------------------------------------------------------------------

NEEDS_REVIEW = "Needs review"
REASONS = {
    "not_an_xray": "This does not look like an X-ray",
    "unlike_training_data": "This picture is unlike those that the model learnt from",
    "low_confidence": "The model is unsure: its confidence is low",
    "ambiguous": "Two types are almost equally probable",
    "burned_in_annotation": "Text is burned into the picture: see that it is the right patient's, and what it says",
}
REASONS_SHORT = {
    "not_an_xray": "not an X-ray?",
    "unlike_training_data": "unlike training data",
    "low_confidence": "low confidence",
    "ambiguous": "two types close",
    "burned_in_annotation": "text in the picture",
}
CONFIDENCE = "Confidence"
PROBABILITIES = "Probability of each type"
PREDICTION_SET = "Prediction set: the {count} types in bold"
PREDICTION_SET_OF_ONE = "Prediction set: the type in bold"
PREDICTION_SET_HELP = (
    "The types that the model keeps in play. With a calibrated model the true type is among them about as "
    "often as its card promises, provided that there is a fracture of one of the ten types at all."
)
MODEL_VERSION = "Model version"
NO_PICTURE = "The picture is not on disk any more."

# -- what a clinician says --------------------------------------------------------------------------------

VERDICTS = {
    AGREE: "Agree",
    CORRECT: "Another type",
    "no_fracture": "No fracture",
    "other": "Other",
    "unreadable": "Unreadable",
}
VERDICTS_GIVEN = {
    AGREE: "Agrees with the model",
    "no_fracture": "Sees no fracture",
    "other": "Something else",
    "unreadable": "Cannot be read",
}
CORRECTED = "Corrected to {label}"
CORRECT_TO = "Which type is it? Keys 1 to 9 choose, X goes back."
CANCEL = "Back"
UNDO = "Undo"
NOTE = "Add a note"
NOTE_HELP = "Goes with the next verdict; kept and exported with it"
READER_ASK = "Who is reading? Your name or initials, once; the audit trail keeps who saw which image"
REVIEWER_ASK = "Your name or initials, to give a verdict"
REVIEWER_IS = "as {name}"
REVIEWER_CHANGE = "Change"
VERDICT_REFUSED = "The verdict was not taken: {problem}."

# -- one image --------------------------------------------------------------------------------------------

STATUS = {
    QUEUED: "Waiting",
    PROCESSING: "Being looked at",
    DONE: "Done",
    QUARANTINED: "In quarantine",
    DISCARDED: "Discarded",
}
EVENTS = {
    "admitted": "came in",
    "named_again": "came in again, known by its content",
    "dropped_again": "came in again and is tried again",
    "retried": "sent to the worker again",
    "leased": "taken by a worker",
    "lease_expired": "worker lost; back in the queue",
    "time_limit": "time limit reached; back in the queue",
    "done": "classified",
    "quarantined": "put into quarantine",
    "discarded": "discarded",
    "purged": "purged: files, names and identifiers were removed",
    "rescored": "classified again, by another model version",
    "rescore_failed": "could not be read again for another model version; its result stays",
    "restored": "brought back from a backup; back in the queue",
    "urgency_weights_changed": "the weights of urgency were changed",
    "home_restored": "this home was restored from a backup",
    "viewed": "looked at",
    "exported": "a list was exported",
    "reviewed": "a clinician gave a verdict",
    "review_withdrawn": "the verdict was taken back",
    "model_promoted": "a model version was made active",
    "model_rolled_back": "the model version before was made active again",
}
SOURCES = {"folder": "inbox", "upload": "upload", "once": "command line", "dicom": "DICOM network"}
HISTORY = "What happened to it"
FILE_NAME = "File"
FILE_NAMES = "Came under {count} names"
IMAGE = "Image"
STUDY = "Study"
STUDY_IMAGES = "Study of {count}"
STUDY_IMAGE = "{number}: {says}"
STUDY_IMAGE_VIEW = "{number} ({view}): {says}"
RECEIVED = "Received"
FINISHED = "Finished"
NO_SUCH_IMAGE = "There is no image {id} here. The link may come from another installation."

PREVIOUS = "Previous"
NEXT = "Next"

# -- header -----------------------------------------------------------------------------------------------

COUNTS = {
    QUEUED: "waiting",
    PROCESSING: "in work",
    DONE: "done",
    "needs_review": "need review",
    QUARANTINED: "quarantined",
}
OLDEST_WAIT = "oldest wait"
WORKERS_RUN = "{children} worker processes run"
WORKER_RUNS = "1 worker process runs"
NO_WORKER = "No worker is running: images wait. Start one with “triage up”."
BROKER_AWAY = "The queue (Redis) does not answer: images wait safely and go on when it is back."
DATABASE_AWAY = (
    "The database does not answer. Nothing is lost; this page goes on when it is back. “triage doctor” says more."
)
DATABASE_MISSING = "The dashboard cannot show anything yet: {problem}."
SETTINGS_WRONG = "A setting cannot be used: {problem}"

# -- who is at the screen ---------------------------------------------------------------------------------

SIGN_IN = "Sign in"
SIGN_OUT = "Sign out"
SIGN_IN_WHY = "X-rays are shown to people who sign in, and the audit trail keeps who saw what."
NOT_FOR_YOU = (
    "{name} is signed in, and may not use this dashboard. Whoever runs it can add the e-mail address to TRIAGE_READERS."
)

# -- what waits, or was refused ---------------------------------------------------------------------------

REFUSED = "Not accepted: {title}"
REFUSED_KEPT = "The file is kept in quarantine, as image {id}."
STILL_WAITING = "Still waiting"
WAITS_NO_WORKER = (
    "because no worker is running. The image is stored and is classified as soon as one starts (“triage up”)."
)
WAITS_NO_BROKER = "because the queue (Redis) does not answer. The image is stored and goes on when the queue is back."
WAITS_BUSY = "because every worker is busy. An upload is the next to be taken."
WAITS_IN_LINE = "because every worker is busy; {waiting:,} images wait."
WORKING = "A worker is looking at it."
DISCARDED_NOTE = "A person discarded this file. Drop or upload it again to have it looked at."

# -- quarantine -------------------------------------------------------------------------------------------

QUARANTINE_INTRO = (
    "Retry sends a file to the worker again; Discard takes it off this list. File and history are kept either way."
)
QUARANTINE_EMPTY = "No file is in quarantine."
QUARANTINE_NEW = "{count:,} more since you opened this page"
SHOW = "Show"
PREVIEW = "Preview"
PREVIEW_CLOSE = "Close"
PREVIEW_NOTE = "What the browser can show of the file. It was refused: do not read from it."
RETRY = "Retry"
CANNOT_BE_RETRIED = {
    "never_read": "Its bytes were never read. Put right what the reason says, and drop the file again.",
    "sop_uid_conflict": "Trying again cannot settle which of two files is right.",
}
DISCARD = "Discard"
DISCARD_SURE = "Take this file off the list?"
DISCARD_YES = "Yes, discard it"
RETRIED = "Image {id} waits for a worker again."
RETRIED_UNSENT = "Image {id} waits again; the queue does not answer, so that it goes out later."
DISCARDED_DONE = "Image {id} was discarded."
GONE_MEANWHILE = "Image {id} is not in quarantine any more."
SHA = "SHA-256 {prefix}…"
NEVER_READ = "bytes never read"

_OTHER_ERROR_TITLES = {
    "sop_uid_conflict": "Two files claim to be the same DICOM image",
    "link": "A link, not a file",
    "not_a_file": "Not a file",
    "no_permission": "May not be read",
    "disk_error": "The disk failed",
    "original_missing": "Stored file is gone",
    "changed_after_admission": "Changed after it was taken in",
    "took_too_long": "Took too long",
    "worker_crashed": "The worker was lost on it",
    "internal_error": "The program failed on it",
}


def error_title(code: str | None) -> str:
    """The short title of an error code; an unknown code is shown as it is."""
    if code is None:
        return STATUS[QUARANTINED]
    return REJECTION_CODES.get(code) or _OTHER_ERROR_TITLES.get(code) or code.replace("_", " ")


def reason(code: str, *, short: bool = False) -> str:
    """Why the model asks for a human, in plain words."""
    return (REASONS_SHORT if short else REASONS).get(code, code.replace("_", " "))


def verdict(name: str, label: str | None) -> str:
    """What a clinician said, in plain words."""
    return CORRECTED.format(label=label) if label else VERDICTS_GIVEN.get(name, name.replace("_", " "))


def event(name: str, detail: Mapping[str, Any]) -> str:
    """What happened, in plain words."""
    said = EVENTS.get(name, name.replace("_", " "))
    if name == "quarantined" and isinstance(detail.get("code"), str):
        return f"{said}: {error_title(detail['code'])}"
    if name == "reviewed" and isinstance(detail.get("verdict"), str):
        return f"{said}: {verdict(detail['verdict'], detail.get('label')).lower()}"
    return said


def more_than(number: int) -> str:
    """A number at which counting ended."""
    return f"{number:,}+"


def workers(children: int) -> str:
    """How many worker children run."""
    return WORKER_RUNS if children == 1 else WORKERS_RUN.format(children=children)


def prediction_set(count: int) -> str:
    """How many types the model keeps in play."""
    return PREDICTION_SET_OF_ONE if count == 1 else PREDICTION_SET.format(count=count)


def study_image(number: int, says: str, view: str) -> str:
    """One image of several, by its number, view position and what is known of it."""
    return (STUDY_IMAGE_VIEW if view else STUDY_IMAGE).format(number=number, says=says, view=view)


def images(count: int) -> str:
    """A number of images."""
    return "1 image" if count == 1 else f"{count:,} images"


def percent(probability: float) -> str:
    """A probability as people read it; neither 0 % nor 100 % is ever claimed."""
    if probability < 0.01:
        return "<1 %"
    return ">99 %" if probability >= 0.995 else f"{probability * 100:.0f} %"


def moment(at: datetime, now: datetime, zone: tzinfo) -> str:
    """A time on the reader's clock: today's without the date."""
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    return f"{local:%d %b %H:%M}" if local.year == today.year else f"{local:%d %b %Y %H:%M}"


def full_moment(at: datetime, zone: tzinfo) -> str:
    """A time with its date."""
    return f"{at.astimezone(zone):%d %b %Y %H:%M:%S}"


def duration(span: timedelta) -> str:
    """How long something has lasted, in the largest unit that fits."""
    seconds = max(0, int(span.total_seconds()))
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
