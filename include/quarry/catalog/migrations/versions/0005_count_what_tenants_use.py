"""Count what tenants use.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "usage",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="UTC"),
        sa.Column("tier", sa.String(), nullable=False, comment="what answered; empty for what is not about one tier"),
        sa.Column("requests", sa.BigInteger(), nullable=False, comment="that were answered; in the row of no tier"),
        sa.Column("refused", sa.BigInteger(), nullable=False, comment="for a limit; in the row of no tier"),
        sa.Column("documents", sa.BigInteger(), nullable=False, comment="uploads; in the row of no tier"),
        sa.Column("answers", sa.BigInteger(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger(), nullable=False),
        sa.Column("completion_tokens", sa.BigInteger(), nullable=False),
        sa.Column("engine_s", sa.Float(), nullable=False, comment="for which an engine was held, in seconds"),
        sa.Column("cost", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", "tier"),
    )
    with op.batch_alter_table("documents") as table:
        table.create_index("documents_by_tenant", ["tenant", "deleted"], unique=False)


def downgrade() -> None:
    """Take the revision back."""
    with op.batch_alter_table("documents") as table:
        table.drop_index("documents_by_tenant")
    op.drop_table("usage")
