"""A review may carry a note."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("reviews", sa.Column("note", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("reviews", "note")
