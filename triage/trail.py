"""The audit trail: what looking at images adds to it, and how it is searched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from triage import queries
from triage.records import AuditEvent, Image

PEOPLE: Final = (
    "viewed",
    "reviewed",
    "review_withdrawn",
    "retried",
    "discarded",
    "purged",
    "exported",
    "model_promoted",
    "model_rolled_back",
    "urgency_weights_changed",
    "home_restored",
)
"""Events that somebody brought about, on the dashboard or with the command."""


def note_view(session: Session, image_id: int, *, actor: str, at: datetime) -> None:
    """Note that somebody was shown an image.

    Args:
        session: in a transaction, which the caller commits.
        image_id: the image; one that is not there is not noted.
        actor: who.
        at: the time in UTC.
    """
    image = session.get(Image, image_id)
    if image is not None:
        queries.record_event(session, "viewed", image, actor=actor, at=at)


def note_export(session: Session, studies: int, kind: str, *, actor: str, at: datetime) -> None:
    """Note that somebody took a list away.

    Args:
        session: in a transaction, which the caller commits.
        studies: how many it has.
        kind: its format.
        actor: who.
        at: the time in UTC.
    """
    queries.record_event(session, "exported", None, actor=actor, at=at, detail={"studies": studies, "format": kind})


@dataclass(frozen=True)
class TrailFilter:
    """Which events are looked for; what is not given does not matter.

    Attributes:
        actor: how the name of who did it begins, in capitals or not.
        events: names of events.
        image_id: of the image that it happened to.
        since: not before then, in UTC.
        until: before then, in UTC.
    """

    actor: str = ""
    events: tuple[str, ...] = ()
    image_id: int | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class TrailPage:
    """Some events, newest first, with the ids that the pages beside it begin at (None: there is none)."""

    events: list[AuditEvent]
    newer: int | None
    older: int | None


def search(
    session: Session, wanted: TrailFilter, *, size: int, older_than: int | None = None, newer_than: int | None = None
) -> TrailPage:
    """One page of the trail, by keyset: it begins right behind an event, however many there are.

    Args:
        session: a reading session.
        wanted: which events.
        size: events on a page.
        older_than: id of the event before the page; None: from the newest on.
        newer_than: id of the event behind the page; not together with ``older_than``.
    """
    query = _matching(wanted)
    backwards = newer_than is not None
    if older_than is not None:
        query = query.where(AuditEvent.id < older_than)
    if newer_than is not None:
        query = query.where(AuditEvent.id > newer_than)
    found = list(session.scalars(query.order_by(AuditEvent.id if backwards else AuditEvent.id.desc()).limit(size + 1)))
    more = len(found) > size
    events = found[:size]
    if backwards:
        events.reverse()
    has_newer = more if backwards else older_than is not None
    has_older = True if backwards else more
    return TrailPage(
        events,
        newer=events[0].id if events and has_newer else None,
        older=events[-1].id if events and has_older else None,
    )


def _matching(wanted: TrailFilter) -> Select[AuditEvent]:
    query = select(AuditEvent)
    if wanted.actor:
        query = query.where(AuditEvent.actor.istartswith(wanted.actor, autoescape=True))
    if wanted.events:
        query = query.where(AuditEvent.event.in_(wanted.events))
    if wanted.image_id is not None:
        query = query.where(AuditEvent.image_id == wanted.image_id)
    if wanted.since is not None:
        query = query.where(AuditEvent.at >= wanted.since)
    if wanted.until is not None:
        query = query.where(AuditEvent.at < wanted.until)
    return query
