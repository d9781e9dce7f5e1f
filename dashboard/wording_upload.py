"""The texts of the upload page."""

from __future__ import annotations

LABEL = "X-rays as JPG, PNG or DICOM files, one or many"
HELP = (
    "They go ahead of everything that waits in the inbox, and are kept like any other image. "
    "Any other kind of file is refused, with the reason."
)
WORKING = "Taking the file in and asking the model …"
TAKING_IN = "Taking the files in …"
KNOWN = "These bytes came in before, on {received}: this is image {id} and its result. Nothing was counted twice."
KNOWN_SHORT = "these bytes came in before: image {id}"
FAILED = "The file could not be taken in: {problem}"
DISK = "The disk or the database did not take it. Try again; the log says more."
POSITION = "{first:,}–{last:,} of {count:,}"
FINISHED = "{finished:,} of {count:,} finished."
NOTHING_YET = "Choose X-rays, or drag them onto the field. The picture and what the model says of it appear here."
NOTHING_OPEN = "“Show” beside a file opens its picture and what the model says."
