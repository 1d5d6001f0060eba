"""Means over each document: chunks of one document resemble each other, so the document is what is counted.

A statistic that counted chunks would take one long document for a hundred independent observations, and call every
window with a few long documents a drift.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from include.quarry.records import Float32


def document_means(values: NDArray[np.float32], documents: Sequence[str]) -> Float32:
    """The mean of the rows `[n, ...]` of each document, `[m, ...]`; documents in the order of their names."""
    _, owners, sizes = np.unique(np.array(documents), return_inverse=True, return_counts=True)
    order = np.argsort(owners, kind="stable")
    starts = np.cumsum(sizes) - sizes
    sums = np.add.reduceat(values[order], starts, axis=0)
    return (sums / sizes.reshape(-1, *[1] * (values.ndim - 1))).astype(np.float32)
