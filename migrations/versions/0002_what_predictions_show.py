"""Predictions keep their heat map, how unfamiliar the picture was, and the order in which they came to count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("predictions", sa.Column("heat_map", sa.JSON(), nullable=True))
    op.add_column("predictions", sa.Column("unfamiliarity", sa.Double(), nullable=True))
    op.add_column("predictions", sa.Column("turn", sa.Integer(), nullable=False, server_default="0"))


def downgrade() -> None:
    # Without a batch: to copy the table on SQLite would break the reviews that point into it.
    op.drop_column("predictions", "turn")
    op.drop_column("predictions", "unfamiliarity")
    op.drop_column("predictions", "heat_map")
