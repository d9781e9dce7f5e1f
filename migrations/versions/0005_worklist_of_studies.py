"""The worklist has a row for each study; images carry their urgency; studies are found by names and numbers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Utc = sa.DateTime(timezone=True)
Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

IMAGES_BEFORE = {
    "ix_images_status_needs_review_confidence_id": ["status", "needs_review", "confidence", "id"],
    "ix_images_status_confidence_id": ["status", "confidence", "id"],
}
WORKLIST = {
    "ix_worklist_image_id": ["image_id"],
    "ix_worklist_confidence": ["status", "lane", "confidence", "study_id"],
    "ix_worklist_urgency": ["status", "lane", "urgency", "study_id"],
    "ix_worklist_received_at": ["status", "lane", "received_at", "study_id"],
    "ix_worklist_label": ["status", "label", "lane", "confidence", "study_id"],
    "ix_worklist_label_urgency": ["status", "label", "lane", "urgency", "study_id"],
    "ix_worklist_label_body_part": ["status", "label", "body_part", "lane", "confidence", "study_id"],
    "ix_worklist_body_part": ["status", "body_part", "lane", "confidence", "study_id"],
    "ix_worklist_source": ["status", "source", "lane", "confidence", "study_id"],
}
LONGEST_KEY = 128
CHUNK = 5000


def upgrade() -> None:
    op.add_column("images", sa.Column("urgency", sa.Double(), nullable=True))
    # What is there was weighed by nobody yet: -1 has the watcher do it.
    op.add_column("images", sa.Column("urgency_revision", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("images", sa.Column("reviewed", sa.Boolean(), nullable=False, server_default=sa.text("false")))
    for name in IMAGES_BEFORE:
        op.drop_index(name, "images")
    op.create_index("ix_images_status_urgency_revision", "images", ["status", "urgency_revision"])
    op.execute("UPDATE images SET urgency_revision = -1 WHERE status = 'done'")
    op.execute(
        "UPDATE images SET reviewed = true WHERE (SELECT verdict FROM reviews WHERE image_id = images.id "
        "ORDER BY id DESC LIMIT 1) <> 'withdrawn'"
    )
    op.create_table(
        "urgency_tables",
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("weights", sa.JSON(), nullable=False),
        sa.Column("changed_by", sa.String(128), nullable=False),
        sa.Column("changed_at", Utc, nullable=False),
        sa.PrimaryKeyConstraint("revision", name=op.f("pk_urgency_tables")),
    )
    op.create_table(
        "worklist",
        sa.Column("study_id", Id, nullable=False, autoincrement=False),
        sa.Column("image_id", Id, nullable=False),
        sa.Column("images", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("lane", sa.SmallInteger(), nullable=False),
        sa.Column("label", sa.String(128), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=False),
        sa.Column("urgency", sa.Double(), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("body_part", sa.String(16), nullable=True),
        sa.Column("received_at", Utc, nullable=False),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_worklist")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_worklist_study_id_studies")),
        sa.ForeignKeyConstraint(["image_id"], ["images.id"], name=op.f("fk_worklist_image_id_images")),
    )
    for name, columns in WORKLIST.items():
        op.create_index(name, "worklist", columns)
    op.create_table(
        "search_keys",
        sa.Column("key", Key, nullable=False),
        sa.Column("study_id", Id, nullable=False),
        sa.PrimaryKeyConstraint("key", "study_id", name=op.f("pk_search_keys")),
        sa.ForeignKeyConstraint(["study_id"], ["studies.id"], name=op.f("fk_search_keys_study_id_studies")),
    )
    op.create_index("ix_search_keys_study_id_key", "search_keys", ["study_id", "key"])
    _fill_worklist()
    _fill_search_keys()


def _fill_worklist() -> None:
    """As `triage.worklist_entries` does it; written out, for that may change and this may not."""
    op.execute(
        """
        INSERT INTO worklist (study_id, image_id, images, status, lane, label, confidence, urgency, source, body_part,
                              received_at)
        SELECT study_id, id, images, CASE status WHEN 'processing' THEN 'queued' ELSE status END,
               CASE WHEN status <> 'done' THEN 1 WHEN reviewed THEN 0 WHEN needs_review THEN 2 ELSE 1 END,
               CASE WHEN status = 'done' THEN label END,
               CASE WHEN status = 'done' THEN coalesce(confidence, 0) ELSE 0 END, 0, source, body_part, first
        FROM (
            SELECT images.*, count(*) OVER (PARTITION BY study_id) AS images,
                   coalesce(min(CASE WHEN NOT reviewed THEN received_at END) OVER (PARTITION BY study_id),
                            min(received_at) OVER (PARTITION BY study_id)) AS first,
                   row_number() OVER (PARTITION BY study_id ORDER BY
                       CASE status WHEN 'done' THEN 0 WHEN 'queued' THEN 1 WHEN 'processing' THEN 1
                                   WHEN 'quarantined' THEN 2 ELSE 3 END,
                       reviewed, coalesce(needs_review, false) DESC, coalesce(confidence, 0) DESC, id) AS place
            FROM images WHERE study_id IS NOT NULL
        ) AS ranked WHERE place = 1
        """
    )


def _fill_search_keys() -> None:
    connection = op.get_bind()
    keys = sa.table("search_keys", sa.column("key", Key), sa.column("study_id", Id))
    names = sa.text(
        "SELECT source_names.id, source_names.name, images.study_id, studies.accession_number FROM source_names "
        "JOIN images ON images.id = source_names.image_id JOIN studies ON studies.id = images.study_id "
        "WHERE source_names.id > :after ORDER BY source_names.id LIMIT :chunk"
    )
    seen: set[tuple[str, int]] = set()
    after = 0
    while rows := connection.execute(names, {"after": after, "chunk": CHUNK}).all():
        found: set[tuple[str, int]] = set()
        for _, name, study_id, accession_number in rows:
            texts = (name, name.rsplit("/", 1)[-1], accession_number or "")
            found |= {(key, study_id) for text in texts if (key := text.strip().casefold()[:LONGEST_KEY])}
        new = sorted(found - seen)
        if new:
            connection.execute(keys.insert(), [{"key": key, "study_id": study_id} for key, study_id in new])
        seen |= found
        after = rows[-1][0]


def downgrade() -> None:
    op.drop_table("search_keys")
    op.drop_table("worklist")
    op.drop_table("urgency_tables")
    op.drop_index("ix_images_status_urgency_revision", "images")
    for name, columns in IMAGES_BEFORE.items():
        op.create_index(name, "images", columns)
    for name in ("reviewed", "urgency_revision", "urgency"):
        op.drop_column("images", name)
