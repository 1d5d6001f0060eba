"""The default vector store: FAISS in the process that answers, as a snapshot plus the tail of the log.

The snapshot part is immutable: vectors mapped from disk, and a graph over them where they are many. Updates since
then go to an exact tail; rows they replace are dead and masked. Building is done by `save`, never by a query.

Concurrency: the writer appends rows that no reader looks at yet, then swaps in a new immutable state; a search reads
the state once, takes no lock, and so sees each document whole, old or new. Queries that
come together share one pass over the vectors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np

from include.quarry.errors import IncompleteIndex
from include.quarry.records import DocumentUpdate, Float32, Scope, Scored, Vectors
from include.quarry.specs import StoreSpec
from include.quarry.stores import graph
from include.quarry.stores.columns import Columns, Growing, Rows
from include.quarry.stores.ledger import Ledger, closed_up, read_placements, write_placements
from include.quarry.stores.scan import Selection, State
from include.quarry.stores.snapshot import read_manifest, writing
from include.quarry.stores.updates import best, check_chunks, check_k, check_space, check_vectors, score

_KIND = "faiss-store"
_BLOCK = 65_536
_READ = 8192
_DEAD_ROWS = 4096
_TOGETHER = 16  # queries scanned in one pass, which bounds the scores held: 16 times all rows


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
        self._state = State(Columns.empty(), nothing, nothing, None, np.empty(0, bool))
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
        selection = state.select(scope)
        if not selection.count:
            return [[] for _ in range(len(queries))]
        values = np.ascontiguousarray(queries.values, np.float32)
        found: list[list[Scored]] = []
        for start in range(0, len(values), _TOGETHER):
            some = values[start : start + _TOGETHER]
            candidates = self._candidates(state, some, k, selection)
            found += [_ranked(state, query, rows, k) for query, rows in zip(some, candidates, strict=True)]
        return found

    def contents(self) -> Iterator[tuple[str, int]]:
        state = self._state
        rows = np.flatnonzero(state.alive)
        yield from zip(state.columns.ids(rows), state.columns.versions(rows), strict=True)

    def rows(self) -> Iterator[tuple[list[str], Float32]]:
        """See `ExactRows`."""
        state = self._state
        alive = np.flatnonzero(state.alive)
        for start in range(0, len(alive), _READ):
            some = alive[start : start + _READ]
            yield state.columns.ids(some), state.vectors(some)

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
        state = replace(state, tail=self._tail.view(len(alive) - state.first), alive=alive, scopes={})
        dead = len(state.tail) - int(np.count_nonzero(alive[state.first :]))
        self._state = self._squeezed(state) if dead > max(_DEAD_ROWS, len(state.tail) // 2) else state

    def _squeezed(self, state: State) -> State:
        """The state without the tail's dead rows, so that a document changed all day costs no more than one."""
        rows = np.concatenate([np.arange(state.first), state.first + np.flatnonzero(state.alive[state.first :])])
        self._tail = Growing(state.tail[rows[state.first :] - state.first])
        self._ledger.move(np.cumsum(np.isin(np.arange(state.count), rows)) - 1)
        tail = self._tail.view(len(rows) - state.first)
        return replace(state, columns=state.columns.take(rows), tail=tail, alive=state.alive[rows])

    def _candidates(self, state: State, queries: Float32, k: int, selection: Selection) -> list[Rows]:
        if state.index is None or selection.count <= self._limits.exact_rows:
            return state.scan(queries, k, selection)
        mask = None if selection.mask is None else selection.mask[: state.first]
        selected = state.first if mask is None else int(np.count_nonzero(mask))
        found: list[Rows] = []
        for query in queries:
            proposed = graph.candidates(state.index, query, k, mask, selected)
            if len(proposed) < min(k, selected):
                found += state.scan(query[None], k, selection)
            else:
                found.append(np.concatenate([proposed, *state.scan(query[None], k, selection, start=state.first)]))
        return found


def _ranked(state: State, query: Float32, rows: Rows, k: int) -> list[Scored]:
    return best(state.columns.ids(rows), score(state.vectors(rows), query).tolist(), k)


def _write_vectors(path: Path, state: State, rows: Rows) -> Float32:
    """Writes the rows block by block, so that no second copy stands in memory; returns them mapped from disk."""
    shape = len(rows), state.snapshot.shape[1]
    if not len(rows):
        np.save(path, np.empty(shape, np.float32))
        return np.empty(shape, np.float32)
    written = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
    for start in range(0, len(rows), _BLOCK):
        written[start : start + _BLOCK] = state.vectors(rows[start : start + _BLOCK])
    return written
