"""Try versions before they are live, and keep the one before.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    with op.batch_alter_table("index_versions") as table:
        table.add_column(
            sa.Column("retired_at", sa.DateTime(), nullable=True, comment="when it stopped answering or failed")
        )
        table.add_column(
            sa.Column("reason", sa.Text(), nullable=False, server_default="", comment="why it failed or was taken back")
        )
    with op.batch_alter_table("routes") as table:
        table.add_column(
            sa.Column("previous_version", sa.String(), nullable=True, comment="what a rollback makes live again")
        )
        table.add_column(sa.Column("shadow_version", sa.String(), nullable=True))
        table.add_column(
            sa.Column(
                "shadow_share",
                sa.Float(),
                nullable=False,
                server_default="0",
                comment="share of queries that the shadow version answers too, off the response path, 0 to 1",
            )
        )
    op.create_table(
        "observations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("observed_at", sa.DateTime(), nullable=False),
        sa.Column(
            "queries", sa.Integer(), nullable=False, comment="queries that the candidate and the live version answered"
        ),
        sa.Column("failures", sa.Integer(), nullable=False, comment="queries that the candidate failed on"),
        sa.Column("overlap", sa.Float(), nullable=False, comment="sum of overlap@10"),
        sa.Column("correlation", sa.Float(), nullable=False, comment="sum of rank correlations"),
        sa.Column("live_ms", sa.JSON(), nullable=False, comment="latencies of the live version, in milliseconds"),
        sa.Column("candidate_ms", sa.JSON(), nullable=False, comment="latencies of the candidate, in milliseconds"),
        sa.ForeignKeyConstraint(["version_id"], ["index_versions.version_id"]),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("observations") as table:
        table.create_index("observations_by_version", ["version_id", "observed_at"], unique=False)


def downgrade() -> None:
    """Take the revision back."""
    op.drop_table("observations")
    with op.batch_alter_table("routes") as table:
        for column in ("shadow_share", "shadow_version", "previous_version"):
            table.drop_column(column)
    with op.batch_alter_table("index_versions") as table:
        for column in ("reason", "retired_at"):
            table.drop_column(column)
