"""The chunk_id of each number that a living chunk has in a lexical index. Numbers are given once, in rising order."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from include.quarry.stores.chunk_ids import FixedWidth, fixed_width

Numbers = NDArray[np.int64]
_EVERY_ID = "ids.npy"  # by number from 0 on, dead ones too: how snapshots were written once
_NUMBERS, _IDS = "numbers.npy", "chunk_ids.npy"


class NumberedIds:
    """Grows at its end only, so a reader may look while the writer appends; `only` gives one that has forgotten others.

    The first ones are fixed-width bytes beside their rising numbers, later ones strings without a gap.
    """

    def __init__(self, numbers: Numbers | None = None, ids: FixedWidth | None = None, following: int = 0) -> None:
        """`following` is the number that comes next."""
        self._numbers = np.empty(0, np.int64) if numbers is None else numbers
        self._first = np.empty(0, "S1") if ids is None else ids
        self._following = following
        self._later: list[str] = []

    def __len__(self) -> int:
        return len(self._first) + len(self._later)

    def append(self, chunk_ids: Iterable[str]) -> int:
        """Gives further numbers; returns the first of them."""
        number = self._following + len(self._later)
        self._later.extend(chunk_ids)
        return number

    def of(self, numbers: Sequence[int]) -> list[str]:
        """The chunk_id of each number, in the order asked for. They must be there."""
        places = np.searchsorted(self._numbers, np.asarray(numbers, np.int64)).tolist()
        start = self._following
        return [
            self._later[number - start] if number >= start else self._first[place].decode()
            for number, place in zip(numbers, places, strict=True)
        ]

    def only(self, numbers: Sequence[int]) -> Self:
        """Those of these numbers; the others are forgotten, and not given again."""
        kept = np.sort(np.asarray(numbers, np.int64))
        return type(self)(kept, fixed_width(self.of(kept.tolist())), self._following + len(self._later))

    def write(self, folder: Path) -> None:
        """Two arrays, once no later ones are there; see `only`."""
        np.save(folder / _NUMBERS, self._numbers)
        np.save(folder / _IDS, self._first)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The inverse of `write`."""
        if (folder / _EVERY_ID).exists():
            ids = np.asarray(np.load(folder / _EVERY_ID))
            numbers = np.arange(len(ids))
        else:
            ids, numbers = (np.asarray(np.load(folder / name)) for name in (_IDS, _NUMBERS))
        return cls(numbers, ids, int(numbers[-1]) + 1 if len(numbers) else 0)
