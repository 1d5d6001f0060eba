"""Find what was moved to a document, when that moves on.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_index(
        "documents_moved",
        "documents",
        ["corpus", "tenant", "moved_to"],
        sqlite_where=sa.text("moved_to IS NOT NULL"),
        postgresql_where=sa.text("moved_to IS NOT NULL"),
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index("documents_moved", "documents")
