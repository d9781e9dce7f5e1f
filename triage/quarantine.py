"""A second chance for files that were put aside: which may have one, and how they get it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy.orm import sessionmaker

from triage import queries
from triage.intake import Publish
from triage.records import QUARANTINED, Image
from triage.register import UID_CONFLICT

NEVER_READ = "never_read"


def hindrance(image: Image) -> str | None:
    """Why trying an image again would not help: ``never_read`` or ``sop_uid_conflict``; None if it may."""
    if image.sha256 is None:
        return NEVER_READ
    return UID_CONFLICT if image.error_code == UID_CONFLICT else None


def retry(
    sessions: sessionmaker[Any], publish: Publish, ids: Sequence[int], *, actor: str, clock: Callable[[], datetime]
) -> tuple[list[int], bool]:
    """Queue quarantined images again, an upload as an upload. Commits first, publishes second.

    Returns:
        The images that are queued now (others are not in quarantine, or there is a ``hindrance``), and whether
        the broker took all messages; if not, the sweep publishes them later.
    """
    now = clock()
    queued: list[Image] = []
    with sessions.begin() as session:
        for image in queries.images_by_id(session, ids):
            if image.status == QUARANTINED and hindrance(image) is None:
                queries.requeue(session, image, actor=actor, at=now, event="retried")
                queued.append(image)
    sent = True
    for source, images in groupby(sorted(queued, key=lambda image: image.source), key=lambda image: image.source):
        same_source = [image.id for image in images]
        if not publish(same_source, source):
            sent = False
            with sessions.begin() as session:
                queries.set_published(session, same_source, None)
    return [image.id for image in queued], sent
