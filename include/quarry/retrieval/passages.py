"""What a hit shows: chunks by chunk_id, as a snapshot mapped from disk plus the tail of the log in memory.

The snapshot is a file of JSON lines sorted by document, where each line begins, and a sorted array of ids with the
row of each. All are mapped, so a million passages cost address space, not heap; a lookup is a binary search over
fixed-width bytes and the reading of one line.

Concurrency: one writer, many readers. A reader takes one chunk at a time, each by one atomic look into a dictionary.
"""

import mmap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Self

import numpy as np
import orjson
from numpy.typing import NDArray

from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage
from include.quarry.retrieval.digest import term
from include.quarry.stores.chunk_ids import fixed_width
from include.quarry.stores.ledger import Ledger, Placement, closed_up, read_placements, write_placements
from include.quarry.stores.snapshot import read_manifest, writing
from include.quarry.stores.updates import check_chunks

_KIND = "passages"


class PassageTable:
    """The present chunks of all documents. `apply`, `contents` and `save` promise what `VectorStore` promises.

    `totals` sums up, a tenant, the documents that have chunks here; see `holdings.py`. It belongs to the writer.
    """

    def __init__(self) -> None:
        self._snapshot = _Snapshot.empty()
        self._alive = np.empty(0, bool)
        self._ledger = Ledger()
        self.totals = Counter[str]()
        self._tail: dict[str, Chunk] = {}
        self._tail_ids: dict[DocumentKey, tuple[str, ...]] = {}
        self._leaving: dict[str, Chunk] = {}
        self._writer = Lock()

    def apply(self, updates: Sequence[DocumentUpdate]) -> None:
        """Replaces each document. A deleted document's chunks are gone at once; a replaced document's former chunks
        can still be read until the next `apply`, for searches that found them a moment before."""
        check_chunks(updates)
        with self._writer:
            fresh = self._ledger.newest(updates)
            former = {update.key: self._of_document(update.key) for update in fresh}
            self._leaving = _by_id(chunk for update in fresh if update.chunks for chunk in former[update.key])
            self._tail.update(_by_id(chunk for update in fresh for chunk in update.chunks))
            for update in fresh:
                self._replace(update)

    def get(self, chunk_ids: Sequence[str]) -> list[Chunk]:
        """The chunks that are there, in the order asked for; those that are not are left out."""
        found = (self._get(chunk_id) for chunk_id in chunk_ids)
        return [chunk for chunk in found if chunk is not None]

    def holds(self, chunk_id: str) -> bool:
        """Whether `get` would give this chunk."""
        if chunk_id in self._tail or chunk_id in self._leaving:
            return True
        row = self._snapshot.find(chunk_id)
        return row is not None and bool(self._alive[row])

    def documents(self) -> list[DocumentKey]:
        """The documents that have a chunk here."""
        with self._writer:
            return [key for key, placement in self._ledger.items() if placement.stop > placement.start]

    def contents(self) -> Iterator[tuple[str, int]]:
        with self._writer:
            alive, tail = np.flatnonzero(self._alive), list(self._tail.values())
        yield from self._snapshot.versions(alive)
        yield from ((chunk.chunk_id, chunk.doc_version) for chunk in tail)

    def save(self, folder: Path) -> None:
        """Writes the live chunks, sorted by document, one after another. Applies go on meanwhile."""
        with self._writer:
            placements = sorted(self._ledger.snapshot().items())
            tail, tail_ids = dict(self._tail), dict(self._tail_ids)
            held = len(self._alive)

        def chunks() -> Iterator[Chunk]:
            for key, (_, start, stop) in placements:
                if start < held:
                    yield from (self._snapshot.chunk(row) for row in range(start, stop))
                else:
                    yield from (tail[chunk_id] for chunk_id in tail_ids.get(key, ()))

        with writing(folder, _KIND, {}) as partial:
            write_placements(partial / "documents.arrow", closed_up(placements))
            _write(partial, chunks())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The table that `save` wrote. Raises `NotFound` or `IncompleteIndex`."""
        read_manifest(folder, _KIND)
        table = cls()
        table._snapshot = _Snapshot.open(folder)
        table._alive = np.ones(len(table._snapshot), bool)
        placements = read_placements(folder / "documents.arrow")
        table._ledger = Ledger(placements)
        for key, placement in placements.items():
            table.totals[key.tenant] += _share(key, placement)
        return table

    def _get(self, chunk_id: str) -> Chunk | None:
        """`apply` fills a place before it empties the one looked into earlier, so no living chunk is missed."""
        chunk = self._tail.get(chunk_id)
        if chunk is None:
            row = self._snapshot.find(chunk_id)
            chunk = self._snapshot.chunk(row) if row is not None and self._alive[row] else None
        return chunk or self._leaving.get(chunk_id)

    def _of_document(self, key: DocumentKey) -> list[Chunk]:
        if key in self._tail_ids:
            return [self._tail[chunk_id] for chunk_id in self._tail_ids[key]]
        placement = self._ledger.find(key)
        return [self._snapshot.chunk(row) for row in range(placement.start, placement.stop)] if placement else []

    def _replace(self, update: DocumentUpdate) -> None:
        """Forgets the document's former chunks; the new ones are in the tail already."""
        ids = tuple(chunk.chunk_id for chunk in update.chunks)
        before = self._ledger.place(update, len(self._alive))
        self.totals[update.key.tenant] -= _share(update.key, before)
        self.totals[update.key.tenant] += _share(update.key, self._ledger.find(update.key))
        if before and before.start < len(self._alive):
            self._alive[before.start : before.stop] = False
        for chunk_id in set(self._tail_ids.get(update.key, ())) - set(ids):
            del self._tail[chunk_id]
        self._tail_ids[update.key] = ids


class _Snapshot:
    """The mapped part of `n` chunks: `ids` `[n]` sorted bytes, `rows` `[n]` their rows, and the `lines`, of which row
    `i` takes the bytes from `starts[i]` to `starts[i + 1]`."""

    def __init__(
        self, ids: NDArray[np.bytes_], rows: NDArray[np.int64], starts: NDArray[np.int64], lines: mmap.mmap | bytes
    ) -> None:
        self._ids = ids
        self._rows = rows
        self._starts = starts
        self._lines = lines

    def __len__(self) -> int:
        return len(self._ids)

    @classmethod
    def empty(cls) -> Self:
        return cls(np.empty(0, "S1"), np.empty(0, np.int64), np.zeros(1, np.int64), b"")

    @classmethod
    def open(cls, folder: Path) -> Self:
        if not (folder / "passages.jsonl").stat().st_size:  # nothing cannot be mapped
            return cls.empty()
        names = "ids.npy", "rows.npy", "starts.npy"
        ids, rows, starts = (np.asarray(np.load(folder / name, mmap_mode="r")) for name in names)
        with (folder / "passages.jsonl").open("rb") as file:
            return cls(ids, rows, starts, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def find(self, chunk_id: str) -> int | None:
        wanted = chunk_id.encode()
        if len(wanted) > self._ids.itemsize:  # numpy would widen the whole array to compare
            return None
        at = int(np.searchsorted(self._ids, np.array(wanted, self._ids.dtype)))
        return int(self._rows[at]) if at < len(self._ids) and self._ids[at] == wanted else None

    def chunk(self, row: int) -> Chunk:
        return _from_line(self._lines[self._starts[row] : self._starts[row + 1]])

    def versions(self, rows: NDArray[np.int64]) -> Iterator[tuple[str, int]]:
        """(chunk_id, doc_version) of each row."""
        for row in rows.tolist():
            chunk = self.chunk(row)
            yield chunk.chunk_id, chunk.doc_version


def _share(key: DocumentKey, placement: Placement | None) -> int:
    """What a document adds to its tenant's total; nothing when it has no chunks."""
    return term(key.doc_id, placement.seq) if placement and placement.stop > placement.start else 0


def _by_id(chunks: Iterable[Chunk]) -> dict[str, Chunk]:
    return {chunk.chunk_id: chunk for chunk in chunks}


def _to_line(chunk: Chunk) -> bytes:
    return orjson.dumps(chunk, default=list, option=orjson.OPT_APPEND_NEWLINE)


def _from_line(line: bytes) -> Chunk:
    fields = orjson.loads(line)
    fields["key"] = DocumentKey(*fields["key"])
    fields["passage"] = Passage(**fields["passage"])
    return Chunk(**fields)


def _write(folder: Path, chunks: Iterator[Chunk]) -> None:
    ids: list[str] = []
    starts = [0]
    with (folder / "passages.jsonl").open("wb") as file:
        for chunk in chunks:
            ids.append(chunk.chunk_id)
            starts.append(starts[-1] + file.write(_to_line(chunk)))
    sortable = fixed_width(ids)
    rows = np.argsort(sortable, kind="stable")
    np.save(folder / "ids.npy", sortable[rows])
    np.save(folder / "rows.npy", rows)
    np.save(folder / "starts.npy", np.array(starts, np.int64))
