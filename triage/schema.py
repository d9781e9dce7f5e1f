"""Bringing a database to the schema this code expects; Alembic's scripts lie in ``migrations/``."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from triage.schema_version import MIGRATIONS_DIR

_MIGRATION_LOCK = 0x7121A6E  # any number that no other program on the same database uses


def alembic_config() -> Config:
    """Alembic's configuration, without an ini file: what there is to set comes from the settings."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def newest_revision() -> str:
    """The revision of the schema that this code expects."""
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert head is not None
    return head


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the database to ``revision``, in one transaction. Calling it again changes nothing."""
    config = alembic_config()
    with engine.begin() as connection:
        lock_for_migration(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def lock_for_migration(connection: Connection) -> None:
    """Be the only one that migrates until the transaction ends. Who comes second waits, and finds nothing to do."""
    if connection.dialect.name == "postgresql":  # a writer's transaction on SQLite holds a lock anyway
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})


def is_current(engine: Engine) -> bool:
    """Whether the database has the newest schema."""
    with engine.execution_options(sqlite_read_only=True).connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() == newest_revision()
