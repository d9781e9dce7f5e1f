"""The schema of a release that does not exist: what a migration may do to tables while older processes use them.

It adds columns, an index and a table, fills a column for all rows, and takes a while over it, as a large database does.
The older code must go on working on the newer schema: between ``triage migrate`` and the last restarted worker there
is always a time when it does.

``python -m benchmarks.faults.next_release URL FOLDER``, a process of its own as ``triage migrate`` is one: what Alembic
works with belongs to the whole process, and homes are harmed side by side.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Final

from alembic import command
from sqlalchemy import Engine

from triage.database import open_database
from triage.schema import alembic_config, lock_for_migration, newest_revision
from triage.schema_version import MIGRATIONS_DIR

HELD_SECONDS: Final = 1.0
"""For how long the migration holds what it has locked."""

_REVISION: Final = '''
"""What the next release adds."""

import time

import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("images", sa.Column("body_side", sa.String(16), nullable=True))
    op.add_column("predictions", sa.Column("second_opinion", sa.Text(), nullable=False, server_default="none"))
    op.create_table("rooms", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("name", sa.Text()))
    op.execute("UPDATE images SET body_side = 'left'")
    op.create_index("ix_images_body_side", "images", ["body_side", "id"])
    time.sleep({seconds})


def downgrade():
    op.drop_index("ix_images_body_side", "images")
    op.drop_table("rooms")
    op.drop_column("predictions", "second_opinion")
    op.drop_column("images", "body_side")
    time.sleep({seconds})
'''


def migrate_there_and_back(engine: Engine, folder: Path) -> None:
    """Bring a database to the schema of the next release, and a moment later back again.

    Args:
        engine: a database that has this release's schema; other processes may be using it.
        folder: where the script of the migration may lie.
    """
    config = alembic_config()
    head = newest_revision()
    folder.mkdir(exist_ok=True)
    (folder / "next.py").write_text(_REVISION.format(head=head, seconds=HELD_SECONDS))
    config.set_main_option("version_locations", f"{MIGRATIONS_DIR / 'versions'}:{folder}".replace("%", "%%"))
    for change, revision in ((command.upgrade, "next"), (command.downgrade, head)):
        with engine.begin() as connection:
            lock_for_migration(connection)
            config.attributes["connection"] = connection
            change(config, revision)
        time.sleep(HELD_SECONDS)


if __name__ == "__main__":
    migrate_there_and_back(open_database(sys.argv[1]), Path(sys.argv[2]))
