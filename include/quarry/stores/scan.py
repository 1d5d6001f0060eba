"""What a search sees of a FAISS store, and the exact scan over it.

Shapes: `n` rows of the snapshot and the tail together, `d` dimensions. A row is its number; nothing here ever moves.
"""

from dataclasses import dataclass, field
from typing import Any

import faiss as _faiss
import numpy as np

from include.quarry.records import Float32, Scope
from include.quarry.stores.columns import Columns, Mask, Rows

faiss: Any = _faiss  # its type stubs lack most of what SWIG exports

_CACHED_SCOPES = 32
_SPARSE = 4


@dataclass(frozen=True, slots=True)
class Selection:
    """The live rows of one scope. `rows` lists them where they are few; `mask` is None where they are all rows."""

    count: int
    mask: Mask | None
    rows: Rows | None


@dataclass(frozen=True, slots=True)
class State:
    """What a search sees: rows `[0, first)` are the snapshot, `[first, count)` the tail."""

    columns: Columns
    snapshot: Float32
    tail: Float32
    index: Any | None
    alive: Mask
    scopes: dict[tuple[str, frozenset[tuple[str, str]]], Selection] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.alive)

    @property
    def first(self) -> int:
        return len(self.snapshot)

    def select(self, scope: Scope) -> Selection:
        """The rows of a scope, remembered until the state changes."""
        key = scope.tenant, frozenset(scope.filters.items())
        selection = self.scopes.get(key)
        if selection is None:
            mask = self.alive & self.columns.mask(scope, self.count)
            count = int(np.count_nonzero(mask))
            rows = np.flatnonzero(mask) if count * _SPARSE < self.count else None
            selection = Selection(count, None if count == self.count else mask, rows)
            if len(self.scopes) >= _CACHED_SCOPES:
                self.scopes.clear()
            self.scopes[key] = selection
        return selection

    def scan(self, queries: Float32, k: int, selection: Selection, start: int = 0) -> list[Rows]:
        """For each query `[q, d]`, of the selected rows from `start` on, those that may be among the `k` best: a
        superset, ties included."""
        rows = selection.rows
        if rows is not None:
            rows = rows[np.searchsorted(rows, start) :]
            scores = np.stack([self._score_rows(query, rows) for query in queries])
        else:
            parts = self.snapshot[start:], self.tail[max(0, start - self.first) :]
            scores = np.concatenate([_inner_products(queries, part) for part in parts], axis=1)
            if selection.mask is not None:
                scores[:, ~selection.mask[start:]] = -np.inf
        near = [_near_best(each, k, rounding=2 * queries.shape[1] * 2.0**-24) for each in scores]
        return [each + start if rows is None else rows[each] for each in near]

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


def _inner_products(queries: Float32, vectors: Float32) -> Float32:
    """Scores `[q, n]`, without the interpreter's lock. Several queries share one pass over the vectors, which costs
    mostly the reading of them: vectors times queries, half the time of queries times vectors when queries are few.
    One query takes FAISS's kernel, which starts no threads."""
    if len(queries) > 1 or not len(vectors):
        return np.ascontiguousarray((vectors @ queries.T).T)
    scores = np.empty((1, len(vectors)), np.float32)
    pointers = [faiss.swig_ptr(array) for array in (scores, queries, vectors)]
    faiss.fvec_inner_products_ny(*pointers, queries.shape[1], len(vectors))
    return scores


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
