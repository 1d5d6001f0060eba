"""The default vector store: FAISS in the process that answers, as a snapshot plus the tail of the log.

The snapshot part is immutable: vectors mapped from disk, and a graph over them where they are many. Updates since
then go to an exact tail; rows they replace are dead and masked. Building is done by `save`, never by a query.

Concurrency: the writer appends rows that no reader looks at yet, then swaps in a new immutable state; a search reads
the state once, takes no lock, and so sees each document whole, old or new. One query runs on one thread: FAISS
parallelises over queries only, and they are searched one by one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, Self

import faiss as _faiss
import numpy as np

from include.quarry.errors import IncompleteIndex
from include.quarry.records import DocumentUpdate, Float32, Scope, Scored, Vectors
from include.quarry.specs import StoreSpec
from include.quarry.stores import graph
from include.quarry.stores.columns import Columns, Growing, Mask, Rows
from include.quarry.stores.ledger import Ledger, closed_up, read_placements, write_placements
from include.quarry.stores.snapshot import read_manifest, writing
from include.quarry.stores.updates import best, check_chunks, check_k, check_space, check_vectors, score

faiss: Any = _faiss  # its type stubs lack most of what SWIG exports

_KIND = "faiss-store"
_BLOCK = 65_536
_CACHED_SCOPES = 32
_SPARSE = 4


@dataclass(frozen=True, slots=True)
class _Selection:
    """The live rows of one scope. `rows` lists them where they are few; `mask` is None where they are all rows."""

    count: int
    mask: Mask | None
    rows: Rows | None


@dataclass(frozen=True, slots=True)
class _State:
    """What a search sees: rows `[0, first)` are the snapshot, `[first, count)` the tail."""

    columns: Columns
    snapshot: Float32
    tail: Float32
    index: Any | None
    alive: Mask
    scopes: dict[tuple[str, frozenset[tuple[str, str]]], _Selection] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.alive)

    @property
    def first(self) -> int:
        return len(self.snapshot)

    def select(self, scope: Scope) -> _Selection:
        """The rows of a scope, remembered until the state changes."""
        key = scope.tenant, frozenset(scope.filters.items())
        selection = self.scopes.get(key)
        if selection is None:
            mask = self.alive & self.columns.mask(scope, self.count)
            count = int(np.count_nonzero(mask))
            rows = np.flatnonzero(mask) if count * _SPARSE < self.count else None
            selection = _Selection(count, None if count == self.count else mask, rows)
            if len(self.scopes) >= _CACHED_SCOPES:
                self.scopes.clear()
            self.scopes[key] = selection
        return selection

    def scan(self, query: Float32, k: int, selection: _Selection, start: int = 0) -> Rows:
        """Of the selected rows from `start` on, those that may be among the `k` best: a superset, ties included."""
        rows = selection.rows
        if rows is not None:
            rows = rows[np.searchsorted(rows, start) :]
            scores = self._score_rows(query, rows)
        else:
            scores = np.empty(self.count - start, np.float32)
            split = max(0, self.first - start)
            _inner_products(query, self.snapshot[start:], scores[:split])
            _inner_products(query, self.tail[max(0, start - self.first) :], scores[split:])
            if selection.mask is not None:
                scores[~selection.mask[start:]] = -np.inf
        near = _near_best(scores, k, rounding=2 * len(query) * 2.0**-24)
        return near + start if rows is None else rows[near]

    def vectors(self, rows: Rows) -> Float32:
        """Full vectors `[len(rows), d]`."""
        if not self.first or not len(self.tail):
            return self.snapshot[rows] if self.first else self.tail[rows]
        late = rows >= self.first
        gathered = np.empty((len(rows), self.snapshot.shape[1]), np.float32)
        gathered[~late] = self.snapshot[rows[~late]]
        gathered[late] = self.tail[rows[late] - self.first]
        return gathered

    def _score_rows(self, query: Float32, rows: Rows) -> Float32:
        scores = np.empty(len(rows), np.float32)
        split = int(np.searchsorted(rows, self.first))
        _inner_products_at(query, self.snapshot, rows[:split], scores[:split])
        _inner_products_at(query, self.tail, rows[split:] - self.first, scores[split:])
        return scores


class FaissStore:
    """Exact while small, a graph or inverted lists when large; see `graph.Limits`.

    Ties are broken by chunk_id, at the border of the `k` best too: all rows within rounding of the k-th are scored
    again by one exact sum. For graphs and lists that holds among the candidates they propose.
    """

    def __init__(self, spec: StoreSpec, fingerprint: str, dimensions: int, limits: graph.Limits | None = None) -> None:
        self.spec = spec
        self.fingerprint = fingerprint
        self.dimensions = dimensions
        self._limits = limits or graph.Limits()
        self._ledger = Ledger()
        self._tail = Growing(np.empty((0, dimensions), np.float32))
        nothing = np.empty((0, dimensions), np.float32)
        self._state = _State(Columns.empty(), nothing, nothing, None, np.empty(0, bool))
        self._writer = Lock()

    def apply(self, updates: Sequence[DocumentUpdate]) -> None:
        check_chunks(updates)
        check_vectors(updates, self.fingerprint, self.dimensions)
        with self._writer:
            fresh = self._ledger.newest(updates)
            if fresh:
                self._append(fresh)

    def search(self, queries: Vectors, k: int, scope: Scope) -> list[list[Scored]]:
        check_k(k)
        check_space(queries, self.fingerprint, self.dimensions)
        state = self._state
        return [self._search(state, query, k, scope) for query in np.ascontiguousarray(queries.values, np.float32)]

    def contents(self) -> Iterator[tuple[str, int]]:
        state = self._state
        rows = np.flatnonzero(state.alive)
        yield from zip(state.columns.ids(rows), state.columns.versions(rows), strict=True)

    def save(self, folder: Path) -> None:
        """Compacts the live rows, sorted by document, and builds the graph or lists. Applies go on meanwhile."""
        with self._writer:
            state, placements = self._state, sorted(self._ledger.snapshot().items())
        ranges = [np.arange(placement.start, placement.stop) for _, placement in placements]
        rows = np.concatenate([np.empty(0, np.int64), *ranges])
        facts = {
            "fingerprint": self.fingerprint,
            "dimensions": self.dimensions,
            "kind": self.spec.kind,
            "rows": len(rows),
        }
        with writing(folder, _KIND, facts) as partial:
            write_placements(partial / "documents.arrow", closed_up(placements))
            state.columns.write(partial / "rows.arrow", rows, state.count)
            vectors = _write_vectors(partial / "vectors.npy", state, rows)
            index = graph.build(self.spec.kind, vectors, self._limits)
            if index is not None:
                graph.write(index, partial / "graph.faiss")

    @classmethod
    def load(cls, folder: Path, limits: graph.Limits | None = None) -> Self:
        """The store that `save` wrote. Raises `NotFound` or `IncompleteIndex`."""
        facts = read_manifest(folder, _KIND)
        store = cls(StoreSpec(kind=facts["kind"]), facts["fingerprint"], facts["dimensions"], limits)
        columns = Columns.read(folder / "rows.arrow")
        vectors = np.asarray(np.load(folder / "vectors.npy", mmap_mode="r" if facts["rows"] else None))
        path = folder / "graph.faiss"
        index = graph.read(path) if path.exists() else None
        held = {len(columns), len(vectors), facts["rows"], *([index.ntotal] if index is not None else [])}
        if len(held) > 1:
            raise IncompleteIndex(f"snapshot {folder}: its parts hold {sorted(held)} rows; rebuild the index version")
        store._ledger = Ledger(read_placements(folder / "documents.arrow"))
        store._state = replace(
            store._state, columns=columns, snapshot=vectors, index=index, alive=np.ones(len(vectors), bool)
        )
        return store

    def _append(self, fresh: list[DocumentUpdate]) -> None:
        state, start = self._state, self._state.count
        self._tail.append(np.concatenate([state.tail[:0], *(u.vectors.values for u in fresh if u.vectors)]))
        state.columns.append([chunk for update in fresh for chunk in update.chunks])
        alive = np.concatenate([state.alive, np.ones(len(state.columns) - start, bool)])
        for update in fresh:
            before = self._ledger.place(update, start)
            start += len(update.chunks)
            if before:
                alive[before.start : before.stop] = False
        self._state = replace(state, tail=self._tail.view(len(alive) - state.first), alive=alive, scopes={})

    def _search(self, state: _State, query: Float32, k: int, scope: Scope) -> list[Scored]:
        selection = state.select(scope)
        if not selection.count:
            return []
        rows = self._candidates(state, query, k, selection)
        return best(state.columns.ids(rows), score(state.vectors(rows), query), k)

    def _candidates(self, state: _State, query: Float32, k: int, selection: _Selection) -> Rows:
        if state.index is None or selection.count <= self._limits.exact_rows:
            return state.scan(query, k, selection)
        mask = None if selection.mask is None else selection.mask[: state.first]
        selected = state.first if mask is None else int(np.count_nonzero(mask))
        proposed = graph.candidates(state.index, query, k, mask, selected)
        if len(proposed) < min(k, selected):
            return state.scan(query, k, selection)
        return np.concatenate([proposed, state.scan(query, k, selection, start=state.first)])


def _inner_products(query: Float32, vectors: Float32, scores: Float32) -> None:
    """Fills `scores` `[n]` by FAISS's kernel, which releases the interpreter and starts no threads."""
    if len(scores):
        pointers = [faiss.swig_ptr(array) for array in (scores, query, vectors)]
        faiss.fvec_inner_products_ny(*pointers, len(query), len(scores))


def _inner_products_at(query: Float32, vectors: Float32, rows: Rows, scores: Float32) -> None:
    """Like `_inner_products`, of some rows only."""
    if len(rows):
        pointers = [faiss.swig_ptr(array) for array in (scores, query, vectors, rows)]
        faiss.fvec_inner_products_by_idx(*pointers, len(query), 1, len(rows))


def _near_best(scores: Float32, k: int, rounding: float) -> Rows:
    """Positions of the `k` best finite scores and of all others that rounding alone may keep from being among them."""
    if k >= len(scores):
        return np.flatnonzero(scores > -np.inf)
    kth = np.partition(scores, len(scores) - k)[len(scores) - k]
    return np.flatnonzero((scores >= kth - rounding) & (scores > -np.inf))


def _write_vectors(path: Path, state: _State, rows: Rows) -> Float32:
    """Writes the rows block by block, so that no second copy stands in memory; returns them mapped from disk."""
    shape = len(rows), state.snapshot.shape[1]
    if not len(rows):
        np.save(path, np.empty(shape, np.float32))
        return np.empty(shape, np.float32)
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, len(rows), _BLOCK):
        written[start : start + _BLOCK] = state.vectors(rows[start : start + _BLOCK])
    return written
