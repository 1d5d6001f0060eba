"""Create the catalog.

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the revision."""
    op.create_table(
        "changes",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("corpus", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("doc_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("doc_version", sa.Integer(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("accepted_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("changes", schema=None) as batch_op:
        batch_op.create_index("changes_by_corpus", ["corpus", "seq"], unique=False)
        batch_op.create_index("changes_by_document", ["corpus", "tenant", "doc_id", "seq"], unique=False)
        batch_op.create_index("changes_by_time", ["corpus", "accepted_at"], unique=False)

    op.create_table(
        "chunks",
        sa.Column("chunk_id", sa.String(), nullable=False),
        sa.Column("corpus", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("doc_id", sa.String(), nullable=False),
        sa.Column("doc_version", sa.Integer(), nullable=False),
        sa.Column("chunker", sa.String(), nullable=False, comment="fingerprint of the chunker spec"),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("text_hash", sa.String(), nullable=False, comment="address of the embedded text in the vector lake"),
        sa.PrimaryKeyConstraint("chunk_id"),
    )
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.create_index("chunks_by_document", ["corpus", "tenant", "doc_id", "chunker"], unique=False)
        batch_op.create_index("chunks_by_text", ["text_hash"], unique=False)

    op.create_table(
        "claims",
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("text_hash", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", "text_hash"),
    )
    op.create_table(
        "documents",
        sa.Column("corpus", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("doc_id", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="the document's newest change"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("content_type", sa.String(), nullable=False),
        sa.Column(
            "content_hash", sa.String(), nullable=False, comment="SHA-256 of what the feed delivered, metadata included"
        ),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False, comment="the text that chunk offsets refer to"),
        sa.Column("outline", sa.JSON(), nullable=False, comment="[kind, level, length] of each block, to chunk again"),
        sa.Column("accepted_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("corpus", "tenant", "doc_id"),
    )
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.create_index("documents_by_feed", ["corpus", "feed"], unique=False)
        batch_op.create_index("documents_by_seq", ["corpus", "seq"], unique=False)

    op.create_table(
        "feed_offsets",
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("partition", sa.String(), nullable=False),
        sa.Column("offset", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("feed", "partition"),
    )
    op.create_table(
        "index_versions",
        sa.Column("version_id", sa.String(), nullable=False),
        sa.Column("corpus", sa.String(), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False, comment="canonical JSON of the index spec"),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column(
            "watermark", sa.BigInteger(), nullable=False, comment="seq up to which the newest snapshot applied the log"
        ),
        sa.Column(
            "snapshot", sa.String(), nullable=False, comment="folder of the newest snapshot; empty while building"
        ),
        sa.Column("chunk_count", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(), nullable=False),
        sa.Column("promoted_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("version_id"),
    )
    with op.batch_alter_table("index_versions", schema=None) as batch_op:
        batch_op.create_index("index_versions_by_corpus", ["corpus", "state"], unique=False)

    op.create_table(
        "quarantine",
        sa.Column("corpus", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("doc_id", sa.String(), nullable=False),
        sa.Column("feed", sa.String(), nullable=False),
        sa.Column("uri", sa.String(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("quarantined_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("corpus", "tenant", "doc_id"),
    )
    op.create_table(
        "vectors",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False, comment="the vector space"),
        sa.Column("text_hash", sa.String(), nullable=False),
        sa.Column(
            "part", sa.String(), nullable=True, comment="Parquet file of the lake, or null while the vector is inline"
        ),
        sa.Column("position", sa.Integer(), nullable=True, comment="row in the Parquet file"),
        sa.Column("inline", sa.LargeBinary(), nullable=True, comment="float32 little-endian: the fresh tail"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("fingerprint", "text_hash"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "routes",
        sa.Column("corpus", sa.String(), nullable=False),
        sa.Column("live_version", sa.String(), nullable=False),
        sa.Column("canary_version", sa.String(), nullable=True),
        sa.Column(
            "canary_share", sa.Float(), nullable=False, comment="share of requests that the canary answers, 0 to 1"
        ),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["canary_version"],
            ["index_versions.version_id"],
        ),
        sa.ForeignKeyConstraint(
            ["live_version"],
            ["index_versions.version_id"],
        ),
        sa.PrimaryKeyConstraint("corpus"),
    )


def downgrade() -> None:
    """Take the revision back."""
    op.drop_table("routes")
    op.drop_table("vectors")
    op.drop_table("quarantine")
    with op.batch_alter_table("index_versions", schema=None) as batch_op:
        batch_op.drop_index("index_versions_by_corpus")

    op.drop_table("index_versions")
    op.drop_table("feed_offsets")
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.drop_index("documents_by_seq")
        batch_op.drop_index("documents_by_feed")

    op.drop_table("documents")
    op.drop_table("claims")
    with op.batch_alter_table("chunks", schema=None) as batch_op:
        batch_op.drop_index("chunks_by_text")
        batch_op.drop_index("chunks_by_document")

    op.drop_table("chunks")
    with op.batch_alter_table("changes", schema=None) as batch_op:
        batch_op.drop_index("changes_by_time")
        batch_op.drop_index("changes_by_document")
        batch_op.drop_index("changes_by_corpus")

    op.drop_table("changes")
