"""Named reads and writes on a session. Whoever calls them owns the transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, select, tuple_, update
from sqlalchemy.orm import Session, selectinload

from triage.database import add_on_commit, derive_on_commit, insert_for
from triage.records import (
    DISCARDED,
    DONE,
    PROCESSING,
    QUARANTINED,
    QUEUED,
    STATUSES,
    WITHDRAWN,
    AuditEvent,
    Image,
    ModelVersion,
    Prediction,
    Review,
    SourceName,
    Study,
)
from triage.urgency_weights import weigh
from triage.worklist_entries import refresh

_CHANGE_NOTHING_SHOWN = {"leased", "viewed", "rescore_failed"}
"""Events of which the worklist shows nothing; each other one tells of a change that it may show."""

# -- audit ------------------------------------------------------------------------------------------------


def record_event(
    session: Session,
    event: str,
    image: Image | None,
    *,
    actor: str,
    at: datetime,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add one row to the audit trail, in the transaction that makes the change it tells of."""
    add_on_commit(session, image, {"at": at, "actor": actor, "event": event, "detail": dict(detail or {})})
    if image is not None and event not in _CHANGE_NOTHING_SHOWN:
        derive_on_commit(session, image, refresh)


# -- intake -----------------------------------------------------------------------------------------------


def images_by_sha256(session: Session, digests: Sequence[str]) -> dict[str, Image]:
    """The images with these bytes, if they ever came in, with their names."""
    found = session.scalars(select(Image).where(Image.sha256.in_(digests)).options(selectinload(Image.names)))
    return {image.sha256: image for image in found if image.sha256 is not None}


def images_by_sop_instance_uid(session: Session, uids: Iterable[str | None]) -> dict[str, Image]:
    """The image that owns each DICOM SOP Instance UID: the first that came with it and was not put aside."""
    wanted = {uid for uid in uids if uid is not None}
    if not wanted:
        return {}
    found = session.scalars(
        select(Image)
        .where(Image.sop_instance_uid.in_(wanted), Image.status.in_((QUEUED, PROCESSING, DONE)))
        .order_by(Image.id.desc())
    )
    return {image.sop_instance_uid: image for image in found if image.sop_instance_uid is not None}


def studies_by_uid(session: Session, uids: Iterable[str | None]) -> dict[str, Study]:
    """The studies of these DICOM Study Instance UIDs that are known."""
    wanted = {uid for uid in uids if uid is not None}
    if not wanted:
        return {}
    found = session.scalars(select(Study).where(Study.study_instance_uid.in_(wanted)))
    return {study.study_instance_uid: study for study in found if study.study_instance_uid is not None}


def unread_images_by_name(session: Session, names: Sequence[str]) -> dict[str, Image]:
    """The quarantined images of these names whose bytes could not be read."""
    found = session.scalars(
        select(Image)
        .where(Image.sha256.is_(None), Image.source_name.in_(names), Image.status == QUARANTINED)
        .options(selectinload(Image.names))
    )
    return {image.source_name: image for image in found}


def seen_fingerprints(session: Session, fingerprints: Iterable[str]) -> dict[str, bool]:
    """Which of these fingerprints of files left in place are known, and whether the bytes were read."""
    found = session.execute(
        select(SourceName.fingerprint, Image.sha256.is_not(None))
        .join(Image, Image.id == SourceName.image_id)
        .where(SourceName.fingerprint.in_(list(fingerprints)))
    )
    return {fingerprint: was_read for fingerprint, was_read in found if fingerprint is not None}


def requeue(session: Session, image: Image, *, actor: str, at: datetime, event: str) -> None:
    """Give a quarantined or discarded image a fresh start."""
    image.status = QUEUED
    image.error_code = image.error_detail = None
    image.finished_at = image.lease_owner = image.leased_until = None
    image.published_at = at
    image.attempts = 0
    image.travels_alone = False
    record_event(session, event, image, actor=actor, at=at)


def discard(session: Session, image: Image, *, actor: str, at: datetime) -> None:
    """Take a quarantined image out of the way; the row and its trail stay."""
    image.status = DISCARDED
    record_event(session, "discarded", image, actor=actor, at=at)


# -- work -------------------------------------------------------------------------------------------------


def lease(session: Session, ids: Sequence[int], *, owner: str, now: datetime, seconds: float) -> list[Image]:
    """Take those of ``ids`` that are queued, by one conditional update: two workers never own one image.

    An attempt is counted here only for an image that is alone in its message. When a worker dies over a
    message of several, nobody knows which was to blame; the sweep sends each out again alone.
    """
    alone = len(ids) == 1
    taken = session.scalars(
        update(Image)
        .where(Image.id.in_(ids), Image.status == QUEUED)
        .values(
            status=PROCESSING,
            lease_owner=owner,
            leased_until=now + timedelta(seconds=seconds),
            attempts=Image.attempts + (1 if alone else 0),
        )
        .returning(Image)
        .execution_options(synchronize_session=False, populate_existing=True)
    ).all()
    for image in taken:
        record_event(session, "leased", image, actor=owner, at=now)
    return list(taken)


def owned(session: Session, ids: Sequence[int], owner: str) -> dict[int, Image]:
    """Those of ``ids`` that ``owner`` still holds the lease of, with their predictions, locked, by id."""
    rows = session.scalars(
        select(Image)
        .where(Image.id.in_(ids), Image.status == PROCESSING, Image.lease_owner == owner)
        .options(selectinload(Image.predictions))
        .with_for_update()
    )
    return {image.id: image for image in rows}


def finish(session: Session, image: Image, prediction: Prediction, *, actor: str) -> None:
    """Commit what the model says and the status together; a second prediction of a version is not made.

    ``image`` comes from ``owned``.
    """
    _let_count(session, image, prediction)
    image.status = DONE
    image.finished_at = prediction.created_at
    image.lease_owner = image.leased_until = None
    image.error_code = image.error_detail = None
    record_event(
        session,
        "done",
        image,
        actor=actor,
        at=prediction.created_at,
        detail={"model_version": prediction.model_version},
    )


def _let_count(session: Session, image: Image, prediction: Prediction) -> None:
    """Make this version's prediction the newest of an image, and repeat it in the image.

    Where the version has spoken before, what it said then stays, and takes a new turn if another has spoken since.
    """
    newest = image.predictions[-1] if image.predictions else None
    known = next((old for old in image.predictions if old.model_version == prediction.model_version), None)
    if known is None:
        known = prediction
        known.turn = 0 if newest is None else newest.turn
        image.predictions.append(known)
    elif newest is not None and known is not newest:
        known.turn = newest.turn + 1
    image.label, image.confidence = known.label, known.confidence
    image.needs_review = known.needs_review
    weigh(session, image, known.probabilities)


def quarantine(session: Session, image: Image, code: str, detail: str, *, actor: str, at: datetime) -> None:
    """Put an image aside, with a stable code and a sentence that says what to do."""
    image.status = QUARANTINED
    image.error_code, image.error_detail = code, detail
    image.finished_at = at
    image.lease_owner = image.leased_until = None
    record_event(session, "quarantined", image, actor=actor, at=at, detail={"code": code})


def give_back(session: Session, image: Image, *, actor: str, at: datetime, event: str) -> None:
    """Return an image whose work did not end to the queue; it goes out alone, at once."""
    image.status = QUEUED
    image.lease_owner = image.leased_until = image.published_at = None
    image.travels_alone = True
    record_event(session, event, image, actor=actor, at=at)


def keep_model_version(session: Session, version: str, digest: str, labels: Sequence[str], at: datetime) -> None:
    """Note a model version before its first prediction; several workers may come to it at once."""
    row = {"version": version, "digest": digest, "labels": list(labels), "first_used_at": at}
    insert = insert_for(session.get_bind().dialect.name, ModelVersion)
    session.execute(insert.values(row).on_conflict_do_nothing())


# -- rescore ----------------------------------------------------------------------------------------------


def _open_images(version: str) -> ColumnElement[bool]:
    """Done, without a verdict, and last classified by another model version."""
    newest = (
        select(Prediction.model_version)
        .where(Prediction.image_id == Image.id)
        .order_by(Prediction.turn.desc(), Prediction.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    verdict = (
        select(Review.verdict).where(Review.image_id == Image.id).order_by(Review.id.desc()).limit(1).scalar_subquery()
    )
    return and_(Image.status == DONE, newest != version, func.coalesce(verdict, WITHDRAWN) == WITHDRAWN)


def open_for_rescore(session: Session, version: str) -> list[int]:
    """The images that ``version`` has yet to say something of, the top of the worklist first."""
    query = select(Image.id).where(_open_images(version))
    return list(session.scalars(query.order_by(Image.needs_review.desc(), Image.confidence.desc(), Image.id)))


def still_open_for_rescore(session: Session, ids: Iterable[int], version: str, chunk: int = 500) -> list[int]:
    """Those of ``ids`` that ``version`` has yet to say something of, in their order."""
    wanted = list(ids)
    found: set[int] = set()
    for start in range(0, len(wanted), chunk):
        some = Image.id.in_(wanted[start : start + chunk])
        found.update(session.scalars(select(Image.id).where(some, _open_images(version))))
    return [image_id for image_id in wanted if image_id in found]


def digests(session: Session, ids: Sequence[int]) -> dict[int, str]:
    """The SHA-256 of images, by id."""
    rows = session.execute(select(Image.id, Image.sha256).where(Image.id.in_(ids), Image.sha256.is_not(None)))
    return {image_id: sha256 for image_id, sha256 in rows if sha256 is not None}


def locked_for_rescore(session: Session, ids: Sequence[int], version: str) -> list[Image]:
    """Those of ``ids`` that are still open, with their predictions, locked; in the order of their ids.

    The lock also keeps a verdict from coming in between: its row points to the image's. On PostgreSQL the look at
    verdicts and predictions has to come after the lock, in a statement of its own, to see what others committed.
    """
    session.scalars(select(Image.id).where(Image.id.in_(ids)).order_by(Image.id).with_for_update()).all()
    query = select(Image).where(Image.id.in_(ids), _open_images(version)).order_by(Image.id)
    return list(session.scalars(query.options(selectinload(Image.predictions))))


def rescore(session: Session, image: Image, prediction: Prediction, *, actor: str) -> None:
    """Let a further model version speak of a done image, whose status does not change.

    ``image`` comes from ``locked_for_rescore``.
    """
    before = image.predictions[-1].model_version
    _let_count(session, image, prediction)
    record_event(
        session,
        "rescored",
        image,
        actor=actor,
        at=prediction.created_at,
        detail={"model_version": prediction.model_version, "before": before},
    )


def rescore_failures(session: Session, ids: Sequence[int], after: int, chunk: int = 500) -> dict[int, str]:
    """Those of ``ids`` that could not be read again, with the code that says why, by events behind ``after``."""
    found: dict[int, str] = {}
    for start in range(0, len(ids), chunk):
        failures = select(AuditEvent.image_id, AuditEvent.detail).where(
            AuditEvent.image_id.in_(ids[start : start + chunk]),
            AuditEvent.event == "rescore_failed",
            AuditEvent.id > after,
        )
        found |= {image_id: str(detail["code"]) for image_id, detail in session.execute(failures) if image_id}
    return found


def newest_event(session: Session) -> int:
    """The number of the newest audit event; 0 if there is none."""
    return session.scalar(select(func.max(AuditEvent.id))) or 0


# -- model versions ---------------------------------------------------------------------------------------


def model_digest(session: Session, version: str) -> str | None:
    """The SHA-256 of the model that has classified here under this name; None if none has."""
    known = session.get(ModelVersion, version)
    return None if known is None else known.digest


def version_before(session: Session, version: str) -> str | None:
    """Which version was active when this one was promoted last; None if it never was, or none was active."""
    # Of no image: there is an index on that, and few such events, where the trail has millions.
    promotions = (
        select(AuditEvent.detail)
        .where(AuditEvent.image_id.is_(None), AuditEvent.event == "model_promoted")
        .order_by(AuditEvent.id.desc())
    )
    for detail in session.scalars(promotions):
        if detail.get("to") == version:
            before = detail.get("from")
            return before if isinstance(before, str) else None
    return None


# -- sweep ------------------------------------------------------------------------------------------------


def expired_leases(session: Session, now: datetime, limit: int, latest: datetime | None = None) -> list[Image]:
    """Images whose worker did not finish in time, locked for this transaction.

    Args:
        session: in a transaction.
        now: the time in UTC.
        limit: how many at most.
        latest: no lease that was given by this clock ends later; one that does was given before the clock was set back.
    """
    over: ColumnElement[bool] = Image.leased_until < now
    if latest is not None:
        over = or_(over, Image.leased_until > latest)
    return list(
        session.scalars(
            select(Image)
            .where(Image.status == PROCESSING, over)
            .order_by(Image.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )


def unpublished(session: Session, before: datetime | None, limit: int, after: datetime | None = None) -> list[Image]:
    """Queued images that have no message, or one from before ``before``; oldest first.

    Or one from later than ``after``, which is yet to come: the clock was set back since.
    """
    due: ColumnElement[bool] = Image.published_at.is_(None)
    if before is not None:
        due = or_(due, Image.published_at < before)
    if after is not None:
        due = or_(due, Image.published_at > after)
    return list(session.scalars(select(Image).where(Image.status == QUEUED, due).order_by(Image.id).limit(limit)))


def set_published(session: Session, ids: Sequence[int], at: datetime | None) -> None:
    """Note when the message of these images went out; None: it did not."""
    session.execute(
        update(Image)
        .where(Image.id.in_(ids), Image.status == QUEUED)
        .values(published_at=at)
        .execution_options(synchronize_session=False)
    )


def forget_published(session: Session, before: datetime, after: datetime) -> int:
    """Note that the messages of all images queued before then are gone; how many that were.

    Also of those that say that they were queued later than ``after``: the clock was set back since.
    """
    result = session.execute(
        update(Image)
        .where(Image.status == QUEUED, or_(Image.published_at < before, Image.published_at > after))
        .values(published_at=None)
        .execution_options(synchronize_session=False)
    )
    return int(getattr(result, "rowcount", 0))


# -- reading ----------------------------------------------------------------------------------------------


def counts(session: Session) -> dict[str, int]:
    """Images per status, all statuses named."""
    rows = session.execute(select(Image.status, func.count()).group_by(Image.status))
    found = {status: count for status, count in rows}  # noqa: C416 - a Row is no pair to a type checker
    return {status: found.get(status, 0) for status in STATUSES}


COUNT_LIMIT = 10_000
"""Where a page shows how many there are, it counts up to here."""


def capped_counts(session: Session) -> dict[str, int]:
    """Images per status, each up to `COUNT_LIMIT`; one more than that where there are more."""
    found = {}
    for status in STATUSES:
        some = select(Image.id).where(Image.status == status).limit(COUNT_LIMIT + 1).subquery()
        found[status] = session.scalar(select(func.count()).select_from(some)) or 0
    return found


def oldest_waiting(session: Session) -> datetime | None:
    """When the image that has waited longest came in; None when none waits."""
    return session.scalar(select(func.min(Image.received_at)).where(Image.status.in_((QUEUED, PROCESSING))))


def still_waiting(session: Session, ids: Iterable[int], chunk: int = 500) -> set[int]:
    """Those of ``ids`` that are neither done nor put aside."""
    wanted = sorted(ids)
    found: set[int] = set()
    for start in range(0, len(wanted), chunk):
        found.update(
            session.scalars(
                select(Image.id).where(
                    Image.id.in_(wanted[start : start + chunk]), Image.status.in_((QUEUED, PROCESSING))
                )
            )
        )
    return found


def finished_since(session: Session, since: datetime) -> int:
    """How many images were classified since then."""
    return (
        session.scalar(select(func.count()).select_from(Image).where(Image.finished_at >= since, Image.status == DONE))
        or 0
    )


WITH_ALL = (
    selectinload(Image.study),
    selectinload(Image.names),
    selectinload(Image.predictions),
    selectinload(Image.reviews),
)
"""Loads what an exported record shows, in one query per table."""


def image_with_all(session: Session, image_id: int) -> Image | None:
    """One image with its names, predictions and reviews; None if there is none of this id."""
    return session.scalar(select(Image).where(Image.id == image_id).options(*WITH_ALL))


def images_by_id(session: Session, ids: Iterable[int]) -> list[Image]:
    """Images with their names, predictions and reviews, in rank order."""
    wanted = set(ids)
    if len(wanted) > 500:  # databases limit how many values a query may carry
        return [image for image in all_ranked(session) if image.id in wanted]
    return list(session.scalars(ranked().where(Image.id.in_(wanted)).options(*WITH_ALL)))


def images_with_predictions(session: Session, ids: Iterable[int], chunk: int = 500) -> dict[int, Image]:
    """Images by id, with what the model says in a line of each. For asking often: heat maps stay where they are."""
    wanted = sorted(set(ids))
    said = selectinload(Image.predictions).load_only(
        Prediction.label, Prediction.confidence, Prediction.needs_review, Prediction.reasons
    )
    found: dict[int, Image] = {}
    for start in range(0, len(wanted), chunk):
        some = select(Image).where(Image.id.in_(wanted[start : start + chunk])).options(said)
        found.update((image.id, image) for image in session.scalars(some))
    return found


def status_of(session: Session, image_id: int) -> str | None:
    """The status of an image; None if there is none of this id. For asking often."""
    return session.scalar(select(Image.status).where(Image.id == image_id))


def images_in_study(session: Session, study_id: int) -> int:
    """How many images of this study came in, whatever became of them."""
    return session.scalar(select(func.count()).select_from(Image).where(Image.study_id == study_id)) or 0


def study_of(session: Session, image_id: int) -> int | None:
    """The study that an image belongs to; None if there is no such image, or it was never read."""
    return session.scalar(select(Image.study_id).where(Image.id == image_id))


def images_of_study(session: Session, study_id: int, limit: int = 20, *, with_all: bool = False) -> list[Image]:
    """The images of one study in the order in which they came, at most ``limit``; discarded ones are left out.

    ``with_all``: with names, predictions and reviews.
    """
    query = select(Image).where(Image.study_id == study_id, Image.status != DISCARDED)
    if with_all:
        query = query.options(*WITH_ALL)
    return list(session.scalars(query.order_by(Image.id).limit(limit)))


def images_of_studies(session: Session, study_ids: Sequence[int], chunk: int = 500) -> Iterator[Image]:
    """All images of studies, study by study in the order given, loaded in chunks with what an export shows."""
    for start in range(0, len(study_ids), chunk):
        some = study_ids[start : start + chunk]
        images: dict[int, list[Image]] = {}
        for image in session.scalars(
            select(Image).where(Image.study_id.in_(some)).order_by(Image.id).options(*WITH_ALL)
        ):
            images.setdefault(image.study_id or 0, []).append(image)
        for study_id in some:
            yield from images.get(study_id, [])
        session.expunge_all()


def events_of(session: Session, image_id: int) -> list[AuditEvent]:
    """What happened to an image, oldest first."""
    return list(session.scalars(select(AuditEvent).where(AuditEvent.image_id == image_id).order_by(AuditEvent.id)))


def ranked() -> Select[Image]:
    """All images in rank order.

    Needs review first, then confidence from high to low, then oldest; behind them what still waits, oldest
    first; then what was quarantined, then what was discarded.
    """
    stage = case({DONE: 0, QUEUED: 1, PROCESSING: 1, QUARANTINED: 2}, value=Image.status, else_=3)
    return select(Image).order_by(
        stage,
        case((and_(Image.status == DONE, Image.needs_review.is_(True)), 0), else_=1),
        case((Image.status == DONE, Image.confidence), else_=None).desc(),
        Image.received_at,
        Image.id,
    )


def all_ranked(session: Session, chunk: int = 500) -> Iterator[Image]:
    """Every image in rank order, loaded in chunks."""
    yield from session.scalars(ranked().options(*WITH_ALL).execution_options(yield_per=chunk))


Cursor = tuple[Any, ...]


@dataclass(frozen=True)
class Page:
    """One page of a list, with the cursors of its neighbours (None: there is no such page)."""

    images: list[Image]
    previous: Cursor | None
    next: Cursor | None


def quarantined_page(session: Session, *, size: int, after: Cursor | None = None, before: Cursor | None = None) -> Page:
    """One page of the quarantine, the newest arrival first, by keyset: as fast on page 1,000 as on page 1.

    Args:
        session: a reading session.
        size: rows on a page.
        after: time of arrival and number of the image before the page; None: from the first one on.
        before: the same of the image behind the page; not together with ``after``.
    """
    order = (Image.received_at, Image.id)
    query = select(Image).where(Image.status == QUARANTINED).options(*WITH_ALL).limit(size + 1)
    if before is not None:
        query = query.where(tuple_(*order) > _row(before)).order_by(*order)
    else:
        query = query.order_by(*(column.desc() for column in order))
        if after is not None:
            query = query.where(tuple_(*order) < _row(after))
    images = list(session.scalars(query))
    more = len(images) > size
    images = images[:size]
    if before is not None:
        images.reverse()
    has_previous, has_next = (more, True) if before is not None else (after is not None, more)

    def cursor_of(image: Image) -> Cursor:
        return (image.received_at, image.id)

    return Page(
        images=images,
        previous=cursor_of(images[0]) if images and has_previous else None,
        next=cursor_of(images[-1]) if images and has_next else None,
    )


def _row(cursor: Cursor) -> ColumnElement[Any]:
    at, image_id = cursor
    return tuple_(literal(at, Image.received_at.type), literal(image_id, Image.id.type))


def all_quarantined(session: Session) -> list[Image]:
    """Every quarantined image, newest first."""
    return list(
        session.scalars(select(Image).where(Image.status == QUARANTINED).order_by(Image.id.desc()).options(*WITH_ALL))
    )
