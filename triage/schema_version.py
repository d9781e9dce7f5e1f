"""Whether a database has been migrated: what a process that only works on it has to know, without loading Alembic."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, inspect, text

MIGRATIONS_DIR = Path(__file__).resolve().parent.parent / "migrations"


class SchemaOutdated(Exception):
    """The database has the schema of an older release; the message says what to do."""


def revisions() -> list[str]:
    """The revisions there are, oldest first: each script's name begins with its own."""
    return sorted(path.name.split("_")[0] for path in (MIGRATIONS_DIR / "versions").glob("[0-9]*.py"))


def check_not_outdated(engine: Engine) -> None:
    """Refuse to work on a database that has not been migrated yet.

    One that is newer than this program is not refused: while a clinic updates, older processes go on for a while.

    Raises:
        SchemaOutdated: it is older than what this code reads and writes, or has no tables at all.
        SQLAlchemyError: it does not answer.
    """
    with engine.execution_options(sqlite_read_only=True).connect() as connection:
        migrated = inspect(connection).has_table("alembic_version")
        found = connection.scalar(text("SELECT version_num FROM alembic_version")) if migrated else None
    if found is None or found in revisions()[:-1]:
        raise SchemaOutdated(
            "the database has not the schema that this program needs; run `triage migrate` (or `triage up`) first"
        )
