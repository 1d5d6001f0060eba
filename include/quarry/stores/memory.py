"""The simplest correct vector store: everything in dictionaries, every search over everything. The others' measure."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Self

import numpy as np

from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Float32, Passage, Scope, Scored, Vectors
from include.quarry.stores.snapshot import read_manifest, writing
from include.quarry.stores.updates import (
    best,
    check_chunks,
    check_k,
    check_space,
    check_vectors,
    in_scope,
    newest,
    score,
)

_KIND = "memory-store"


class MemoryStore:
    """Exact search in memory, the reference for tests. `apply` swaps in a new dictionary; searches keep the old."""

    def __init__(self, fingerprint: str, dimensions: int) -> None:
        self.fingerprint = fingerprint
        self.dimensions = dimensions
        self._updates: dict[DocumentKey, DocumentUpdate] = {}
        self._writer = Lock()

    def apply(self, updates: Sequence[DocumentUpdate]) -> None:
        check_chunks(updates)
        check_vectors(updates, self.fingerprint, self.dimensions)
        with self._writer:
            fresh = newest(updates, self._last_seq)
            self._updates = self._updates | {update.key: update for update in fresh}

    def search(self, queries: Vectors, k: int, scope: Scope) -> list[list[Scored]]:
        check_k(k)
        check_space(queries, self.fingerprint, self.dimensions)
        seen = [(chunk, vector) for chunk, vector in self._rows() if in_scope(chunk, scope)]
        ids = [chunk.chunk_id for chunk, _ in seen]
        vectors = np.array([vector for _, vector in seen], np.float32).reshape(len(seen), self.dimensions)
        return [best(ids, score(vectors, query).tolist(), k) for query in queries.values]

    def contents(self) -> Iterator[tuple[str, int]]:
        for chunk, _ in self._rows():
            yield chunk.chunk_id, chunk.doc_version

    def rows(self) -> Iterator[tuple[list[str], Float32]]:
        """See `ExactRows`."""
        for update in self._updates.values():
            if update.vectors:
                yield [chunk.chunk_id for chunk in update.chunks], update.vectors.values

    def save(self, folder: Path) -> None:
        held = self._updates.values()
        vectors = [vector for update in held if update.vectors for vector in update.vectors.values]
        with writing(folder, _KIND, {"fingerprint": self.fingerprint, "dimensions": self.dimensions}) as partial:
            np.save(partial / "vectors.npy", np.array(vectors, np.float32).reshape(len(vectors), self.dimensions))
            (partial / "documents.json").write_text(json.dumps([_to_json(update) for update in held]))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Restores what `save` wrote. Raises `NotFound` or `IncompleteIndex`."""
        facts = read_manifest(folder, _KIND)
        store = cls(facts["fingerprint"], facts["dimensions"])
        vectors, start = np.load(folder / "vectors.npy"), 0
        for document in json.loads((folder / "documents.json").read_text()):
            stop = start + len(document["chunks"])
            update = _from_json(document, Vectors(store.fingerprint, vectors[start:stop]))
            store._updates[update.key] = update
            start = stop
        return store

    def _last_seq(self, key: DocumentKey) -> int:
        return self._updates[key].seq if key in self._updates else -1

    def _rows(self) -> Iterator[tuple[Chunk, Float32]]:
        for update in self._updates.values():
            if update.vectors:
                yield from zip(update.chunks, update.vectors.values, strict=True)


def _to_json(update: DocumentUpdate) -> dict[str, Any]:
    chunks = [(c.chunk_id, c.doc_version, c.uri, dict(c.metadata)) for c in update.chunks]
    return {"seq": update.seq, "key": update.key, "doc_version": update.doc_version, "chunks": chunks}


def _from_json(document: dict[str, Any], vectors: Vectors) -> DocumentUpdate:
    """The update without its texts, which no search needs."""
    key = DocumentKey(*document["key"])
    nothing = Passage("", "", 0, 0, 0)
    chunks = tuple(
        Chunk(chunk_id, key, version, ordinal, uri, "", nothing, metadata)
        for ordinal, (chunk_id, version, uri, metadata) in enumerate(document["chunks"])
    )
    return DocumentUpdate(document["seq"], key, document["doc_version"], chunks, vectors)
