"""The chunk_id of each row of an index. Rows only grow, so a reader may look while the writer appends."""

from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

FixedWidth = NDArray[np.bytes_]


class ChunkIds:
    """The first rows keep theirs as fixed-width bytes, half the size of Python's str; later ones are strings."""

    def __init__(self, first: FixedWidth | None = None, later: Sequence[str] = ()) -> None:
        self._first = np.empty(0, "S1") if first is None else first
        self._later = list(later)

    def __len__(self) -> int:
        return len(self._first) + len(self._later)

    def append(self, chunk_ids: Iterable[str]) -> int:
        """Further rows; returns the first of them."""
        row = len(self)
        self._later.extend(chunk_ids)
        return row

    def of(self, rows: Iterable[int]) -> list[str]:
        """The chunk_id of each row, in the order asked for."""
        first, later = self._first, self._later
        return [first[row].decode() if row < len(first) else later[row - len(first)] for row in rows]

    def take(self, rows: NDArray[np.int64]) -> Self:
        """The ids of these rows; all of the fixed-width ones must be among them."""
        return type(self)(self._first, self.of(rows[len(self._first) :].tolist()))


def fixed_width(chunk_ids: Sequence[str]) -> FixedWidth:
    """Bytes `[n]` as wide as the longest id."""
    return np.array([chunk_id.encode() for chunk_id in chunk_ids], np.bytes_) if chunk_ids else np.empty(0, "S1")
