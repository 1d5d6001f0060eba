"""A vector server in a dictionary, for stores that share it: each verb is one step, and a client may die at any.

A `torn` one answers a search in two: it looks at the rows, and a step later at which of them were deleted.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import numpy as np

from include.quarry.records import Float32, Scope
from include.quarry.stores.collection import TOMBSTONE, Candidate, Document, Held, Row
from include.quarry.stores.updates import score


class Shelf:
    """The rows that all clients share."""

    def __init__(self, *, torn: bool = False) -> None:
        self.torn = torn
        self.rows: dict[str, Row] = {}
        self.ids = count()


class ShelfCollection:
    """One client's connection to a shelf; see `Collection`. `step` is called before each verb."""

    name = "shelf"
    most = 1000

    def __init__(self, shelf: Shelf, step: Callable[[], None] = lambda: None) -> None:
        self._shelf = shelf
        self._step = step

    def insert(self, rows: Sequence[Row]) -> None:
        self._step()
        for row in rows:
            self._shelf.rows[str(next(self._shelf.ids))] = row

    def delete(self, rows: Sequence[Held]) -> None:
        self._step()
        for row in rows:
            self._shelf.rows.pop(row.row_id, None)

    def held(self, documents: Sequence[Document] | None = None) -> Iterator[Held]:
        self._step()
        for row_id, row in list(self._shelf.rows.items()):
            if documents is None or row.document in documents:
                yield Held(row_id, row.document, row.seq, row.ordinal, row.chunk_id, row.doc_version)

    def nearest(self, queries: Float32, limit: int, scope: Scope) -> list[list[Candidate]]:
        self._step()
        inside = {
            row_id: row
            for row_id, row in self._shelf.rows.items()
            if row.document.tenant == scope.tenant and row.ordinal != TOMBSTONE
        }
        if self._shelf.torn:
            self._step()
        seen = [row for row_id, row in inside.items() if row_id in self._shelf.rows]
        found = []
        for query in queries:
            scores = score(np.array([row.vector for row in seen], np.float32).reshape(-1, len(query)), query)
            order = np.argsort(-scores, kind="stable")[:limit]
            found.append([Candidate(seen[i].document, seen[i].seq, seen[i].chunk_id, seen[i].vector) for i in order])
        self._step()  # the answer is on its way, and the world goes on
        return found

    def flush(self) -> None:
        self._step()

    def drop(self) -> None:
        self._shelf.rows.clear()
