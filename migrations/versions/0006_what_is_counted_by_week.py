"""Predictions, images and verdicts are counted by week from indexes alone."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Each takes the place of one that begins with the same column.
    op.create_index(
        "ix_predictions_by_time",
        "predictions",
        ["model_version", "created_at", "confidence", "needs_review", "unfamiliarity"],
    )
    op.drop_index("ix_predictions_model_version", "predictions")
    op.create_index("ix_images_finished_at_status_body_part", "images", ["finished_at", "status", "body_part"])
    op.drop_index("ix_images_finished_at", "images")
    op.create_index("ix_reviews_created_at", "reviews", ["created_at"])


def downgrade() -> None:
    op.drop_index("ix_reviews_created_at", "reviews")
    op.create_index("ix_images_finished_at", "images", ["finished_at"])
    op.drop_index("ix_images_finished_at_status_body_part", "images")
    op.create_index("ix_predictions_model_version", "predictions", ["model_version"])
    op.drop_index("ix_predictions_by_time", "predictions")
