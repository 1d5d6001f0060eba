"""The catalog's tables about feeds: how far each was accepted, and what could not be."""

import sqlalchemy as sa

from include.quarry.catalog.columns import UtcDateTime, document_key_columns

metadata = sa.MetaData()

feed_offsets = sa.Table(
    "feed_offsets",
    metadata,
    sa.Column("feed", sa.String, primary_key=True),
    sa.Column("partition", sa.String, primary_key=True),
    sa.Column("offset", sa.String, nullable=False),
)

accepted_messages = sa.Table(
    "accepted_messages",
    metadata,
    sa.Column("feed", sa.String, primary_key=True),
    sa.Column("message", sa.String, primary_key=True),
    sa.Column("until", UtcDateTime, nullable=False, comment="when it can come again no longer"),
    sa.Index("accepted_messages_by_time", "feed", "until"),
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    *document_key_columns(),
    sa.Column("feed", sa.String, nullable=False),
    sa.Column("uri", sa.String, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("quarantined_at", UtcDateTime, nullable=False),
    sa.Column("kind", sa.String, nullable=False, server_default="document"),
    sa.Column("content", sa.LargeBinary, nullable=True, comment="the original, or null where it is too large"),
    sa.Column("size_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("sha256", sa.String, nullable=False, server_default=""),
    sa.Column("detail", sa.JSON, nullable=False, server_default="{}", comment="what came with the original"),
    sa.Column(
        "at_seq",
        sa.BigInteger,
        nullable=False,
        server_default="0",
        comment="newest change of the corpus when it was set aside",
    ),
    sa.PrimaryKeyConstraint("corpus", "tenant", "doc_id"),
)
