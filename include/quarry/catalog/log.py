"""The log: every accepted change of a document, in order. Functions here run inside the caller's transaction.

An upsert writes the change, the document and its chunks together; a caller that also stores its feed's offset on the
same connection gets the promise that nothing is lost and nothing is doubled, whatever is killed when.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog.feed_schema import quarantine
from include.quarry.catalog.schema import changes, chunks, documents
from include.quarry.records import UPLOAD_FEED, DocumentKey, Passage, RawDocument, hash_text

Outline = list[tuple[str, int, int]]


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """A document ready to be accepted: parsed, and cut once per chunker (fingerprint -> passages)."""

    raw: RawDocument
    title: str
    text: str
    outline: Outline
    content_hash: str
    passages: Mapping[str, Sequence[Passage]]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of an offered change. `changed` is false when the catalog already stood that way."""

    seq: int
    doc_version: int
    changed: bool


def accept_upsert(
    connection: sa.Connection,
    document: PreparedDocument,
    feed: str,
    at: datetime | None = None,
    *,
    replay_of: int | None = None,
) -> Accepted:
    """Append an upsert, unless the document already has this very content. `at` is when the source says it changed.

    What a user deleted by hand stays deleted while a scheduled feed offers the same content again.
    """
    raw = document.raw
    connection.execute(sa.delete(quarantine).where(_is(quarantine, raw.key)))
    present = find_document(connection, raw.key)
    if present is not None and present.content_hash == document.content_hash:
        deleted_by_hand = present.feed == UPLOAD_FEED != feed
        if not present.deleted or deleted_by_hand:
            return Accepted(present.seq, present.version, changed=False)
    version = 1 if present is None else present.version + 1
    accepted = _append(connection, raw.key, "upsert", version, feed, source_at=at, replay_of=replay_of)
    row = {
        "seq": accepted.seq,
        "version": accepted.doc_version,
        "deleted": False,
        "feed": feed,
        "uri": raw.uri,
        "title": document.title,
        "content_type": raw.content_type,
        "content_hash": document.content_hash,
        "metadata": dict(raw.metadata),
        "text": document.text,
        "outline": document.outline,
        "accepted_at": datetime.now(UTC),
    }
    if present is None:
        first = {"first_accepted_at": row["accepted_at"]}
        connection.execute(sa.insert(documents).values(**raw.key._asdict(), **row, **first))
    else:
        connection.execute(sa.update(documents).where(_is(documents, raw.key)).values(**row))
    connection.execute(sa.delete(chunks).where(_is(chunks, raw.key)))
    for chunker, passages in document.passages.items():
        insert_chunks(connection, raw.key, accepted.doc_version, chunker, passages)
    return accepted


def accept_delete(
    connection: sa.Connection,
    key: DocumentKey,
    feed: str,
    at: datetime | None = None,
    *,
    replay_of: int | None = None,
) -> Accepted | None:
    """Append a delete; None when there is no such document, present or deleted."""
    present = find_document(connection, key)
    connection.execute(sa.delete(quarantine).where(_is(quarantine, key)))
    if present is None:
        return None
    if present.deleted:
        return Accepted(present.seq, present.version, changed=False)
    accepted = _append(connection, key, "delete", present.version + 1, feed, source_at=at, replay_of=replay_of)
    gone = {"seq": accepted.seq, "version": accepted.doc_version, "deleted": True, "text": "", "outline": []}
    by = {"feed": feed, "accepted_at": datetime.now(UTC)}
    connection.execute(sa.update(documents).where(_is(documents, key)).values(**gone, **by))
    connection.execute(sa.delete(chunks).where(_is(chunks, key)))
    return accepted


def insert_chunks(
    connection: sa.Connection, key: DocumentKey, doc_version: int, chunker: str, passages: Sequence[Passage]
) -> None:
    """Store the passages that one chunker cut from the present version of a document."""
    seen: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    for ordinal, passage in enumerate(passages):
        text_hash = hash_text(passage.embedding_text)
        rows.append(
            {
                "chunk_id": chunk_id(key, text_hash, chunker, seen[text_hash]),
                **key._asdict(),
                "doc_version": doc_version,
                "chunker": chunker,
                "ordinal": ordinal,
                "text": passage.text,
                "context": passage.context,
                "start": passage.start,
                "end": passage.end,
                "tokens": passage.tokens,
                "text_hash": text_hash,
            }
        )
        seen[text_hash] += 1
    if rows:
        connection.execute(sa.insert(chunks), rows)


def chunk_id(key: DocumentKey, text_hash: str, chunker: str, occurrence: int) -> str:
    """32 hex digits: the same passage of the same document keeps its id over versions and rebuilds.

    `occurrence` counts equal passages within one document, so that a repeated paragraph gets ids of its own.
    """
    parts = "\x1f".join((*key, text_hash, chunker, str(occurrence)))
    return sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def find_document(connection: sa.Connection, key: DocumentKey) -> sa.Row[*tuple[Any, ...]] | None:
    """The document's row, deleted or not."""
    return connection.execute(sa.select(documents).where(_is(documents, key))).one_or_none()


def documents_of_feed(connection: sa.Connection, feed: str) -> list[DocumentKey]:
    """The documents that are there and were written last by this feed."""
    d = documents.c
    query = sa.select(d.corpus, d.tenant, d.doc_id).where(d.feed == feed, ~d.deleted)
    return [DocumentKey(*row) for row in connection.execute(query)]


def head(connection: sa.Connection, corpus: str) -> int:
    """The newest `seq` of a corpus, 0 when nothing was ever accepted."""
    newest = connection.scalar(sa.select(sa.func.max(changes.c.seq)).where(changes.c.corpus == corpus))
    return int(newest or 0)


def age_of(connection: sa.Connection, seq: int) -> int:
    """The place of a change among all others by what it tells of: a replay tells of what was set aside before."""
    replay_of = connection.scalar(sa.select(changes.c.replay_of).where(changes.c.seq == seq))
    return seq if replay_of is None else int(replay_of)


def _append(
    connection: sa.Connection, key: DocumentKey, kind: str, doc_version: int, feed: str, **more: Any
) -> Accepted:
    values = {"kind": kind, "doc_version": doc_version, "feed": feed, "accepted_at": datetime.now(UTC), **more}
    result = connection.execute(sa.insert(changes).values(**key._asdict(), **values))
    assert result.inserted_primary_key is not None  # noqa: S101 - the dialects in use always report it
    return Accepted(int(result.inserted_primary_key[0]), doc_version, changed=True)


def _is(table: sa.Table, key: DocumentKey) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.corpus == key.corpus, table.c.tenant == key.tenant, table.c.doc_id == key.doc_id)
