"""How a database is opened, and what its sessions do with each commit."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, create_engine, event, insert, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, sessionmaker

from triage.records import AuditEvent, Image

SQLITE_BUSY_SECONDS = 30

_EVENTS = "audit events to write with the commit"
_DERIVED = "what is derived from images that have changed"


def open_database(url: str, *, can_be_redone: bool = False) -> Engine:
    """Make an engine with the durability and locking that the program relies on.

    SQLite runs in WAL mode with ``synchronous=FULL`` (a committed row survives a power cut, which the
    inbox relies on: the file leaves it after the commit), a busy timeout, foreign keys, and transactions
    that take the write lock at once, so that two writers wait for each other instead of failing half-way.
    Errors do not quote the values of a statement: a file's name may be a patient's.

    Args:
        url: SQLAlchemy URL.
        can_be_redone: what is written here can be had again, so that no commit waits for the disk. A power cut
            may then undo the last commits, never half of one. For workers: their images are classified again.
    """
    if not url.startswith("sqlite"):
        options = {"options": "-c synchronous_commit=off"} if can_be_redone else {}
        return create_engine(url, pool_pre_ping=True, hide_parameters=True, connect_args=options)

    engine = create_engine(
        url, connect_args={"timeout": SQLITE_BUSY_SECONDS, "isolation_level": None}, hide_parameters=True
    )

    # SQLAlchemy renders hints ("INDEXED BY ...") for the dialects that fill this hook, which SQLite's does not.
    class Compiler(engine.dialect.statement_compiler):  # type: ignore[misc, name-defined]
        def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
            return text

    engine.dialect.statement_compiler = Compiler

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        synchronous = "NORMAL" if can_be_redone else "FULL"
        _turn_on_wal(connection)
        for pragma in (f"synchronous={synchronous}", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        reading = connection.get_execution_options().get("sqlite_read_only", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _turn_on_wal(connection: Any) -> None:
    """Switch a database to WAL, once for its life.

    SQLite's busy timeout does not cover the switch: of several processes that open a new database at the same
    time, some are told at once that it is locked.
    """
    end = time.monotonic() + SQLITE_BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def sessions(engine: Engine) -> sessionmaker[Any]:
    """Session factory for writing; objects stay readable after the commit."""
    factory = sessionmaker(engine, expire_on_commit=False)
    event.listen(factory, "before_commit", _finish_transaction)
    event.listen(factory, "after_soft_rollback", _forget)
    return factory


def insert_for(dialect: str, table: Any) -> Any:
    """An INSERT that can say what to do ``on_conflict_...``, which SQLAlchemy has for each database apart."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


def add_on_commit(session: Session, image: Image | None, values: dict[str, Any]) -> None:
    """Write an audit event with the commit of ``session``, which comes from ``sessions``.

    All events of a transaction go in one statement: as objects they would cost as much as the change itself.
    """
    session.info.setdefault(_EVENTS, []).append((image, values))


def derive_on_commit(session: Session, image: Image, derive: Callable[[Session, set[int]], None]) -> None:
    """Have what is derived from a study's images made anew with the commit of ``session``, once for all of them.

    Args:
        session: comes from ``sessions``.
        image: one that has changed.
        derive: called with the numbers of the studies, after everything else of the transaction was written.
    """
    session.info.setdefault(_DERIVED, {}).setdefault(derive, []).append(image)


def _finish_transaction(session: Session) -> None:
    events, derived = session.info.pop(_EVENTS, []), session.info.pop(_DERIVED, {})
    if events or derived:
        session.flush()  # a new image has no number before this
    if events:
        rows = [{"image_id": None if image is None else image.id, **values} for image, values in events]
        session.execute(insert(AuditEvent), rows)
    for derive, images in derived.items():
        derive(session, {image.study_id for image in images if image.study_id is not None})


def _forget(session: Session, _previous: Any) -> None:
    session.info.pop(_EVENTS, None)
    session.info.pop(_DERIVED, None)


def reading_sessions(engine: Engine) -> sessionmaker[Any]:
    """Session factory for reading: on SQLite it takes no write lock, so that it never waits for a writer."""
    return sessionmaker(engine.execution_options(sqlite_read_only=True), expire_on_commit=False)


def is_reachable(engine: Engine) -> bool:
    """Whether the database answers."""
    try:
        with engine.execution_options(sqlite_read_only=True).connect() as connection:
            connection.execute(text("SELECT 1"))
    except Exception:  # noqa: BLE001 - any driver's error means the same here: it does not answer
        return False
    return True
