"""The catalog's tables about documents and indexes. The log (`changes`) is the one source of truth; every index can be
rebuilt from here.

Times are UTC. JSON columns hold plain objects. A chunk row belongs to the present version of its document; older
versions live on in the log only. Of each document the log keeps the newest change for ever, and older ones until every
index version has applied them and their retention is over. The tables about feeds are in `feed_schema`, those about
requests in `request_schema`; `migrations/env.py` lists the files.
"""

import sqlalchemy as sa

from include.quarry.catalog.columns import BigSerial, UtcDateTime, document_key_columns

metadata = sa.MetaData()

documents = sa.Table(
    "documents",
    metadata,
    *document_key_columns(),
    sa.Column("seq", sa.BigInteger, nullable=False, comment="the document's newest change"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("deleted", sa.Boolean, nullable=False),
    sa.Column("feed", sa.String, nullable=False),
    sa.Column("uri", sa.String, nullable=False),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("content_type", sa.String, nullable=False),
    sa.Column(
        "content_hash", sa.String, nullable=False, comment="SHA-256 of what the feed delivered, metadata included"
    ),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("text", sa.Text, nullable=False, comment="the text that chunk offsets refer to"),
    sa.Column("outline", sa.JSON, nullable=False, comment="[kind, level, length] of each block, to chunk again"),
    sa.Column("accepted_at", UtcDateTime, nullable=False),
    sa.Column("first_accepted_at", UtcDateTime, nullable=False, comment="when its first change was accepted"),
    sa.Column("moved_to", sa.String, nullable=True, comment="of a deleted one: the doc_id that it has now"),
    sa.PrimaryKeyConstraint("corpus", "tenant", "doc_id"),
    sa.Index("documents_by_seq", "corpus", "seq"),
    sa.Index("documents_by_feed", "corpus", "feed"),
    sa.Index("documents_by_tenant", "tenant", "deleted"),
    sa.Index(
        "documents_moved",
        "corpus",
        "tenant",
        "moved_to",
        sqlite_where=sa.text("moved_to IS NOT NULL"),
        postgresql_where=sa.text("moved_to IS NOT NULL"),
    ),
)

chunks = sa.Table(
    "chunks",
    metadata,
    sa.Column("chunk_id", sa.String, primary_key=True),
    *document_key_columns(),
    sa.Column("doc_version", sa.Integer, nullable=False),
    sa.Column("chunker", sa.String, nullable=False, comment="fingerprint of the chunker spec"),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("context", sa.Text, nullable=False),
    sa.Column("start", sa.Integer, nullable=False),
    sa.Column("end", sa.Integer, nullable=False),
    sa.Column("tokens", sa.Integer, nullable=False),
    sa.Column("text_hash", sa.String, nullable=False, comment="address of the embedded text in the vector lake"),
    sa.Index("chunks_by_document", "corpus", "tenant", "doc_id", "chunker"),
    sa.Index("chunks_by_text", "text_hash"),
)

changes = sa.Table(
    "changes",
    metadata,
    sa.Column("seq", BigSerial, primary_key=True, autoincrement=True),
    *document_key_columns(),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("doc_version", sa.Integer, nullable=False),
    sa.Column("feed", sa.String, nullable=False),
    sa.Column("accepted_at", UtcDateTime, nullable=False),
    sa.Column("source_at", UtcDateTime, nullable=True, comment="when the source says that it changed"),
    sa.Column("replay_of", sa.BigInteger, nullable=True, comment="of a replay: at_seq of what had been set aside"),
    sa.Index("changes_by_corpus", "corpus", "seq"),
    sa.Index("changes_by_document", "corpus", "tenant", "doc_id", "seq"),
    sa.Index("changes_by_time", "corpus", "accepted_at"),
    sqlite_autoincrement=True,
)

index_versions = sa.Table(
    "index_versions",
    metadata,
    sa.Column("version_id", sa.String, primary_key=True),
    sa.Column("corpus", sa.String, nullable=False),
    sa.Column("spec", sa.Text, nullable=False, comment="canonical JSON of the index spec"),
    sa.Column("state", sa.String, nullable=False),
    sa.Column(
        "watermark", sa.BigInteger, nullable=False, comment="seq up to which the newest snapshot applied the log"
    ),
    sa.Column("snapshot", sa.String, nullable=False, comment="folder of the newest snapshot; empty while building"),
    sa.Column("chunk_count", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("promoted_at", UtcDateTime, nullable=True),
    sa.Column("retired_at", UtcDateTime, nullable=True, comment="when it stopped answering or failed"),
    sa.Column("reason", sa.Text, nullable=False, server_default="", comment="why it failed or was taken back"),
    sa.Index("index_versions_by_corpus", "corpus", "state"),
)

routes = sa.Table(
    "routes",
    metadata,
    sa.Column("corpus", sa.String, primary_key=True),
    sa.Column("live_version", sa.String, sa.ForeignKey("index_versions.version_id"), nullable=False),
    sa.Column("canary_version", sa.String, sa.ForeignKey("index_versions.version_id"), nullable=True),
    sa.Column("canary_share", sa.Float, nullable=False, comment="share of requests that the canary answers, 0 to 1"),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("previous_version", sa.String, nullable=True, comment="what a rollback makes live again"),
    sa.Column("shadow_version", sa.String, nullable=True),
    sa.Column(
        "shadow_share",
        sa.Float,
        nullable=False,
        server_default="0",
        comment="share of queries that the shadow version answers too, off the response path, 0 to 1",
    ),
)

observations = sa.Table(
    "observations",
    metadata,
    sa.Column("id", BigSerial, primary_key=True, autoincrement=True),
    sa.Column("version_id", sa.String, sa.ForeignKey("index_versions.version_id"), nullable=False),
    sa.Column("observed_at", UtcDateTime, nullable=False),
    sa.Column(
        "queries", sa.Integer, nullable=False, comment="queries that the candidate and the live version answered"
    ),
    sa.Column("failures", sa.Integer, nullable=False, comment="queries that the candidate failed on"),
    sa.Column("overlap", sa.Float, nullable=False, comment="sum of overlap@10"),
    sa.Column("correlation", sa.Float, nullable=False, comment="sum of rank correlations"),
    sa.Column("live_ms", sa.JSON, nullable=False, comment="latencies of the live version, in milliseconds"),
    sa.Column("candidate_ms", sa.JSON, nullable=False, comment="latencies of the candidate, in milliseconds"),
    sa.Index("observations_by_version", "version_id", "observed_at"),
    sqlite_autoincrement=True,
)

generation_releases = sa.Table(
    "generation_releases",
    metadata,
    sa.Column("release_id", sa.String, primary_key=True),
    sa.Column("tier", sa.String, nullable=False),
    sa.Column("model", sa.String, nullable=False, comment="as the tier's setting would name it"),
    sa.Column("prompt_version", sa.String, nullable=False, comment="beginning of the template's SHA-256"),
    sa.Column("template", sa.Text, nullable=False, comment="the prompt, as a file of include/prompts holds it"),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("passed_against", sa.String, nullable=True, comment="live release that the gate held it against"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, comment="why it failed or was taken back"),
)

generation_routes = sa.Table(
    "generation_routes",
    metadata,
    sa.Column("tier", sa.String, primary_key=True),
    sa.Column("live_release", sa.String, nullable=False, comment="`default` is what the settings say"),
    sa.Column("previous_release", sa.String, nullable=True, comment="what a rollback makes live again"),
    sa.Column("canary_release", sa.String, nullable=True),
    sa.Column("canary_share", sa.Float, nullable=False, comment="share of requests that the canary answers, 0 to 1"),
    sa.Column("revision", sa.Integer, nullable=False),
)

vectors = sa.Table(
    "vectors",
    metadata,
    sa.Column("id", BigSerial, primary_key=True, autoincrement=True),
    sa.Column("fingerprint", sa.String, nullable=False, comment="the vector space"),
    sa.Column("text_hash", sa.String, nullable=False),
    sa.Column("part", sa.String, nullable=True, comment="Parquet file of the lake, or null while the vector is inline"),
    sa.Column("position", sa.Integer, nullable=True, comment="row in the Parquet file"),
    sa.Column("inline", sa.LargeBinary, nullable=True, comment="float32 little-endian: the fresh tail"),
    sa.Column(
        "unused_since", UtcDateTime, nullable=True, comment="when maintenance first found no chunk with its text"
    ),
    sa.UniqueConstraint("fingerprint", "text_hash"),
    sqlite_autoincrement=True,
)

indexing_work = sa.Table(
    "indexing_work",
    metadata,
    sa.Column("corpus", sa.String, primary_key=True),
    sa.Column("embedded", sa.BigInteger, nullable=False, comment="texts"),
    sa.Column(
        "reused",
        sa.BigInteger,
        nullable=False,
        comment="passages of changed documents whose vectors were there already",
    ),
    sa.Column("skipped", sa.BigInteger, nullable=False, comment="documents that were offered again as they are"),
)

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("fingerprint", sa.String, primary_key=True),
    sa.Column("text_hash", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
)

turns = sa.Table(
    "turns",
    metadata,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("corpus", sa.String, nullable=False),
    sa.Column("place", sa.BigInteger, nullable=False, comment="in the line of the corpus; the lowest has the turn"),
    sa.Index("turns_by_corpus", "corpus", "place", unique=True),
)
