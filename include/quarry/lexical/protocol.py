"""The lexical index port: word search over the same chunks, with the same discipline as a vector store."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from include.quarry.records import DocumentUpdate, Scope, Scored, WordCounts


class LexicalIndex(Protocol):
    """BM25 search. `apply`, `contents` and `save` promise what `VectorStore` promises; vectors are ignored."""

    def apply(self, updates: Sequence[DocumentUpdate]) -> None:
        """Replace each document by its update; stale updates are ignored."""
        ...

    def search(self, query: str, k: int, scope: Scope, counts: WordCounts | None = None) -> list[Scored]:
        """The `k` best chunks by falling score, then by chunk_id. `query` is free text without syntax. With `counts`,
        words are as rare as these say: those of all shards, where this index is one of several."""
        ...

    def counts(self, query: str) -> WordCounts:
        """The chunks held, all scopes together, and in how many each word of the query is."""
        ...

    def contents(self) -> Iterator[tuple[str, int]]:
        """Every (chunk_id, doc_version) held, in any order."""
        ...

    def save(self, folder: Path) -> None:
        """Write a snapshot from which `load` of the same adapter restores this very state."""
        ...
