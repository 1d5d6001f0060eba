"""The port to a vector server: rows that are written once, found, and deleted; `RemoteStore` makes a store of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from include.quarry.records import Float32, Scope

TOMBSTONE = -1
"""The ordinal of the row that stands for a deleted document."""


class Document(NamedTuple):
    """A document as the server knows it; see `fences.document_name`."""

    tenant: str
    name: str


@dataclass(frozen=True, slots=True)
class Row:
    """One chunk of one update of a document, or its tombstone. `vector` is float32 `[d]` of length one."""

    document: Document
    seq: int
    ordinal: int
    chunk_id: str
    doc_version: int
    fields: Mapping[str, str]
    vector: Float32


class Held(NamedTuple):
    """A row on the server, without its vector and fields."""

    row_id: str
    document: Document
    seq: int
    ordinal: int
    chunk_id: str
    doc_version: int


class Candidate(NamedTuple):
    """A row that the server proposes to a query."""

    document: Document
    seq: int
    chunk_id: str
    vector: Float32


class Collection(Protocol):
    """The rows of one index version on a server. Every verb raises `Unavailable` when the server does not answer
    within the adapter's timeout, and `NotFound` when the collection is gone.

    A client reads its own writes, and what was written before them.
    """

    name: str
    most: int
    """How many candidates the server returns at most."""

    def insert(self, rows: Sequence[Row]) -> None:
        """Write rows; those of one document together where the server can. A row may be written twice."""
        ...

    def delete(self, rows: Sequence[Held]) -> None:
        """Delete rows; those that are gone already are no error."""
        ...

    def held(self, documents: Sequence[Document] | None = None) -> Iterator[Held]:
        """The rows of these documents, or all rows, tombstones included."""
        ...

    def nearest(self, queries: Float32, limit: int, scope: Scope) -> list[list[Candidate]]:
        """For each query `[q, d]` at most `limit` rows inside the scope, nearest first, without tombstones."""
        ...

    def flush(self) -> None:
        """Make what is written durable."""
        ...

    def drop(self) -> None:
        """Delete the collection; one that is gone already is no error."""
        ...
