"""The vector store port. A store is a projection of the log: it can be dropped and rebuilt at any time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from include.quarry.records import DocumentUpdate, Float32, Scope, Scored, Vectors


class VectorStore(Protocol):
    """Nearest-neighbour search by inner product over the present chunks of documents.

    One writer, many readers at once; `search` may run while `apply` does and sees each document whole, old or new.
    Vectors with a foreign fingerprint raise `ForeignVectors`, in `apply` and in `search`.
    """

    def apply(self, updates: Sequence[DocumentUpdate]) -> None:
        """Replace each document by its update. An update whose `seq` is not above the document's last one is ignored,
        so applying a stretch of the log twice, or in batches of any size, ends in the same state."""
        ...

    def search(self, queries: Vectors, k: int, scope: Scope) -> list[list[Scored]]:
        """For each of `q` queries the `k` best chunks inside the scope, by falling score, then by chunk_id."""
        ...

    def contents(self) -> Iterator[tuple[str, int]]:
        """Every (chunk_id, doc_version) held, in any order."""
        ...

    def save(self, folder: Path) -> None:
        """Write a snapshot from which `load` of the same adapter restores this very state."""
        ...


@runtime_checkable
class ExactRows(Protocol):
    """A store that has at hand the very vectors that it was given, so that they can be compared bit by bit. A store on
    a server has not: it may keep them in another form, and to read them all takes long."""

    def rows(self) -> Iterator[tuple[list[str], Float32]]:
        """The chunk_ids and vectors `[n, d]` of all present chunks, a block at a time, in any order."""
        ...
