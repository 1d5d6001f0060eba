"""The vectors of an index version against those that the lake has for the same texts.

A store that has the rows that it was given is compared in whole, by a hash a vector. There nothing may differ, not even
by rounding: an index takes its float32 from the lake, and every rounding of the model (bf16, say) lies before that.

A store on a server is asked by search, about some of its chunks, others each time: the vector of a chunk must find this
chunk with a score of 1. A server may keep less than float32. Of bf16 each number is off by 2**-9 of itself at most,
hence the score too; twice that is allowed. A vector of another text is as a rule off by far more than that.
"""

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import chunks
from include.quarry.catalog.versions import IndexVersion
from include.quarry.errors import IncompleteIndex
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Chunk, Float32, Vectors
from include.quarry.retrieval.passages import PassageTable
from include.quarry.routing.audit import hold_against, load_passages, load_stores, sample_chunks
from include.quarry.stores.protocol import ExactRows, VectorStore
from include.quarry.stores.servers import StoreServers

TOLERANCE = 2.0**-8
_SAMPLE = 500
_LOOKS = 2
_BATCH = 500
_ENOUGH = 1000
_EXAMPLES = 3


class Proof(NamedTuple):
    """How many vectors were compared, and whether those are all of the version's, bit by bit."""

    compared: int
    exact: bool


def compare_vectors(version: IndexVersion, database: Database, lake: VectorLake, servers: StoreServers) -> Proof:
    """Compare what a version's snapshot holds with the lake. Chunks that the log has replaced since are left out, and
    texts for which the lake has nothing. Raises `IncompleteIndex` naming what differs."""
    tables = load_passages(Path(version.snapshot))
    stores = load_stores(Path(version.snapshot), version.spec.store.adapter, servers)
    space = version.spec.embedding.fingerprint
    exact = [store for store in stores if isinstance(store, ExactRows)]
    if len(exact) == len(stores):
        compared, wrong = _by_bits(exact, tables, database, lake, space)
    else:
        compared, wrong = _by_search(stores, tables, database, lake, space)
    if wrong:
        names = sorted({"/".join(chunk.key) for chunk in wrong})
        raise IncompleteIndex(
            f"{len(wrong)} of {compared} vectors are not those that the lake has for their passages, of documents "
            f"{names[:_EXAMPLES]}; build a new version"
        )
    return Proof(compared, bool(exact))


def _by_bits(
    stores: Sequence[ExactRows], tables: Sequence[PassageTable], database: Database, lake: VectorLake, space: str
) -> tuple[int, list[Chunk]]:
    """Each side is read once. What seems to differ may have been moved in the lake meanwhile: that is looked up."""
    expected = {
        text_hash: _hash(vector)
        for hashes, values in lake.everything(space)
        for text_hash, vector in zip(hashes, values, strict=True)
    }
    compared, wrong = 0, list[Chunk]()
    for store, passages in zip(stores, tables, strict=True):
        for chunk_ids, values in store.rows():
            held = dict(zip(chunk_ids, values, strict=True))
            found = passages.get(chunk_ids)
            compared += len(found)
            doubtful = [chunk for chunk in found if expected.get(chunk.text_hash) != _hash(held[chunk.chunk_id])]
            for chunk, vector in _with_vectors(_present(database, doubtful), lake, space):
                if _hash(vector) != _hash(held[chunk.chunk_id]):
                    wrong.append(chunk)
            if len(wrong) >= _ENOUGH:  # to look up a whole index takes hours, and says no more
                return compared, wrong
    return compared, wrong


def _by_search(
    stores: Sequence[VectorStore], tables: Sequence[PassageTable], database: Database, lake: VectorLake, space: str
) -> tuple[int, list[Chunk]]:
    """Of a store that follows the log meanwhile, what seems to differ is asked again."""
    sample = list(_with_vectors(sample_chunks(tables, _SAMPLE, uuid4().hex), lake, space))
    doubtful = sample
    for _ in range(_LOOKS):
        if not doubtful:
            break
        asked, vectors = zip(*doubtful, strict=True)
        cosines = hold_against(stores, asked, Vectors(space, np.stack(vectors).astype(np.float32))).cosines
        off = {chunk.chunk_id for chunk in asked if abs(cosines[chunk.chunk_id] - 1) > TOLERANCE}
        there = {chunk.chunk_id for chunk in _present(database, [chunk for chunk in asked if chunk.chunk_id in off])}
        doubtful = [(chunk, vector) for chunk, vector in doubtful if chunk.chunk_id in there]
    return len(sample), [chunk for chunk, _ in doubtful]


def _with_vectors(some: Sequence[Chunk], lake: VectorLake, space: str) -> Iterator[tuple[Chunk, Float32]]:
    """The chunks for whose texts the lake has a vector."""
    vectors = lake.look_up(space, [chunk.text_hash for chunk in some])
    yield from ((chunk, vectors[chunk.text_hash]) for chunk in some if chunk.text_hash in vectors)


def _present(database: Database, some: Sequence[Chunk]) -> list[Chunk]:
    """Those that the catalog has in this version of their documents. A text that was gone in between may have been
    embedded anew since, and not to the last bit as before."""
    c, versions = chunks.c, dict[str, int]()
    with database.read() as connection:
        for start in range(0, len(some), _BATCH):
            named = [chunk.chunk_id for chunk in some[start : start + _BATCH]]
            rows = connection.execute(sa.select(c.chunk_id, c.doc_version).where(c.chunk_id.in_(named)))
            versions |= {row.chunk_id: row.doc_version for row in rows}
    return [chunk for chunk in some if versions.get(chunk.chunk_id) == chunk.doc_version]


def _hash(vector: Float32) -> bytes:
    return blake2b(np.ascontiguousarray(vector, "<f4").tobytes(), digest_size=16).digest()
