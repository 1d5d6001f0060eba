"""Keep what people think of answers.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "ratings",
        sa.Column("query_id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False, comment="who thinks so"),
        sa.Column(
            "chunk_id", sa.String(), nullable=False, comment="the passage meant; empty for the answer as a whole"
        ),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("rating", sa.SmallInteger(), nullable=False, comment="1 or -1"),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("rated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("query_id", "subject", "chunk_id"),
    )
    with op.batch_alter_table("ratings") as table:
        table.create_index("ratings_by_time", ["rated_at"], unique=False)


def downgrade() -> None:
    """Take the revision back."""
    op.drop_table("ratings")
