"""What indexing did and was spared, by corpus, for all replicas together; one that dies loses its last seconds."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from include.quarry.catalog.database import insert_missing
from include.quarry.catalog.schema import indexing_work, vectors
from include.quarry.catalog.versions import list_versions
from include.quarry.records import Passage, hash_text

_HASHES_PER_QUERY = 800
Spaces = frozenset[tuple[str, str]]
"""Fingerprints of the chunkers and the vector spaces of a corpus's versions, as they belong together."""


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


def spaces_of(connection: sa.Connection, corpus: str) -> Spaces:
    """The spaces in which the corpus's passages need vectors."""
    versions = [version for version in list_versions(connection, corpus) if version.in_use]
    return frozenset((version.spec.chunker.fingerprint, version.spec.embedding.fingerprint) for version in versions)


def embedded_already(connection: sa.Connection, spaces: Spaces, passages: Mapping[str, Sequence[Passage]]) -> int:
    """How many of the passages (by chunker) have their vectors, counted in each space."""
    found = 0
    for chunker, space in spaces:
        hashes = [hash_text(passage.embedding_text) for passage in passages.get(chunker, ())]
        for start in range(0, len(hashes), _HASHES_PER_QUERY):
            v, some = vectors.c, hashes[start : start + _HASHES_PER_QUERY]
            there = sa.select(v.text_hash).where(v.fingerprint == space, v.text_hash.in_(some))
            present = set(connection.scalars(there))
            found += sum(text_hash in present for text_hash in some)
    return found
