"""A vector store on a server that several replicas share, each at its own place in the log.

Rows are never changed. Each carries the `seq` of the update it belongs to, the newest `seq` of a document counts, and
a deleted document leaves a tombstone row. Every replica applies the log itself: it writes the rows that nobody has
written yet, looks again, and deletes what the look shows to be older than the newest. So an update that comes late is
removed by whoever looks last: of two writers, the one that wrote later sees both. No lock is held on the server.

A search judges its candidates by this replica's fences: rows older than the replica's own last update of the document
do not count, even where a writer died before it could delete them.

Not every server answers as of one moment: milvus-lite looks at the rows, and a little later at what was deleted. A
search that spans a whole replacement would find neither the old rows nor the new. So rows that a replica shows are
deleted only when its own searches that may look for them are done.

What remains open between replicas: where the server takes a document's rows in several requests (more than one request
holds), another replica may for that moment find the document in part; and on a server that does not answer as of one
moment, it may for that moment miss it. One writer a version, by a lease in the catalog, would close the first.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Self, TypeVar

import numpy as np

from include.quarry.errors import IncompleteIndex
from include.quarry.records import DocumentUpdate, Float32, Scope, Scored, Vectors
from include.quarry.stores.collection import TOMBSTONE, Candidate, Collection, Document, Held, Row
from include.quarry.stores.fences import Fence, Fences, document_name
from include.quarry.stores.readers import Readers
from include.quarry.stores.snapshot import read_manifest, writing
from include.quarry.stores.updates import (
    best,
    check_chunks,
    check_k,
    check_space,
    check_vectors,
    fields,
    newest,
    score,
)

_KIND = "remote-store"
_ROWS = 2000  # written by one request; more only where one document has more
_MARGIN = 16  # candidates beyond k, so that ties and rows about to be deleted seldom need a second look
_TIES = 2048  # candidates looked at for ties at the border, in all
_TOGETHER = 16  # queries in one request, which bounds the vectors that come back

Open = Callable[[str, str, int], Collection]
"""Opens the collection of this name for vectors of this fingerprint and these dimensions."""

_Found = TypeVar("_Found", Held, Candidate)


class RemoteStore:
    """Ties are broken by chunk_id, also at the border of the `k` best among `_TIES` candidates. A search gives no
    more than `collection.most` chunks."""

    def __init__(self, collection: Collection, fingerprint: str, dimensions: int) -> None:
        self.fingerprint = fingerprint
        self.dimensions = dimensions
        self._collection = collection
        self._fences = Fences()
        self._readers = Readers()
        self._writer = Lock()

    def apply(self, updates: Sequence[DocumentUpdate]) -> None:
        check_chunks(updates)
        check_vectors(updates, self.fingerprint, self.dimensions)
        with self._writer:
            fresh = newest(updates, lambda key: self._fences.seq(document_name(key)))
            for some in _batches(fresh):
                self._replace({Document(update.key.tenant, document_name(update.key)): update for update in some})

    def search(self, queries: Vectors, k: int, scope: Scope) -> list[list[Scored]]:
        check_k(k)
        check_space(queries, self.fingerprint, self.dimensions)
        values = np.ascontiguousarray(queries.values, np.float32)
        found: list[list[Scored]] = []
        for start in range(0, len(values), _TOGETHER):
            with self._readers.reading():
                found += self._search(values[start : start + _TOGETHER], k, scope)
        return found

    def contents(self) -> Iterator[tuple[str, int]]:
        with self._readers.reading():
            fences, rows = self._fences, self._collection.held()
            held = {(row.document, row.chunk_id): row.doc_version for row in _visible(rows, fences) if row.chunk_id}
        yield from ((chunk_id, doc_version) for (_, chunk_id), doc_version in held.items())

    def save(self, folder: Path) -> None:
        """Flushes the server, and writes which collection it was and what this replica had applied to it."""
        with self._writer:
            self._collection.flush()
            facts = {
                "collection": self._collection.name,
                "fingerprint": self.fingerprint,
                "dimensions": self.dimensions,
            }
            with writing(folder, _KIND, facts) as partial:
                self._fences.write(partial / "fences.arrow")

    @classmethod
    def load(cls, folder: Path, open_collection: Open) -> Self:
        """The store that `save` wrote; other replicas may have applied more since.

        Raises `NotFound` without snapshot or collection, `ForeignVectors` when the collection holds another space, and
        `IncompleteIndex` when it lacks rows that it held.
        """
        facts = read_manifest(folder, _KIND)
        collection = open_collection(facts["collection"], facts["fingerprint"], facts["dimensions"])
        store = cls(collection, facts["fingerprint"], facts["dimensions"])
        store._fences = Fences.read(folder / "fences.arrow")
        store._check()
        return store

    def drop(self) -> None:
        """Delete the collection, for good."""
        self._collection.drop()

    def _replace(self, updates: dict[Document, DocumentUpdate]) -> None:
        held = _by_document(self._collection.held(list(updates)))
        missing = [row for document, update in updates.items() for row in _missing(document, update, held[document])]
        if missing:
            self._collection.insert(missing)
            held = _by_document(self._collection.held(list(updates)))
        moves = {document.name: _fence(update, held[document]) for document, update in updates.items()}
        self._fences = self._fences.moved(moves)
        stale = [row for rows in held.values() for row in rows if row.seq < moves[row.document.name].seq]
        if stale:
            self._readers.wait_for_earlier()
            self._collection.delete(stale)

    def _search(self, queries: Float32, k: int, scope: Scope) -> list[list[Scored]]:
        fences, most = self._fences, self._collection.most
        found: dict[int, list[Scored]] = {}
        pending, limit = list(range(len(queries))), min(k + _MARGIN, most)
        while pending:
            proposed = self._collection.nearest(queries[pending], limit, scope)
            last = limit >= min(most, max(_TIES, k + _MARGIN))
            for number, candidates in zip(pending, proposed, strict=True):
                hits = _ranked(candidates, queries[number], k, fences)
                if last or len(candidates) < limit or _settled(hits, candidates, queries[number], k):
                    found[number] = hits
            pending, limit = [number for number in pending if number not in found], min(4 * limit, most)
        return [found[number] for number in range(len(queries))]

    def _check(self) -> None:
        held: defaultdict[str, dict[int, set[int]]] = defaultdict(dict)
        for row in self._collection.held():
            held[row.document.name].setdefault(row.seq, set()).add(row.ordinal)
        lost = [name for name, fence in self._fences.items() if not _holds(held[name], fence)]
        if lost:
            raise IncompleteIndex(
                f"collection {self._collection.name!r} lacks rows of {len(lost)} documents that it held when the "
                f"snapshot was taken, {lost[0]} among them; restore the collection, or build a new index version"
            )


def _batches(updates: Iterable[DocumentUpdate]) -> Iterator[list[DocumentUpdate]]:
    some: list[DocumentUpdate] = []
    rows = 0
    for update in updates:
        if some and rows + len(update.chunks) > _ROWS:
            yield some
            some, rows = [], 0
        some.append(update)
        rows += max(1, len(update.chunks))
    if some:
        yield some


def _by_document(rows: Iterable[Held]) -> defaultdict[Document, list[Held]]:
    grouped: defaultdict[Document, list[Held]] = defaultdict(list)
    for row in rows:
        grouped[row.document].append(row)
    return grouped


def _missing(document: Document, update: DocumentUpdate, held: Sequence[Held]) -> Iterator[Row]:
    """The update's rows that the server lacks; none when it holds a newer update already."""
    if any(row.seq > update.seq for row in held):
        return
    present = {row.ordinal for row in held if row.seq == update.seq}
    yield from (row for row in _rows(document, update) if row.ordinal not in present)


def _rows(document: Document, update: DocumentUpdate) -> Iterator[Row]:
    if update.vectors is None or not update.chunks:
        yield Row(document, update.seq, TOMBSTONE, "", update.doc_version, {}, np.empty(0, np.float32))
        return
    for ordinal, (chunk, vector) in enumerate(zip(update.chunks, update.vectors.values, strict=True)):
        yield Row(document, update.seq, ordinal, chunk.chunk_id, chunk.doc_version, fields(chunk), vector)


def _fence(update: DocumentUpdate, held: Sequence[Held]) -> Fence:
    seq = max([update.seq, *(row.seq for row in held)])
    if seq == update.seq:
        return Fence(seq, len(update.chunks))
    return Fence(seq, len({row.ordinal for row in held if row.seq == seq} - {TOMBSTONE}))


def _holds(ordinals: dict[int, set[int]], fence: Fence) -> bool:
    """Whether a document's rows, as ordinals of each `seq`, are those of the fence or newer."""
    latest = max(ordinals, default=-1)
    expected = set(range(fence.chunks)) or {TOMBSTONE}
    return latest > fence.seq or (latest == fence.seq and ordinals[latest] >= expected)


def _visible(rows: Iterable[_Found], fences: Fences) -> list[_Found]:
    """Of each document the rows of the update that this replica applied last; where they are gone already, those of
    the newest. A writer deletes old rows only after the new ones are there, so either is whole."""
    grouped: defaultdict[Document, dict[int, list[_Found]]] = defaultdict(dict)
    for row in rows:
        grouped[row.document].setdefault(row.seq, []).append(row)
    chosen: list[_Found] = []
    for document, by_seq in grouped.items():
        own, latest = fences.seq(document.name), max(by_seq)
        chosen += by_seq[own] if own in by_seq else by_seq[latest] if latest > own else []
    return chosen


def _ranked(candidates: Sequence[Candidate], query: Float32, k: int, fences: Fences) -> list[Scored]:
    rows = {(row.document, row.chunk_id): row for row in _visible(candidates, fences)}  # written twice, shown once
    return best([row.chunk_id for row in rows.values()], _scores(list(rows.values()), query).tolist(), k)


def _settled(hits: Sequence[Scored], candidates: Sequence[Candidate], query: Float32, k: int) -> bool:
    """Whether no row beyond the candidates can be among the `k` best, not even by a tie or by rounding."""
    rounding = 2 * len(query) * 2.0**-24
    return len(hits) == k and hits[-1].score > float(_scores(candidates[-1:], query)[0]) + rounding


def _scores(rows: Sequence[Candidate], query: Float32) -> Float32:
    return score(np.array([row.vector for row in rows], np.float32).reshape(-1, len(query)), query)
