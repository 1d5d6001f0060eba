"""Remember the messages of sources that have no offsets.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "accepted_messages",
        sa.Column("feed", sa.String(), primary_key=True),
        sa.Column("message", sa.String(), primary_key=True),
        sa.Column("until", sa.DateTime(), nullable=False, comment="when it can come again no longer"),
    )
    op.create_index("accepted_messages_by_time", "accepted_messages", ["feed", "until"])


def downgrade() -> None:
    """Take the revision back."""
    op.drop_index("accepted_messages_by_time", table_name="accepted_messages")
    op.drop_table("accepted_messages")
