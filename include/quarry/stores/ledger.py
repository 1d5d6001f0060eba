"""Which documents a projection holds, where, and the `seq` that fences each: deleted documents stay as fences."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from sys import intern
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.quarry.records import DocumentKey, DocumentUpdate
from include.quarry.stores.updates import newest


class Placement(NamedTuple):
    """The last update of a document, and the rows `[start, stop)` of its chunks; an empty range when deleted."""

    seq: int
    start: int
    stop: int


class Ledger:
    """The placement of every document ever seen. One writer; `snapshot` gives readers a copy."""

    def __init__(self, placements: dict[DocumentKey, Placement] | None = None) -> None:
        self._placements = placements or {}
        self._placed: set[DocumentKey] = set()

    def newest(self, updates: Iterable[DocumentUpdate]) -> list[DocumentUpdate]:
        """The updates that still count, one a document."""
        return newest(updates, self._seq)

    def place(self, update: DocumentUpdate, start: int) -> Placement | None:
        """Records that the update's chunks begin at row `start`; returns where the document lay before."""
        before = self._placements.get(update.key)
        self._placements[update.key] = Placement(update.seq, start, start + len(update.chunks))
        self._placed.add(update.key)
        return before

    def move(self, rows: NDArray[np.int64]) -> None:
        """Renumbers: what was row `i` is row `rows[i]` now. The rows of one document stay together, and those that the
        ledger was made with where they are: they may be of a million documents, and few change in a day."""
        for key in self._placed:
            seq, start, stop = self._placements[key]
            moved = int(rows[start]) if stop > start else 0
            self._placements[key] = Placement(seq, moved, moved + stop - start)

    def find(self, key: DocumentKey) -> Placement | None:
        """Where the document lies, if it was ever seen."""
        return self._placements.get(key)

    def snapshot(self) -> dict[DocumentKey, Placement]:
        """A copy that later updates do not touch."""
        return dict(self._placements)

    def items(self) -> Iterator[tuple[DocumentKey, Placement]]:
        yield from self._placements.items()

    def _seq(self, key: DocumentKey) -> int:
        placement = self._placements.get(key)
        return placement.seq if placement else -1


def closed_up(placements: Iterable[tuple[DocumentKey, Placement]]) -> Iterator[tuple[DocumentKey, Placement]]:
    """The same documents in the same order, with the rows of all others squeezed out."""
    start = 0
    for key, placement in placements:
        stop = start + placement.stop - placement.start
        yield key, Placement(placement.seq, start, stop)
        start = stop


def write_placements(path: Path, placements: Iterable[tuple[DocumentKey, Placement]]) -> None:
    """One Arrow row a document."""
    rows = [(*key, *placement) for key, placement in placements]
    columns = list(zip(*rows, strict=True)) or [()] * len(_SCHEMA)
    table = pa.table([pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)
    with pa.ipc.new_file(path, _SCHEMA) as writer:
        writer.write_table(table)


def read_placements(path: Path) -> dict[DocumentKey, Placement]:
    """The inverse of `write_placements`."""
    with pa.ipc.open_file(path) as reader:
        columns = [column.to_pylist() for column in reader.read_all().columns]
    rows = zip(*columns, strict=True)
    return {
        DocumentKey(intern(corpus), intern(tenant), doc_id): Placement(*placement)
        for corpus, tenant, doc_id, *placement in rows
    }


_SCHEMA = pa.schema(
    [(name, pa.string()) for name in DocumentKey._fields] + [(name, pa.int64()) for name in Placement._fields]
)
