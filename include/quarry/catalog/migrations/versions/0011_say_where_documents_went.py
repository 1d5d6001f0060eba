"""Say of a document that was moved where it went.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    with op.batch_alter_table("documents") as table:
        table.add_column(
            sa.Column("moved_to", sa.String(), nullable=True, comment="of a deleted one: the doc_id that it has now")
        )


def downgrade() -> None:
    """Take the revision back."""
    with op.batch_alter_table("documents") as table:
        table.drop_column("moved_to")
