"""The catalog's tables about requests: who read what, what was asked and thought of the answers, what tenants used."""

import sqlalchemy as sa

from include.quarry.catalog.columns import UtcDateTime

metadata = sa.MetaData()

audit_chains = sa.Table(
    "audit_chains",
    metadata,
    sa.Column("writer", sa.String, primary_key=True, comment="one serving process in one life"),
    sa.Column("shipped", sa.BigInteger, nullable=False, comment="number of its newest record here"),
    sa.Column("head", sa.String, nullable=False, comment="hash of that record"),
)

audit_records = sa.Table(
    "audit_records",
    metadata,
    sa.Column("writer", sa.String, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, comment="1, 2, 3, ... within its writer's chain"),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("tenant", sa.String, nullable=True, comment="null when the caller showed no valid token"),
    sa.Column("subject", sa.String, nullable=True),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("status", sa.Integer, nullable=False, comment="of the HTTP response"),
    sa.Column("query_id", sa.String, nullable=True),
    sa.Column("body", sa.Text, nullable=False, comment="the record as it was hashed; the columns repeat parts of it"),
    sa.Column("hash", sa.String, nullable=False, comment="SHA-256 of the body, which holds the hash of the one before"),
    sa.Index("audit_records_by_time", "at"),
    sa.Index("audit_records_by_tenant", "tenant", "at"),
    sa.Index("audit_records_by_query", "query_id"),
)

audit_seals = sa.Table(
    "audit_seals",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("sealed_at", UtcDateTime, nullable=False),
    sa.Column("body", sa.Text, nullable=False, comment="the heads of all chains that moved, as they were hashed"),
    sa.Column(
        "hash", sa.String, nullable=False, comment="SHA-256 of the body, which holds the hash of the seal before"
    ),
)

queries = sa.Table(
    "queries",
    metadata,
    sa.Column("query_id", sa.String, primary_key=True),
    sa.Column("corpus", sa.String, nullable=False),
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("kind", sa.String, nullable=False, comment="retrieve or answer"),
    sa.Column("query", sa.Text, nullable=False),
    sa.Column("index_version", sa.String, nullable=False),
    sa.Column("hits", sa.JSON, nullable=False, comment="[chunk_id, doc_id, score, {list: rank}] each, best first"),
    sa.Column("answer", sa.JSON, nullable=True, comment="text and citations"),
    sa.Column("grounded", sa.Boolean, nullable=True),
    sa.Column("tier", sa.String, nullable=True),
    sa.Column("usage", sa.JSON, nullable=True),
    sa.Column("cost", sa.Float, nullable=True),
    sa.Column("release", sa.JSON, nullable=True, comment="release_id, model and prompt_version that answered"),
    sa.Index("queries_by_corpus", "corpus", "asked_at"),
    sa.Index("queries_by_time", "asked_at"),
)

ratings = sa.Table(
    "ratings",
    metadata,
    sa.Column("query_id", sa.String, primary_key=True),
    sa.Column("subject", sa.String, primary_key=True, comment="who thinks so"),
    sa.Column("chunk_id", sa.String, primary_key=True, comment="the passage meant; empty for the answer as a whole"),
    sa.Column("tenant", sa.String, nullable=False),
    sa.Column("rating", sa.SmallInteger, nullable=False, comment="1 or -1"),
    sa.Column("comment", sa.Text, nullable=False),
    sa.Column("rated_at", UtcDateTime, nullable=False),
    sa.Index("ratings_by_time", "rated_at"),
)

usage = sa.Table(
    "usage",
    metadata,
    sa.Column("tenant", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True, comment="UTC"),
    sa.Column("tier", sa.String, primary_key=True, comment="what answered; empty for what is not about one tier"),
    sa.Column("requests", sa.BigInteger, nullable=False, comment="that were answered; in the row of no tier"),
    sa.Column("refused", sa.BigInteger, nullable=False, comment="for a limit; in the row of no tier"),
    sa.Column("documents", sa.BigInteger, nullable=False, comment="uploads; in the row of no tier"),
    sa.Column("answers", sa.BigInteger, nullable=False),
    sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
    sa.Column("completion_tokens", sa.BigInteger, nullable=False),
    sa.Column("engine_s", sa.Float, nullable=False, comment="for which an engine was held, in seconds"),
    sa.Column("cost", sa.Float, nullable=False),
)
