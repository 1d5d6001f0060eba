"""Let old changes and unused vectors go: documents say when they first came, vectors since when none uses them.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    with op.batch_alter_table("vectors") as table:
        table.add_column(
            sa.Column(
                "unused_since",
                sa.DateTime(),
                nullable=True,
                comment="when maintenance first found no chunk with its text",
            )
        )
    with op.batch_alter_table("documents") as table:
        table.add_column(
            sa.Column("first_accepted_at", sa.DateTime(), nullable=True, comment="when its first change was accepted")
        )
    op.execute(
        "UPDATE documents SET first_accepted_at = coalesce((SELECT min(c.accepted_at) FROM changes c WHERE "
        "c.corpus = documents.corpus AND c.tenant = documents.tenant AND c.doc_id = documents.doc_id), accepted_at)"
    )
    with op.batch_alter_table("documents") as table:
        table.alter_column("first_accepted_at", existing_type=sa.DateTime(), nullable=False)


def downgrade() -> None:
    """Take the revision back."""
    with op.batch_alter_table("documents") as table:
        table.drop_column("first_accepted_at")
    with op.batch_alter_table("vectors") as table:
        table.drop_column("unused_since")
