"""The texts of the system page and of the audit trail on it."""

from __future__ import annotations

from datetime import timedelta

SYSTEM = "System"

WAITING_UPLOADS = "uploads wait"
WAITING_OTHERS = "inbox images wait"
OLDEST = "oldest: {age}"
NONE_WAITS = "none waits"
LAST_HOUR = "finished this hour"
HOUR_BEFORE = "{count:,} in the hour before"
DELAY_UPLOADS = "from upload to result"
DELAY_OTHERS = "from inbox to result"
DELAY = "{p50} / {p95}"
DELAY_HELP = "half of them / 95 of 100; newest {count:,}"
NO_DELAY = "none yet"
DELAY_NOTE = (
    "Times begin when a file was taken in. Before that, a file in the inbox has to look the same for {quiet:g} s "
    "(TRIAGE_QUIET_SECONDS)."
)

BY_HOUR = "Images finished by hour, last 24 hours"
BY_HOUR_BAR = "{hour:%d %b %H:%M}: {count:,}"
BY_HOUR_PEAK = "highest: {count:,} an hour"
NOTHING_FINISHED = "No image came to an end in the last 24 hours."

PARTS = "Parts"
WORKER = "Workers"
WATCHER = "Watcher"
BROKER = "Queue (Redis)"
DATABASE = "Database"
DISK = "Disk"
WORKERS_ALIVE = "{children}: {workers}"
WATCHERS_ALIVE = "at work"
NO_WATCHER = "none runs: no file is taken out of the inbox. “triage up” starts one."
BROKER_ANSWERS = "answers; {messages}"
MESSAGES = "{uploads:,} upload and {folder:,} inbox messages"
DATABASE_IS = "{kind}, {size}"
DISK_IS = "{free} free of {total} on the disk of {home}"
DISK_LOW = "only {free} free of {total} on the disk of {home}: make room before files are refused"
PROGRESS = "Last result of each worker process"
PROGRESS_NONE = "none lately"
AGO = "{age} ago"
SIGNED_IN = "You are signed in as {name}."
TOLD = "You are {name}; the browser keeps the name until it is closed."
SOMEBODY_ELSE = "Somebody else"

TRAIL = "Audit trail"
TRAIL_INTRO = "Who did what, and what happened to which image. Newest first; nothing is ever changed in it."
TRAIL_WHO = "Who (name begins with)"
TRAIL_WHAT = "What"
TRAIL_IMAGE = "Image number"
TRAIL_SINCE = "From"
TRAIL_UNTIL = "To"
TRAIL_PEOPLE = "What people did"
TRAIL_ALL = "Everything"
TRAIL_NONE = "Nothing in the trail fits. Take something out of the search."
TRAIL_NO_NUMBER = "An image number has digits only."
TRAIL_HEAD = ("When", "Who", "What", "Image", "")
NEWER = "Newer"
OLDER = "Older"


def size(count: float) -> str:
    """A number of bytes as people read it, in powers of 1000."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit in ("B", "kB") else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def seconds(value: float) -> str:
    """A short time; long ones in their own unit."""
    if value < 10:
        return f"{value:.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    span = timedelta(seconds=value)
    return f"{span.total_seconds() / 60:.0f} min" if value < 7200 else f"{span.total_seconds() / 3600:.0f} h"
