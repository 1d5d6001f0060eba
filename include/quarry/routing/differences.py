"""In words: how what an index holds differs from what the log says it must hold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from include.quarry.catalog.schema import changes, chunks, documents
from include.quarry.records import Chunk, DocumentKey

_BATCH = 500
_EXAMPLES = 3
_KEY = ("corpus", "tenant", "doc_id")


@dataclass(frozen=True, slots=True)
class _Document:
    """Where a document stands in the log."""

    seq: int
    deleted: bool


def describe(connection: sa.Connection, corpus: str, missing: Sequence[str], excess: Sequence[Chunk]) -> str:
    """What is wrong with an index that lacks the chunks `missing` and still holds the chunks `excess`.

    Deletes that were ignored, and an index that stopped following the log, are called by their name.
    """
    lacking = _documents_of(connection, missing)
    held = {chunk.key for chunk in excess}
    standing = _standing(connection, corpus)
    deleted = sorted(key for key in held if key not in standing or standing[key].deleted)
    outdated = held - set(deleted)
    parts = [f"{len(missing)} chunks missing, {len(excess)} in excess"]
    parts += _stale(connection, corpus, standing, lacking | held)
    if deleted:
        parts.append(f"{len(deleted)} deleted documents still held {_names(deleted)}")
    if outdated:
        parts.append(f"{len(outdated)} documents held as they were {_names(outdated)}")
    if absent := lacking - outdated:
        parts.append(f"{len(absent)} documents absent or in part {_names(absent)}")
    return "; ".join(parts)


def _stale(
    connection: sa.Connection, corpus: str, standing: dict[DocumentKey, _Document], differing: set[DocumentKey]
) -> Iterator[str]:
    """Says so when nothing at all was applied from some change on, rather than this and that."""
    first = min((standing[key].seq for key in differing if key in standing), default=0)
    present_since = {key for key, document in standing.items() if document.seq >= first and not document.deleted}
    if first and len(differing) > 1 and present_since and present_since <= differing:
        c = changes.c
        behind = connection.scalar(sa.select(sa.func.count()).where(c.corpus == corpus, c.seq >= first))
        yield f"nothing since change {first} was applied, {behind} changes behind the head of the log"


def _standing(connection: sa.Connection, corpus: str) -> dict[DocumentKey, _Document]:
    d = documents.c
    query = sa.select(d.corpus, d.tenant, d.doc_id, d.seq, d.deleted).where(d.corpus == corpus)
    return {DocumentKey(*row[:3]): _Document(row.seq, row.deleted) for row in connection.execute(query)}


def _documents_of(connection: sa.Connection, chunk_ids: Sequence[str]) -> set[DocumentKey]:
    columns = [chunks.c[name] for name in _KEY]
    keys: set[DocumentKey] = set()
    for start in range(0, len(chunk_ids), _BATCH):
        query = sa.select(*columns).where(chunks.c.chunk_id.in_(chunk_ids[start : start + _BATCH]))
        keys |= {DocumentKey(*row) for row in connection.execute(query)}
    return keys


def _names(keys: Sequence[DocumentKey] | set[DocumentKey]) -> list[str]:
    return [key.doc_id for key in sorted(keys)[:_EXAMPLES]]
