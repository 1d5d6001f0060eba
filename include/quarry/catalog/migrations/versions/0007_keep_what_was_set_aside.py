"""Keep the originals of what was set aside, and when sources changed.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    with op.batch_alter_table("quarantine") as table:
        table.add_column(sa.Column("kind", sa.String(), nullable=False, server_default="document"))
        table.add_column(
            sa.Column("content", sa.LargeBinary(), nullable=True, comment="the original, or null where it is too large")
        )
        table.add_column(sa.Column("size_bytes", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("sha256", sa.String(), nullable=False, server_default=""))
        table.add_column(
            sa.Column("detail", sa.JSON(), nullable=False, server_default="{}", comment="what came with the original")
        )
        table.add_column(
            sa.Column(
                "at_seq",
                sa.BigInteger(),
                nullable=False,
                server_default="0",
                comment="newest change of the corpus when it was set aside",
            )
        )
    with op.batch_alter_table("changes") as table:
        table.add_column(
            sa.Column("source_at", sa.DateTime(), nullable=True, comment="when the source says that it changed")
        )
        table.add_column(
            sa.Column(
                "replay_of", sa.BigInteger(), nullable=True, comment="of a replay: at_seq of what had been set aside"
            )
        )


def downgrade() -> None:
    """Take the revision back."""
    with op.batch_alter_table("changes") as table:
        for column in ("replay_of", "source_at"):
            table.drop_column(column)
    with op.batch_alter_table("quarantine") as table:
        for column in ("at_seq", "detail", "sha256", "size_bytes", "content", "kind"):
            table.drop_column(column)
