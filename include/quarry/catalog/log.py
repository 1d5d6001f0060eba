"""The log: every accepted change of a document, in order. Functions here run inside the caller's transaction.

An upsert writes the change, the document and its chunks together; a caller that also stores its feed's offset on the
same connection gets the promise that nothing is lost and nothing is doubled, whatever is killed when.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog.cutting import chunk_rows
from include.quarry.catalog.database import insert_many
from include.quarry.catalog.feed_schema import quarantine
from include.quarry.catalog.schema import changes, chunks, documents
from include.quarry.records import UPLOAD_FEED, DocumentKey, Passage, RawDocument

Outline = list[tuple[str, int, int]]
_KEYS_PER_QUERY = 800  # stays below the parameter limit of every SQLite build


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
    (accepted,) = accept_upserts(connection, [(document, at)], feed, replay_of=replay_of)
    return accepted


def accept_upserts(
    connection: sa.Connection,
    offered: Sequence[tuple[PreparedDocument, datetime | None]],
    feed: str,
    *,
    replay_of: int | None = None,
) -> list[Accepted]:
    """`accept_upsert` of different documents, in their order; the statements are those of one, for all of them."""
    keys = [document.raw.key for document, _ in offered]
    present = standing(connection, keys)
    moved = _leave_quarantine(connection, keys)
    new = [(document, at) for document, at in offered if not _stands(present.get(document.raw.key), document, feed)]
    common = {"kind": "upsert", "feed": feed, "accepted_at": datetime.now(UTC), "replay_of": replay_of}
    rows = [
        {
            **document.raw.key._asdict(),
            **common,
            "doc_version": 1 + (present[document.raw.key].version if document.raw.key in present else 0),
            "source_at": at,
        }
        for document, at in new
    ]
    accepted = dict(zip((document.raw.key for document, _ in new), _append(connection, rows), strict=True))
    _write(connection, [document for document, _ in new], accepted, present, feed)
    _end_moves(connection, moved, feed)
    return [accepted.get(key) or Accepted(present[key].seq, present[key].version, changed=False) for key in keys]


def accept_delete(
    connection: sa.Connection,
    key: DocumentKey,
    feed: str,
    at: datetime | None = None,
    *,
    replay_of: int | None = None,
    moved_to: DocumentKey | None = None,
) -> Accepted | None:
    """Append a delete; None when there is no such document, present or deleted.

    Where the document was only moved, indexes show it until they can show `moved_to`, which was accepted before, and so
    with whatever had been moved here; one that went to another tenant goes at once.
    """
    (accepted,) = accept_deletes(connection, [key], feed, at, replay_of=replay_of)
    if accepted is not None and accepted.changed and moved_to is not None and moved_to[:2] == key[:2]:
        d = documents.c
        came_here = sa.and_(d.corpus == key.corpus, d.tenant == key.tenant, d.moved_to == key.doc_id)
        moved = sa.update(documents).where(sa.or_(_is(documents, key), came_here))
        connection.execute(moved.values(moved_to=moved_to.doc_id))
    return accepted


def accept_deletes(
    connection: sa.Connection,
    keys: Sequence[DocumentKey],
    feed: str,
    at: datetime | None = None,
    *,
    replay_of: int | None = None,
) -> list[Accepted | None]:
    """`accept_delete` of different documents; the statements are those of one, for all of them."""
    present = standing(connection, keys)
    gone = [key for key in keys if key in present and not present[key].deleted]
    now = datetime.now(UTC)
    common = {"kind": "delete", "feed": feed, "accepted_at": now, "source_at": at, "replay_of": replay_of}
    rows = [{**key._asdict(), **common, "doc_version": present[key].version + 1} for key in gone]
    accepted = dict(zip(gone, _append(connection, rows), strict=True))
    if gone:
        emptied = {"deleted": True, "text": "", "outline": [], "feed": feed, "accepted_at": now, "moved_to": None}
        _update_documents(
            connection,
            [(key, {**emptied, "seq": came.seq, "version": came.doc_version}) for key, came in accepted.items()],
        )
    _end_moves(connection, _leave_quarantine(connection, keys), feed)
    stood = {key: Accepted(row.seq, row.version, changed=False) for key, row in present.items()}
    return [accepted.get(key) or stood.get(key) for key in keys]


def find_document(connection: sa.Connection, key: DocumentKey) -> sa.Row[*tuple[Any, ...]] | None:
    """The document's row, deleted or not."""
    return connection.execute(sa.select(documents).where(_is(documents, key))).one_or_none()


def standing(connection: sa.Connection, keys: Sequence[DocumentKey]) -> dict[DocumentKey, sa.Row[*tuple[Any, ...]]]:
    """What is known of those of the documents that there are or were; not their text."""
    d = documents.c
    known = (d.seq, d.version, d.deleted, d.feed, d.uri, d.content_type, d.content_hash)
    columns = (d.corpus, d.tenant, d.doc_id, *known)
    rows = (row for its in rows_of(documents, keys) for row in connection.execute(sa.select(*columns).where(its)))
    return {DocumentKey(row.corpus, row.tenant, row.doc_id): row for row in rows}


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


def _leave_quarantine(connection: sa.Connection, keys: Sequence[DocumentKey]) -> list[tuple[DocumentKey, int]]:
    """What of these was set aside is superseded. Gives which documents they were to replace, and what the log had then:
    their earlier, readable state was left standing for them."""
    q, moved = quarantine.c, []
    for its in rows_of(quarantine, keys):
        for row in connection.execute(sa.select(q.detail, q.at_seq).where(its)):
            if replaced := (row.detail or {}).get("replaces"):
                moved.append((DocumentKey(*replaced), row.at_seq))
        connection.execute(sa.delete(quarantine).where(its))
    return moved


def _end_moves(connection: sa.Connection, moved: Iterable[tuple[DocumentKey, int]], feed: str) -> None:
    """Nothing stands for them any more; unless they were written anew."""
    for key, at_seq in moved:
        present = find_document(connection, key)
        if present is not None and not present.deleted and present.seq <= at_seq:
            accept_delete(connection, key, feed)


def _stands(present: sa.Row[*tuple[Any, ...]] | None, document: PreparedDocument, feed: str) -> bool:
    """Whether the catalog has the document as it is offered, or a user's word against it."""
    if present is None or present.content_hash != document.content_hash:
        return False
    deleted_by_hand = present.feed == UPLOAD_FEED != feed
    return not present.deleted or deleted_by_hand


def _write(
    connection: sa.Connection,
    written: Sequence[PreparedDocument],
    accepted: Mapping[DocumentKey, Accepted],
    present: Collection[DocumentKey],
    feed: str,
) -> None:
    """The documents as they are now, and their chunks."""
    now = datetime.now(UTC)
    added: list[dict[str, Any]] = []
    changed: list[tuple[DocumentKey, dict[str, Any]]] = []
    cut: list[dict[str, Any]] = []
    for document in written:
        raw, came = document.raw, accepted[document.raw.key]
        row = {
            "seq": came.seq,
            "version": came.doc_version,
            "deleted": False,
            "feed": feed,
            "uri": raw.uri,
            "title": document.title,
            "content_type": raw.content_type,
            "content_hash": document.content_hash,
            "metadata": dict(raw.metadata),
            "text": document.text,
            "outline": document.outline,
            "accepted_at": now,
            "moved_to": None,
        }
        if raw.key in present:
            changed.append((raw.key, row))
        else:
            added.append(row | raw.key._asdict() | {"first_accepted_at": now})
        for chunker, passages in document.passages.items():
            cut += chunk_rows(raw.key, came.doc_version, chunker, passages)
    insert_many(connection, documents, added)
    if changed:
        _update_documents(connection, changed)
    insert_many(connection, chunks, cut)


def _update_documents(connection: sa.Connection, rows: Sequence[tuple[DocumentKey, Mapping[str, Any]]]) -> None:
    """Set the same columns of all of them; what was cut from their earlier versions goes."""
    its = sa.and_(*(documents.c[name] == sa.bindparam(f"its_{name}") for name in DocumentKey._fields))
    named = [{**row, **{f"its_{name}": part for name, part in key._asdict().items()}} for key, row in rows]
    connection.execute(sa.update(documents).where(its), named)
    for those in rows_of(chunks, [key for key, _ in rows]):
        connection.execute(sa.delete(chunks).where(those))


def _append(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> list[Accepted]:
    """The changes, in their order; each gets a `seq` above that of the one before."""
    if not rows:
        return []
    appended = sa.insert(changes).returning(changes.c.seq, sort_by_parameter_order=True)
    seqs = connection.scalars(appended, list(rows)).all()
    return [Accepted(seq, row["doc_version"], changed=True) for seq, row in zip(seqs, rows, strict=True)]


def rows_of(table: sa.Table, keys: Sequence[DocumentKey]) -> Iterator[sa.ColumnElement[bool]]:
    """Conditions that together say: the row is of one of the documents. Each names whole keys, as indexes have them."""
    doc_ids: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for key in keys:
        doc_ids[key.corpus, key.tenant].append(key.doc_id)
    for (corpus, tenant), own in doc_ids.items():
        for start in range(0, len(own), _KEYS_PER_QUERY):
            some = table.c.doc_id.in_(own[start : start + _KEYS_PER_QUERY])
            yield sa.and_(table.c.corpus == corpus, table.c.tenant == tenant, some)


def _is(table: sa.Table, key: DocumentKey) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.corpus == key.corpus, table.c.tenant == key.tenant, table.c.doc_id == key.doc_id)
