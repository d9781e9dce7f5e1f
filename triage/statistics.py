"""How the work goes: waits, throughput, delays and workers, as the system page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from triage.records import DONE, PROCESSING, QUARANTINED, QUEUED, AuditEvent, Image

SAMPLE: Final = 1000
"""How many of the newest images, or events, a figure is made of that need not look at all of them."""


@dataclass(frozen=True)
class Waiting:
    """What has no result yet, of one kind: uploads, or everything else.

    Attributes:
        count: images that are queued or in work.
        oldest: when the one came in that has waited longest; None if none waits.
    """

    count: int
    oldest: datetime | None


@dataclass(frozen=True)
class Delays:
    """From taken in to result, over the newest images of one kind.

    Attributes:
        count: of the images.
        p50: seconds that half of them took at most; None without images.
        p95: seconds that 95 of 100 took at most; None without images.
    """

    count: int
    p50: float | None
    p95: float | None


def waiting(session: Session, *, uploads: bool) -> Waiting:
    """What waits, of the uploads or of everything else."""
    kind = Image.source == "upload" if uploads else Image.source != "upload"
    count, oldest = session.execute(
        select(func.count(), func.min(Image.received_at)).where(Image.status.in_((QUEUED, PROCESSING)), kind)
    ).one()
    return Waiting(count, oldest)


def finished_by_hour(session: Session, now: datetime, hours: int = 24) -> list[tuple[datetime, int]]:
    """How many images came to an end in each of the last hours, the current one last, which is not over.

    Each hour is one range of the index on the time; databases do not agree on how to cut a time to its hour.
    """
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    found = []
    for back in range(hours - 1, -1, -1):
        begin = this_hour - timedelta(hours=back)
        within = (Image.finished_at >= begin, Image.finished_at < begin + timedelta(hours=1))
        found.append((begin, session.scalar(select(func.count()).select_from(Image).where(*within)) or 0))
    return found


def delays(session: Session, *, uploads: bool, sample: int = SAMPLE) -> Delays:
    """From taken in to classified, over the newest images of a kind among the newest that were classified."""
    newest = (
        select(Image.source, Image.received_at, Image.finished_at)
        .where(Image.finished_at.is_not(None), Image.status == DONE)
        .order_by(Image.finished_at.desc())
        .limit(sample)
    )
    seconds = sorted(
        (finished - received).total_seconds()
        for source, received, finished in session.execute(newest)
        if finished is not None and (source == "upload") is uploads
    )
    return Delays(len(seconds), quantile(seconds, 0.5), quantile(seconds, 0.95))


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed (nearest rank)."""
    return ordered[max(0, ceil(share * len(ordered)) - 1)] if ordered else None


def last_progress(session: Session, sample: int = SAMPLE) -> dict[str, datetime]:
    """When each worker process last brought an image to an end, newest first, among the newest events."""
    recent = select(AuditEvent.actor, AuditEvent.at, AuditEvent.event).order_by(AuditEvent.id.desc()).limit(sample)
    found: dict[str, datetime] = {}
    for actor, at, event in session.execute(recent):
        if event in (DONE, QUARANTINED, "rescored") and ":" in actor:
            # The last part is of one message.
            found.setdefault(actor.rpartition(":")[0], at)
    return found


def database_bytes(session: Session) -> int:
    """How large the database is, in bytes."""
    if session.get_bind().dialect.name == "postgresql":
        return int(session.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    pages = int(session.execute(text("PRAGMA page_count")).scalar_one())
    return pages * int(session.execute(text("PRAGMA page_size")).scalar_one())
