"""Keeps the worklist's entries true: made anew from a study's images whenever one of them changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Executable,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Session

from triage.database import insert_for
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
    dialect = session.get_bind().dialect.name
    for start in range(0, len(wanted), _CHUNK):
        some = {"studies": wanted[start : start + _CHUNK]}
        if dialect == "postgresql":
            session.execute(_LOCK, some).all()
        rows = [dict(row) for row in session.execute(_of_studies(), some).mappings()]
        if rows:
            session.execute(_upsert(dialect), rows)


def refresh_all(session: Session) -> None:
    """Make every entry anew."""
    session.execute(delete(WorklistEntry))
    session.execute(insert(_TABLE).from_select(_COLUMNS, _worst(Image.study_id.is_not(None))))


def untrue(session: Session, study_ids: Iterable[int]) -> set[int]:
    """The studies whose entry is missing, or is not what their images make it. For an audit."""
    wanted = sorted(study_ids)
    found: set[int] = set()
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        stored = {
            row["study_id"]: dict(row)
            for row in session.execute(select(_TABLE).where(_TABLE.c.study_id.in_(some))).mappings()
        }
        for row in session.execute(_of_studies(), {"studies": some}).mappings():
            made, kept = dict(row), stored.get(row["study_id"])
            if kept is not None and kept["lane"] == OVERDUE and made["lane"] in (NEEDS_REVIEW, OTHERS):
                made["lane"] = OVERDUE
            if kept != made:
                found.add(row["study_id"])
    return found


_TABLE: Any = WorklistEntry.__table__
_COLUMNS = [column.name for column in _TABLE.columns]
_STUDIES: BindParameter[Any] = bindparam("studies", expanding=True)
# Two workers may finish two images of one study at once; who comes second must see what the first did.
_LOCK = select(Study.id).where(Study.id.in_(_STUDIES)).order_by(Study.id).with_for_update(key_share=True)


# Built once: that takes ten times as long as to run them for the images of a message.
@cache
def _of_studies() -> Select[Any]:
    return _worst(Image.study_id.in_(_STUDIES))


@cache
def _upsert(dialect: str) -> Executable:
    statement = insert_for(dialect, _TABLE)
    new = {name: statement.excluded[name] for name in _COLUMNS if name != "study_id"}
    # What is overdue stays so until somebody reviews it; `raise_overdue` knows the longest wait, this does not.
    stays = and_(_TABLE.c.lane == OVERDUE, statement.excluded.status == DONE, statement.excluded.lane != REVIEWED)
    new["lane"] = case((stays, literal(OVERDUE)), else_=statement.excluded.lane)
    made: Executable = statement.on_conflict_do_update(index_elements=["study_id"], set_=new)
    return made


def _worst(which: ColumnElement[bool]) -> Select[Any]:
    """Select the entries of studies, made of their images."""
    stage = case({DONE: 0, QUEUED: 1, PROCESSING: 1, QUARANTINED: 2}, value=Image.status, else_=3)
    flagged = func.coalesce(Image.needs_review, False)
    confidence = func.coalesce(Image.confidence, 0.0)
    of_study = Image.study_id
    is_done = Image.status == DONE
    open_ = Image.reviewed.is_(False)
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
                func.max(case((and_(is_done, open_), Image.urgency))).over(partition_by=of_study),
                func.max(case((is_done, Image.urgency))).over(partition_by=of_study),
                0.0,
            ).label("urgency"),
            Image.source,
            Image.body_part,
            func.coalesce(
                func.min(case((open_, Image.received_at))).over(partition_by=of_study),
                func.min(Image.received_at).over(partition_by=of_study),
            ).label("received_at"),
        )
        .where(which)
        .subquery()
    )
    return select(*(ranked.c[name] for name in _COLUMNS)).where(ranked.c.place == 1)


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


def study_keys(names: Iterable[str], accession_number: str | None) -> set[str]:
    """What a study is found by: the names of its files, and its accession number."""
    keys = {key for name in names for key in search_keys(name)}
    return keys | ({search_key(accession_number)} if accession_number else set())


def search_key(text: str) -> str:
    """Text as it is compared in a search."""
    return text.strip().casefold()[:LONGEST_KEY]


def find_by(session: Session, keys: Mapping[int, set[str]]) -> None:
    """Let studies be found by these keys; those that they are found by already stay.

    Args:
        session: in a transaction, which the caller commits.
        keys: study -> what it is found by.
    """
    rows = [{"key": key, "study_id": study_id} for study_id in sorted(keys) for key in sorted(keys[study_id])]
    if rows:
        statement = insert_for(session.get_bind().dialect.name, SearchKey).on_conflict_do_nothing()
        session.execute(statement, rows)
