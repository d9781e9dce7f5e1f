"""What the audit can find: a stable code each, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

_REPORT = "The program does not mend this by itself: go back to a backup, and report it."
_SWEEP = "The watcher's sweep has not seen to it: see with `triage doctor` whether it runs; `triage up` starts it."
_QUEUE = "Workers skip it. To be rid of it, empty Redis: what waits is published again from the database."

ADVICE: Final = MappingProxyType(
    {
        "missing_original": "The original is gone. Put it back from a backup, or drop the same file again.",
        "digest_differs": "The original's bytes are not those that came in. Drop the right file again, "
        "or put it back from a backup.",
        "unreadable_original": "The original cannot be read. See to its permissions and to the disk.",
        "orphan_original": "No image has these bytes. Copy it into the inbox to have it classified, or remove it.",
        "purged_file": "A file of a purged image is still there. `triage purge` removes it the next time.",
        "missing_render": "The picture of a DICOM image is gone. `triage render ORIGINAL PICTURE` makes it anew.",
        "orphan_render": "No image belongs to this picture. Remove it.",
        "leftover_file": "A process was lost while it wrote this. Remove it.",
        "foreign_file": "A file that is not ours lies in this folder. Move it away.",
        "abandoned_files": "A process was lost while it took these files in. Start the watcher anew: it goes on with "
        "them. What stays after that cannot be read.",
        "no_digest": "No SHA-256 is kept, but the image was not put aside. " + _REPORT,
        "no_prediction": "The image is done, but nothing was predicted. " + _REPORT,
        "prediction_differs": "The worklist shows something else than the newest prediction. " + _REPORT,
        "worklist_differs": "The worklist shows something else of this study than its images make it. " + _REPORT,
        "double_prediction": "One model version has spoken twice. " + _REPORT,
        "lease_expired": "A worker was lost. " + _SWEEP,
        "never_published": "The image waits without a message. " + _SWEEP,
        "no_reason": "Put aside without a reason. `triage quarantine retry` has it looked at again.",
        "history_differs": "The audit trail tells of another status. " + _REPORT,
        "message_unreadable": "A message in the queue is not ours. " + _QUEUE,
        "message_of_no_image": "A message names an image that does not exist. " + _QUEUE,
    }
)


@dataclass(frozen=True)
class Mismatch:
    """One thing that does not fit.

    Attributes:
        code: stable; a key of `ADVICE`.
        image_id: the image, where it is about one.
        path: file or folder, relative to the home. Never the name that a file came under.
        detail: what was found, where the code alone does not tell.
        place: where to look again; not shown.
    """

    code: str
    image_id: int | None = None
    path: str | None = None
    detail: str = field(default="", compare=False)
    place: Path | None = field(default=None, compare=False, repr=False)

    @property
    def about(self) -> str:
        """What it concerns, in words."""
        parts = [] if self.image_id is None else [f"image {self.image_id}"]
        parts += [] if self.path is None else [self.path]
        return ", ".join(parts) or "the queue"

    @property
    def text(self) -> str:
        """What was found, and what to do."""
        return f"{self.detail}. {ADVICE[self.code]}" if self.detail else ADVICE[self.code]

    def as_json(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {"code": self.code, "image_id": self.image_id, "path": self.path, "text": self.text}
