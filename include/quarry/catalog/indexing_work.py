"""What indexing did and was spared, by corpus, for all replicas together; one that dies loses its last seconds."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from include.quarry.catalog.database import insert_missing
from include.quarry.catalog.schema import indexing_work, vectors
from include.quarry.catalog.versions import list_versions
from include.quarry.records import Passage, hash_text

_HASHES_PER_QUERY = 800


def add_work(connection: sa.Connection, corpus: str, counts: Mapping[str, int]) -> None:
    """Add to what was counted for a corpus."""
    w = indexing_work.c
    insert_missing(connection, indexing_work, [{"corpus": corpus, "embedded": 0, "reused": 0, "skipped": 0}])
    more = {kind: w[kind] + count for kind, count in counts.items()}
    connection.execute(sa.update(indexing_work).where(w.corpus == corpus).values(**more))


def read_work(connection: sa.Connection, corpus: str) -> dict[str, int]:
    """How many texts were embedded, vectors reused and documents skipped."""
    w = indexing_work.c
    row = connection.execute(sa.select(w.embedded, w.reused, w.skipped).where(w.corpus == corpus)).one_or_none()
    return dict.fromkeys(("embedded", "reused", "skipped"), 0) if row is None else dict(row._mapping)


def embedded_already(
    connection: sa.Connection, corpus: str, documents: Sequence[Mapping[str, Sequence[Passage]]]
) -> list[int]:
    """How many passages (by chunker) of each document have their vectors, counted in each space of the corpus."""
    versions = [version for version in list_versions(connection, corpus) if version.in_use]
    found = [0] * len(documents)
    for chunker, space in {(each.spec.chunker.fingerprint, each.spec.embedding.fingerprint) for each in versions}:
        hashes = [[hash_text(passage.embedding_text) for passage in cut.get(chunker, ())] for cut in documents]
        present = _present(connection, space, sorted({text_hash for each in hashes for text_hash in each}))
        for place, each in enumerate(hashes):
            found[place] += sum(text_hash in present for text_hash in each)
    return found


def _present(connection: sa.Connection, space: str, hashes: Sequence[str]) -> set[str]:
    v, present = vectors.c, set[str]()
    for start in range(0, len(hashes), _HASHES_PER_QUERY):
        some = hashes[start : start + _HASHES_PER_QUERY]
        present |= set(connection.scalars(sa.select(v.text_hash).where(v.fingerprint == space, v.text_hash.in_(some))))
    return present
