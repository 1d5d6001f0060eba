"""Which texts of a corpus still need a vector: the question that every embedding worker begins with."""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from include.quarry.catalog.columns import same_document
from include.quarry.catalog.schema import chunks, claims, documents, vectors
from include.quarry.records import STREAM_FEEDS, UPLOAD_FEED, Passage


@dataclass(frozen=True, slots=True)
class PendingText:
    """A distinct text without a vector. `text` is what the embedder is given; `tokens` is its length, `seq` the newest
    change of the first document that it is in."""

    text_hash: str
    text: str
    tokens: int
    seq: int = 0


@dataclass(frozen=True, slots=True)
class PendingQuery:
    """Whose texts: one corpus, the chunks of one chunker, one vector space; and of which documents.

    `fresh` leaves only what users send and streams bring, which is embedded at once, not what a schedule reads; feeds
    in `streams` are read as a stream, whatever their name says.
    `after` leaves out documents whose newest change is that one or an earlier one.
    With `claimant`, texts that another owner is embedding right now are left out, so that they fill up no `limit`.
    """

    corpus: str
    chunker: str
    fingerprint: str
    changed_from: datetime | None = None
    changed_until: datetime | None = None
    fresh: bool = False
    streams: tuple[str, ...] = ()
    after: int = 0
    claimant: str | None = None
    limit: int | None = None


def pending_texts(connection: sa.Connection, wanted: PendingQuery) -> list[PendingText]:
    """Texts without a vector, each once, oldest change first.

    The window `[changed_from, changed_until)` is over the time of a document's newest change, so the partitions of a
    calendar hold every document exactly once.
    """
    texts: dict[str, PendingText] = {}
    for row in connection.execute(_select(wanted)):
        text = Passage(row.text, row.context, 0, 0, row.tokens).embedding_text
        texts.setdefault(row.text_hash, PendingText(row.text_hash, text, row.tokens, row.seq))
    return list(texts.values())


def count_texts(connection: sa.Connection, corpus: str, chunker: str, fingerprint: str) -> tuple[int, int]:
    """(texts with a vector, all distinct texts) of the corpus: the progress of embedding."""
    of_corpus = sa.and_(chunks.c.corpus == corpus, chunks.c.chunker == chunker)
    total = connection.scalar(sa.select(sa.func.count(sa.distinct(chunks.c.text_hash))).where(of_corpus))
    embedded = connection.scalar(
        sa.select(sa.func.count(sa.distinct(chunks.c.text_hash)))
        .join(vectors, vectors.c.text_hash == chunks.c.text_hash)
        .where(of_corpus, vectors.c.fingerprint == fingerprint)
    )
    return int(embedded or 0), int(total or 0)


def _select(wanted: PendingQuery) -> sa.Select[tuple[str, str, str, int, int]]:
    has_vector = sa.exists().where(
        vectors.c.fingerprint == wanted.fingerprint, vectors.c.text_hash == chunks.c.text_hash
    )
    query = (
        sa.select(chunks.c.text_hash, chunks.c.text, chunks.c.context, chunks.c.tokens, documents.c.seq)
        .join(documents, same_document(chunks, documents))
        .where(chunks.c.corpus == wanted.corpus, chunks.c.chunker == wanted.chunker, ~has_vector)
        # SQLite goes by this index then, and a limit ends the search; else it sorts all that waits before it gives one.
        .where(documents.c.seq > wanted.after)
        .order_by(documents.c.seq, chunks.c.ordinal)
    )
    if wanted.changed_from is not None:
        query = query.where(documents.c.accepted_at >= wanted.changed_from)
    if wanted.changed_until is not None:
        query = query.where(documents.c.accepted_at < wanted.changed_until)
    if wanted.fresh:
        feed = documents.c.feed
        query = query.where(sa.or_(feed.in_([UPLOAD_FEED, *wanted.streams]), feed.startswith(STREAM_FEEDS)))
    if wanted.claimant is not None:
        same_text = sa.and_(claims.c.fingerprint == wanted.fingerprint, claims.c.text_hash == chunks.c.text_hash)
        by_another = sa.and_(claims.c.owner != wanted.claimant, claims.c.expires_at > datetime.now(UTC))
        query = query.where(~sa.exists().where(same_text, by_another))
    return query if wanted.limit is None else query.limit(wanted.limit)
