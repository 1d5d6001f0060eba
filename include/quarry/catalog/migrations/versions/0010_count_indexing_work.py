"""Count what indexing did and was spared.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "indexing_work",
        sa.Column("corpus", sa.String(), nullable=False),
        sa.Column("embedded", sa.BigInteger(), nullable=False, comment="texts"),
        sa.Column(
            "reused",
            sa.BigInteger(),
            nullable=False,
            comment="passages of changed documents whose vectors were there already",
        ),
        sa.Column("skipped", sa.BigInteger(), nullable=False, comment="documents that were offered again as they are"),
        sa.PrimaryKeyConstraint("corpus"),
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_table("indexing_work")
