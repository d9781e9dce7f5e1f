"""Keeps the worklist's entries true: made anew from a study's images whenever one of them changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, delete, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from triage.records import (
    DONE,
    LONGEST_KEY,
    NEEDS_REVIEW,
    OTHERS,
    OVERDUE,
    PROCESSING,
    QUARANTINED,
    QUEUED,
    REVIEWED,
    Image,
    SearchKey,
    Study,
    WorklistEntry,
)

_CHUNK = 500


def refresh(session: Session, study_ids: Iterable[int]) -> None:
    """Make the entries of studies anew, in a transaction that has written what changed.

    The worst image stands for its study: one that is done before one that is not, then one that nobody has
    reviewed, then one that needs review, then the one that the model is surest of, then the one that came first.
    """
    wanted = sorted(study_ids)
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        if session.get_bind().dialect.name == "postgresql":
            # Two workers may finish two images of one study at once; who comes second must see what the first did.
            locked = select(Study.id).where(Study.id.in_(some)).order_by(Study.id).with_for_update(key_share=True)
            session.execute(locked).all()
        _make(session, Image.study_id.in_(some))


def refresh_all(session: Session) -> None:
    """Make every entry anew."""
    session.execute(delete(WorklistEntry))
    _make(session, Image.study_id.is_not(None))


def _make(session: Session, which: ColumnElement[bool]) -> None:
    stage = case({DONE: 0, QUEUED: 1, PROCESSING: 1, QUARANTINED: 2}, value=Image.status, else_=3)
    flagged = func.coalesce(Image.needs_review, False)
    confidence = func.coalesce(Image.confidence, 0.0)
    of_study = Image.study_id
    is_done = Image.status == DONE
    ranked = (
        select(
            Image.study_id,
            Image.id.label("image_id"),
            func.row_number()
            .over(order_by=(stage, Image.reviewed, flagged.desc(), confidence.desc(), Image.id), partition_by=of_study)
            .label("place"),
            func.count().over(partition_by=of_study).label("images"),
            case((Image.status == PROCESSING, QUEUED), else_=Image.status).label("status"),
            case((and_(is_done, Image.reviewed), REVIEWED), (and_(is_done, flagged), NEEDS_REVIEW), else_=OTHERS).label(
                "lane"
            ),
            case((is_done, Image.label)).label("label"),
            case((is_done, confidence), else_=0.0).label("confidence"),
            func.coalesce(
                func.max(case((and_(is_done, Image.reviewed.is_(False)), Image.urgency))).over(partition_by=of_study),
                func.max(case((is_done, Image.urgency))).over(partition_by=of_study),
                0.0,
            ).label("urgency"),
            Image.source,
            Image.body_part,
            func.coalesce(
                func.min(case((Image.reviewed.is_(False), Image.received_at))).over(partition_by=of_study),
                func.min(Image.received_at).over(partition_by=of_study),
            ).label("received_at"),
        )
        .where(which)
        .subquery()
    )
    columns = [column.name for column in WorklistEntry.__table__.columns]
    source = select(*(ranked.c[name] for name in columns)).where(ranked.c.place == 1)
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(WorklistEntry).from_select(columns, source)
    new = {name: statement.excluded[name] for name in columns if name != "study_id"}
    # What is overdue stays so until somebody reviews it; `raise_overdue` knows the longest wait, this does not.
    stays = and_(WorklistEntry.lane == OVERDUE, statement.excluded.status == DONE, statement.excluded.lane != REVIEWED)
    new["lane"] = case((stays, literal(OVERDUE)), else_=statement.excluded.lane)
    session.execute(statement.on_conflict_do_update(index_elements=["study_id"], set_=new))


def raise_overdue(session: Session, before: datetime, limit: int) -> int:
    """Move studies that nobody has reviewed since ``before`` into the lane of what is overdue; how many moved.

    And back those that came in later: the longest wait was made longer, or their oldest image was reviewed.
    """
    waiting = and_(WorklistEntry.status == DONE, WorklistEntry.lane.in_((NEEDS_REVIEW, OTHERS)))
    due = select(WorklistEntry.study_id).where(waiting, WorklistEntry.received_at < before).limit(limit)
    early = select(WorklistEntry.study_id).where(
        WorklistEntry.status == DONE, WorklistEntry.lane == OVERDUE, WorklistEntry.received_at >= before
    )
    raised = list(session.scalars(due))
    _move(session, raised, OVERDUE)
    lowered = list(session.scalars(early.limit(limit)))
    if lowered:
        _move(session, lowered, OTHERS)
        refresh(session, lowered)
    return len(raised) + len(lowered)


def _move(session: Session, study_ids: Sequence[int], lane: int) -> None:
    for start in range(0, len(study_ids), _CHUNK):
        some = WorklistEntry.study_id.in_(study_ids[start : start + _CHUNK])
        session.execute(
            update(WorklistEntry)
            .where(some, WorklistEntry.lane != REVIEWED)
            .values(lane=lane)
            .execution_options(synchronize_session=False)
        )


def search_keys(name: str) -> set[str]:
    """What a file is found by: its name, and the path that it came under in the inbox."""
    return {search_key(name), search_key(name.rsplit("/", 1)[-1])} - {""}


def search_key(text: str) -> str:
    """Text as it is compared in a search."""
    return text.strip().casefold()[:LONGEST_KEY]


def find_by(session: Session, study_id: int, keys: Iterable[str]) -> None:
    """Let a study be found by these keys; those that it is found by already stay."""
    rows = [{"key": key, "study_id": study_id} for key in sorted(keys)]
    if rows:
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        session.execute(insert(SearchKey).on_conflict_do_nothing(), rows)
