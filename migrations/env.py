"""Runs the migrations on the connection that ``triage.schema`` hands over.

From the command line (``alembic -c migrations/alembic.ini revision --autogenerate -m "..."``) it opens the
database that the settings name.
"""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection

from triage.database import open_database
from triage.records import Record, UtcDateTime
from triage.settings import get_settings


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our own types into a migration as the plain types below them: a migration outlives the code."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def run(connection: Connection) -> None:
    """Run what was asked for on one connection."""
    context.configure(
        connection=connection,
        target_metadata=Record.metadata,
        compare_type=True,
        render_item=render_item,
        # SQLite cannot alter a table in place; Alembic then copies it.
        render_as_batch=connection.dialect.name == "sqlite",
    )
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with open_database(get_settings().database).begin() as own:
        run(own)
