"""Let the runs that index a corpus take turns.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "turns",
        sa.Column("run_id", sa.String, primary_key=True),
        sa.Column("corpus", sa.String, nullable=False),
        sa.Column("place", sa.BigInteger, nullable=False, comment="in the line of the corpus; the lowest has the turn"),
    )
    op.create_index("turns_by_corpus", "turns", ["corpus", "place"], unique=True)


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index("turns_by_corpus", "turns")
    op.drop_table("turns")
