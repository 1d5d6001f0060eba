"""In words: how what an index holds differs from what the log says it must hold."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from include.quarry.catalog.columns import key_of
from include.quarry.catalog.schema import changes, chunks, documents
from include.quarry.records import Chunk, DocumentKey

_BATCH = 500
_EXAMPLES = 3


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
    held = {chunk.key: chunk.doc_version for chunk in excess}
    standing = _standing(connection, corpus)
    deleted = sorted(key for key in held if key not in standing or standing[key].deleted)
    outdated = held.keys() - set(deleted)
    parts = [f"{len(missing)} chunks missing, {len(excess)} in excess"]
    differing = dict.fromkeys(lacking, 0) | held
    first = _first_not_applied(connection, differing)
    newer = {key for key, document in standing.items() if document.seq >= first and not document.deleted}
    if len(differing) > 1 and newer and newer <= differing.keys():  # nothing later was applied either
        behind = connection.scalar(_count_from(corpus, first))
        parts.append(f"nothing since change {first} was applied, {behind} changes behind the head of the log")
    if deleted:
        parts.append(f"{len(deleted)} deleted documents still held {_names(deleted)}")
    if outdated:
        parts.append(f"{len(outdated)} documents held as they were {_names(outdated)}")
    if absent := lacking - outdated:
        parts.append(f"{len(absent)} documents absent or in part {_names(absent)}")
    return "; ".join(parts)


def _first_not_applied(connection: sa.Connection, held: dict[DocumentKey, int]) -> int:
    """The oldest change of these documents that is newer than the version held, 0 standing for none."""
    columns = (*key_of(changes), changes.c.doc_version, changes.c.seq)
    first: list[int] = []
    names = sorted({key.doc_id for key in held})
    for start in range(0, len(names), _BATCH):
        of_them = changes.c.doc_id.in_(names[start : start + _BATCH])
        for *key, version, seq in connection.execute(sa.select(*columns).where(of_them)):
            if version > held.get(DocumentKey(*key), version):
                first.append(seq)
    return min(first, default=0)


def _count_from(corpus: str, seq: int) -> sa.Select[int]:
    return sa.select(sa.func.count()).where(changes.c.corpus == corpus, changes.c.seq >= seq)


def _standing(connection: sa.Connection, corpus: str) -> dict[DocumentKey, _Document]:
    d = documents.c
    query = sa.select(d.corpus, d.tenant, d.doc_id, d.seq, d.deleted).where(d.corpus == corpus)
    return {DocumentKey(*row[:3]): _Document(row.seq, row.deleted) for row in connection.execute(query)}


def _documents_of(connection: sa.Connection, chunk_ids: Sequence[str]) -> set[DocumentKey]:
    keys: set[DocumentKey] = set()
    for start in range(0, len(chunk_ids), _BATCH):
        query = sa.select(*key_of(chunks)).where(chunks.c.chunk_id.in_(chunk_ids[start : start + _BATCH]))
        keys |= {DocumentKey(*row) for row in connection.execute(query)}
    return keys


def _names(keys: Sequence[DocumentKey] | set[DocumentKey]) -> list[str]:
    return [key.doc_id for key in sorted(keys)[:_EXAMPLES]]
