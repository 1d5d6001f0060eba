"""Keep who read what, and what was asked.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "audit_chains",
        sa.Column("writer", sa.String(), nullable=False, comment="one serving process in one life"),
        sa.Column("shipped", sa.BigInteger(), nullable=False, comment="number of its newest record here"),
        sa.Column("head", sa.String(), nullable=False, comment="hash of that record"),
        sa.PrimaryKeyConstraint("writer"),
    )
    op.create_table(
        "audit_records",
        sa.Column("writer", sa.String(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="1, 2, 3, ... within its writer's chain"),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=True, comment="null when the caller showed no valid token"),
        sa.Column("subject", sa.String(), nullable=True),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False, comment="of the HTTP response"),
        sa.Column("query_id", sa.String(), nullable=True),
        sa.Column(
            "body", sa.Text(), nullable=False, comment="the record as it was hashed; the columns repeat parts of it"
        ),
        sa.Column(
            "hash",
            sa.String(),
            nullable=False,
            comment="SHA-256 of the body, which holds the hash of the one before",
        ),
        sa.PrimaryKeyConstraint("writer", "number"),
    )
    with op.batch_alter_table("audit_records") as table:
        table.create_index("audit_records_by_time", ["at"], unique=False)
        table.create_index("audit_records_by_tenant", ["tenant", "at"], unique=False)
        table.create_index("audit_records_by_query", ["query_id"], unique=False)
    op.create_table(
        "audit_seals",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("sealed_at", sa.DateTime(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False, comment="the heads of all chains that moved, as they were hashed"),
        sa.Column(
            "hash",
            sa.String(),
            nullable=False,
            comment="SHA-256 of the body, which holds the hash of the seal before",
        ),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_table(
        "queries",
        sa.Column("query_id", sa.String(), nullable=False),
        sa.Column("corpus", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("asked_at", sa.DateTime(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False, comment="retrieve or answer"),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("index_version", sa.String(), nullable=False),
        sa.Column(
            "hits", sa.JSON(), nullable=False, comment="[chunk_id, doc_id, score, {list: rank}] each, best first"
        ),
        sa.Column("answer", sa.JSON(), nullable=True, comment="text and citations"),
        sa.Column("grounded", sa.Boolean(), nullable=True),
        sa.Column("tier", sa.String(), nullable=True),
        sa.Column("usage", sa.JSON(), nullable=True),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("query_id"),
    )
    with op.batch_alter_table("queries") as table:
        table.create_index("queries_by_corpus", ["corpus", "asked_at"], unique=False)
        table.create_index("queries_by_time", ["asked_at"], unique=False)


def downgrade() -> None:
    """Take the revision back."""
    for table in ("queries", "audit_seals", "audit_records", "audit_chains"):
        op.drop_table(table)
