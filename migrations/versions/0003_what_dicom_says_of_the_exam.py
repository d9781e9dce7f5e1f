"""Studies and images keep what DICOM says of the exam: accession number, date, series, body part, view, side."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

IMAGES = {"series_instance_uid": 64, "body_part": 16, "view_position": 16, "laterality": 1}
STUDIES = {"accession_number": 16, "study_date": 8, "study_time": 6}


def upgrade() -> None:
    for name, length in STUDIES.items():
        op.add_column("studies", sa.Column(name, sa.String(length), nullable=True))
    op.create_index(op.f("ix_studies_accession_number"), "studies", ["accession_number"])
    for name, length in IMAGES.items():
        op.add_column("images", sa.Column(name, sa.String(length), nullable=True))


def downgrade() -> None:
    for name in IMAGES:
        op.drop_column("images", name)
    op.drop_index(op.f("ix_studies_accession_number"), "studies")
    for name in STUDIES:
        op.drop_column("studies", name)
