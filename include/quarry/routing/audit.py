"""Audits of a snapshot: what the completeness proof cannot see, since it compares names and not what they stand for.

The passages must say what the log says, and the vectors must be those that the spec's model gives to these passages.
A store keeps its vectors to itself; but the score of a chunk against its own text, encoded again, is the cosine of the
stored vector to the new one.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import sqlalchemy as sa

from include.quarry.catalog.schema import chunks
from include.quarry.embedding.protocol import Embedder
from include.quarry.errors import IncompleteIndex
from include.quarry.records import Chunk, DocumentKey, Scope, Vectors
from include.quarry.retrieval.passages import PassageTable
from include.quarry.retrieval.sharded import parts_of
from include.quarry.stores.adapters import ADAPTERS
from include.quarry.stores.protocol import VectorStore
from include.quarry.stores.servers import StoreServers

_BATCH = 500
_DEPTH = 100
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class VectorAudit:
    """Cosines of stored vectors to those computed again, by chunk_id; -1 where the chunk was not found at all.

    A search shows `_DEPTH` passages of a document. Where as many are nearer than the chunk or tie with it, as those of
    a log that says one line over and over, its cosine is given as that of the last one shown: it is no higher.
    """

    cosines: dict[str, float]

    @property
    def lowest(self) -> float:
        return min(self.cosines.values(), default=1.0)


def load_passages(snapshot: Path) -> list[PassageTable]:
    """The passages of a version's snapshot, a table a shard."""
    return [PassageTable.load(part / "passages") for part in parts_of(snapshot)]


def load_stores(snapshot: Path, adapter: str, servers: StoreServers) -> list[VectorStore]:
    """The vectors of a version's snapshot, wherever the adapter keeps them, a store a shard. Raises `Misconfigured` or
    `Unavailable`."""
    return [ADAPTERS[adapter].load(part / "store", servers) for part in parts_of(snapshot)]


def audit_passages(connection: sa.Connection, tables: Sequence[PassageTable]) -> int:
    """Compare every passage with the log: its text, and whose it is. Chunks that the log has dropped since are left
    out. Gives how many were compared; raises `IncompleteIndex` naming those that differ."""
    compared, differing = 0, []
    for passages, some in _batches(tables):
        expected = _expected(connection, some)
        held = [chunk for chunk in passages.get(some) if chunk.chunk_id in expected]
        differing += [chunk.chunk_id for chunk in held if (chunk.key, chunk.text_hash) != expected[chunk.chunk_id]]
        compared += len(held)
    if differing:
        raise IncompleteIndex(
            f"{len(differing)} of {compared} passages say something else than the log {differing[:_EXAMPLES]}; "
            "build a new version"
        )
    return compared


def sample_chunks(tables: Sequence[PassageTable], count: int, seed: str) -> list[Chunk]:
    """`count` of the chunks, or all; the same for the same seed."""
    chunk_ids = sorted({chunk_id for passages in tables for chunk_id, _ in passages.contents()})
    chosen = Random(seed).sample(chunk_ids, min(count, len(chunk_ids)))  # noqa: S311 - not a secret
    return [chunk for passages in tables for chunk in passages.get(chosen)]


def audit_vectors(stores: Sequence[VectorStore], sample: Sequence[Chunk], embedder: Embedder) -> VectorAudit:
    """Encode the chunks again and hold the stored vectors against that. `embedder` must be of the index's spec, or the
    store raises `ForeignVectors`."""
    return hold_against(stores, sample, embedder.encode([chunk.passage.embedding_text for chunk in sample]))


def hold_against(stores: Sequence[VectorStore], sample: Sequence[Chunk], vectors: Vectors) -> VectorAudit:
    """Hold the stored vectors of the chunks against those that they ought to have, `[n, d]` in the chunks' order."""
    return VectorAudit({chunk.chunk_id: cosine for chunk, cosine in _cosines(stores, sample, vectors)})


def present(connection: sa.Connection, chunk_ids: Sequence[str]) -> set[str]:
    """Those of the chunks that the log still has."""
    return set(_expected(connection, chunk_ids))


def _cosines(stores: Sequence[VectorStore], sample: Iterable[Chunk], encoded: Vectors) -> Iterator[tuple[Chunk, float]]:
    for row, chunk in enumerate(sample):
        vector = Vectors(encoded.fingerprint, encoded.values[row : row + 1])
        scope = Scope(chunk.key.tenant, {"doc_id": chunk.key.doc_id})
        found = {chunk_id: cosine for store in stores for chunk_id, cosine in store.search(vector, _DEPTH, scope)[0]}
        yield chunk, found.get(chunk.chunk_id, -1.0 if len(found) < _DEPTH else min(found.values()))


def _batches(tables: Iterable[PassageTable]) -> Iterator[tuple[PassageTable, list[str]]]:
    for passages in tables:
        chunk_ids = [chunk_id for chunk_id, _ in passages.contents()]
        for start in range(0, len(chunk_ids), _BATCH):
            yield passages, chunk_ids[start : start + _BATCH]


def _expected(connection: sa.Connection, chunk_ids: Sequence[str]) -> dict[str, tuple[DocumentKey, str]]:
    c = chunks.c
    query = sa.select(c.chunk_id, c.corpus, c.tenant, c.doc_id, c.text_hash).where(c.chunk_id.in_(chunk_ids))
    return {row.chunk_id: (DocumentKey(*row[1:4]), row.text_hash) for row in connection.execute(query)}
