"""The tables. Their schema in a database comes from ``migrations/`` only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

QUEUED = "queued"
PROCESSING = "processing"
DONE = "done"
QUARANTINED = "quarantined"
DISCARDED = "discarded"
PURGED = "purged"
"""The ``error_code`` of an image that was discarded by a purge: its files and names are gone."""
STATUSES = (QUEUED, PROCESSING, DONE, QUARANTINED, DISCARDED)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. SQLite keeps no time zone, so it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive time: nobody could say later which zone it was in."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the time back in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


AGREE, CORRECT = "agree", "correct"
VERDICTS = (AGREE, CORRECT, "no_fracture", "other", "unreadable")
WITHDRAWN = "withdrawn"

# SQLite numbers rows by itself only in a column of the type INTEGER.
Id = BigInteger().with_variant(Integer, "sqlite")


class Record(DeclarativeBase):
    """Base of all tables; the naming convention lets Alembic name a constraint the same everywhere."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class Study(Record):
    """The exam that images belong to; a lone JPG or PNG is a study of one.

    Date and time are those of the clinic's clock, as DICOM has them: YYYYMMDD, HHMMSS.
    """

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_instance_uid: Mapped[str | None] = mapped_column(String(64), unique=True)
    accession_number: Mapped[str | None] = mapped_column(String(16), index=True)
    study_date: Mapped[str | None] = mapped_column(String(8))
    study_time: Mapped[str | None] = mapped_column(String(6))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Image(Record):
    """One radiograph, one file, one SHA-256.

    ``sha256`` is null only where the bytes could not or must not be read (a link, a device, no permission,
    too large). ``travels_alone`` marks an image that was in a worker's hands when the worker was lost: it
    goes out again in a message of its own. ``label``, ``confidence`` and ``needs_review`` repeat the newest
    prediction, and ``reviewed`` says whether a verdict stands, so that the worklist can be made from this table
    alone. ``urgency`` was computed with the weights of ``urgency_revision`` (`UrgencyTable`).
    """

    __tablename__ = "images"
    __table_args__ = (
        Index("ix_images_status_received_at_id", "status", "received_at", "id"),
        Index("ix_images_status_leased_until", "status", "leased_until"),
        Index("ix_images_status_urgency_revision", "status", "urgency_revision"),
        # With what is counted by time, so that a count reads the index alone.
        Index("ix_images_finished_at_status_body_part", "finished_at", "status", "body_part"),
        # A number that was given to an image is never given to another, even after a purge.
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("studies.id"), index=True)
    sha256: Mapped[str | None] = mapped_column(String(64), unique=True)
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    media_type: Mapped[str | None] = mapped_column(String(64))
    sop_instance_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    series_instance_uid: Mapped[str | None] = mapped_column(String(64))
    body_part: Mapped[str | None] = mapped_column(String(16))
    view_position: Mapped[str | None] = mapped_column(String(16))
    laterality: Mapped[str | None] = mapped_column(String(1))
    source: Mapped[str] = mapped_column(String(16))
    source_name: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    published_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    leased_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    travels_alone: Mapped[bool] = mapped_column(default=False)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_detail: Mapped[str | None] = mapped_column(Text)
    label: Mapped[str | None] = mapped_column(String(128))
    confidence: Mapped[float | None]
    needs_review: Mapped[bool | None]
    urgency: Mapped[float | None]
    urgency_revision: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    reviewed: Mapped[bool] = mapped_column(default=False, server_default=text("false"))

    study: Mapped[Study | None] = relationship()
    names: Mapped[list[SourceName]] = relationship(order_by="SourceName.id")
    predictions: Mapped[list[Prediction]] = relationship(order_by="[Prediction.turn, Prediction.id]")
    reviews: Mapped[list[Review]] = relationship(order_by="Review.id")

    @property
    def verdict(self) -> Review | None:
        """The verdict that counts; None if nobody has given one, or it was taken back."""
        newest = self.reviews[-1] if self.reviews else None
        return None if newest is None or newest.verdict == WITHDRAWN else newest


OVERDUE, NEEDS_REVIEW, OTHERS, REVIEWED = 3, 2, 1, 0
LANES = (OVERDUE, NEEDS_REVIEW, OTHERS, REVIEWED)
"""The lanes of the worklist, from the top down; greater numbers come first."""


class WorklistEntry(Record):
    """What the worklist shows of a study: its worst image, and what it is sorted and filtered by.

    Derived from the study's images whenever one of them changes (`triage.worklist_entries`), narrow and indexed, so
    that a page costs the same with a million rows. ``status`` is that of the image that came furthest, with
    ``processing`` told as ``queued``. ``received_at`` is when the oldest image came in that nobody has reviewed.
    """

    __tablename__ = "worklist"
    # Each lane is read along one index, in either direction; so all its columns go the same way.
    __table_args__ = (
        Index("ix_worklist_confidence", "status", "lane", "confidence", "study_id"),
        Index("ix_worklist_urgency", "status", "lane", "urgency", "study_id"),
        Index("ix_worklist_received_at", "status", "lane", "received_at", "study_id"),
        Index("ix_worklist_label", "status", "label", "lane", "confidence", "study_id"),
        Index("ix_worklist_label_urgency", "status", "label", "lane", "urgency", "study_id"),
        Index("ix_worklist_label_body_part", "status", "label", "body_part", "lane", "confidence", "study_id"),
        Index("ix_worklist_body_part", "status", "body_part", "lane", "confidence", "study_id"),
        Index("ix_worklist_source", "status", "source", "lane", "confidence", "study_id"),
    )

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True, autoincrement=False)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    images: Mapped[int] = mapped_column(Integer)
    status: Mapped[str] = mapped_column(String(16))
    lane: Mapped[int] = mapped_column(SmallInteger)
    label: Mapped[str | None] = mapped_column(String(128))
    confidence: Mapped[float]
    urgency: Mapped[float]
    source: Mapped[str] = mapped_column(String(16))
    body_part: Mapped[str | None] = mapped_column(String(16))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)

    image: Mapped[Image] = relationship(viewonly=True)
    study: Mapped[Study] = relationship(viewonly=True)


LONGEST_KEY = 128
"""Characters of a name that are searched."""


class SearchKey(Record):
    """What a study is found by: names of its files and its accession number, without regard to case."""

    __tablename__ = "search_keys"
    __table_args__ = (Index("ix_search_keys_study_id_key", "study_id", "key"),)

    # Bytewise order: a prefix is then a range of the primary key, whatever language the database speaks.
    key: Mapped[str] = mapped_column(Text().with_variant(Text(collation="C"), "postgresql"), primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), primary_key=True)


class UrgencyTable(Record):
    """The weights of the fracture types from a moment on, each 0..1. Rows are only ever added; the newest counts."""

    __tablename__ = "urgency_tables"

    revision: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    weights: Mapped[dict[str, float]] = mapped_column(JSON)
    changed_by: Mapped[str] = mapped_column(String(128))
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SourceName(Record):
    """A name that an image came under. ``fingerprint`` tells whether a file left in place was seen before."""

    __tablename__ = "source_names"
    __table_args__ = (
        UniqueConstraint("image_id", "name"),
        Index("ix_source_names_fingerprint", "fingerprint"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    name: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(String(16))
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ModelVersion(Record):
    """A bundle that has classified something here."""

    __tablename__ = "model_versions"

    version: Mapped[str] = mapped_column(String(128), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    labels: Mapped[list[str]] = mapped_column(JSON)
    first_used_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Prediction(Record):
    """What one model version says of one image; the database allows one of each pair.

    The newest of an image is what is shown and exported: that of the highest ``turn``, then of the highest id. A turn
    is taken when a version comes to speak again after a later one, as it does once a promotion is rolled back.
    ``heat_map`` is rows of whole numbers, 0..100: where the model looked.
    """

    __tablename__ = "predictions"
    __table_args__ = (
        UniqueConstraint("image_id", "model_version"),
        # What a version said week by week is read from this index alone, a range for each week (`triage.drift`).
        Index("ix_predictions_by_time", "model_version", "created_at", "confidence", "needs_review", "unfamiliarity"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"))
    model_version: Mapped[str] = mapped_column(ForeignKey("model_versions.version"))
    label: Mapped[str] = mapped_column(String(128))
    confidence: Mapped[float]
    probabilities: Mapped[dict[str, float]] = mapped_column(JSON)
    prediction_set: Mapped[list[str]] = mapped_column(JSON)
    needs_review: Mapped[bool]
    reasons: Mapped[list[str]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    heat_map: Mapped[list[list[int]] | None] = mapped_column(JSON(none_as_null=True))
    unfamiliarity: Mapped[float | None]
    turn: Mapped[int] = mapped_column(Integer, default=0, server_default="0")


class Review(Record):
    """A clinician's verdict, one of `VERDICTS`, or `WITHDRAWN`: the one before is taken back.

    Kept beside the prediction. Rows are only ever added; the newest one of an image counts.
    """

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    prediction_id: Mapped[int | None] = mapped_column(ForeignKey("predictions.id"), index=True)
    verdict: Mapped[str] = mapped_column(String(16))
    label: Mapped[str | None] = mapped_column(String(128))
    reviewer: Mapped[str] = mapped_column(String(128))
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class AuditEvent(Record):
    """What happened to an image, or to no image in particular, and who did it. Rows are only ever added."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(128))
    event: Mapped[str] = mapped_column(String(32))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
