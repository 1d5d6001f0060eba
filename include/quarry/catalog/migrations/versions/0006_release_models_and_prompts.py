"""Release generation models and prompts.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "generation_releases",
        sa.Column("release_id", sa.String(), nullable=False),
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False, comment="as the tier's setting would name it"),
        sa.Column("prompt_version", sa.String(), nullable=False, comment="beginning of the template's SHA-256"),
        sa.Column("template", sa.Text(), nullable=False, comment="the prompt, as a file of include/prompts holds it"),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("passed_against", sa.String(), nullable=True, comment="live release that the gate held it against"),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it failed or was taken back"),
        sa.PrimaryKeyConstraint("release_id"),
    )
    op.create_table(
        "generation_routes",
        sa.Column("tier", sa.String(), nullable=False),
        sa.Column("live_release", sa.String(), nullable=False, comment="`default` is what the settings say"),
        sa.Column("previous_release", sa.String(), nullable=True, comment="what a rollback makes live again"),
        sa.Column("canary_release", sa.String(), nullable=True),
        sa.Column(
            "canary_share", sa.Float(), nullable=False, comment="share of requests that the canary answers, 0 to 1"
        ),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tier"),
    )
    with op.batch_alter_table("queries") as table:
        table.add_column(
            sa.Column("release", sa.JSON(), nullable=True, comment="release_id, model and prompt_version that answered")
        )


def downgrade() -> None:
    """Take the revision back."""
    with op.batch_alter_table("queries") as table:
        table.drop_column("release")
    op.drop_table("generation_routes")
    op.drop_table("generation_releases")
