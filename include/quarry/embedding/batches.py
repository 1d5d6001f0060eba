"""Packs token sequences of many lengths into padded batches that waste little work.

Shapes: a batch is int64 `[b, t]`, `b` rows padded to `t` tokens. Arithmetic on padding costs as much as on text.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_BATCH_TOKENS = 2048
"""Padded tokens of one batch; beyond it a CPU gains nothing and only its caches suffer."""

MAX_PADDING_TOKENS = 192
"""Padding that one batch may hold; starting another batch costs about as much as these many tokens."""


class Batch(NamedTuple):
    """One call of the engine. `rows[i]` is the place of row `i` in the caller's sequence."""

    rows: list[int]
    ids: NDArray[np.int64]
    mask: NDArray[np.int64]


def pack(sequences: Sequence[Sequence[int]]) -> Iterator[Batch]:
    """Batches of sequences of similar length, the longest first; every sequence is in exactly one."""
    rows: list[int] = []
    width = padding = 0
    for row in sorted(range(len(sequences)), key=lambda row: -len(sequences[row])):
        length = len(sequences[row])
        full = (len(rows) + 1) * width > MAX_BATCH_TOKENS or padding + width - length > MAX_PADDING_TOKENS
        if rows and full:
            yield _padded(sequences, rows, width)
            rows, padding = [], 0
        if not rows:
            width = bucket(length)
        rows.append(row)
        padding += width - length
    if rows:
        yield _padded(sequences, rows, width)


def bucket(length: int) -> int:
    """The width that a row is padded to: a step of an eighth or so, so that an engine meets few distinct shapes.

    An engine prepares its kernels anew for each new shape, which takes as long as encoding two queries.
    """
    step = 4 if length <= 32 else 8 if length <= 64 else 16
    return -(-length // step) * step


def _padded(sequences: Sequence[Sequence[int]], rows: list[int], width: int) -> Batch:
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.int64)
    for i, row in enumerate(rows):
        sequence = sequences[row]
        ids[i, : len(sequence)] = sequence
        mask[i, : len(sequence)] = 1
    return Batch(rows, ids, mask)
