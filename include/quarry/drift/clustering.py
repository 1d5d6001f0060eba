"""k-means, seeded: the historical centroids, and where a vector lies among them."""

import faiss
import numpy as np
from numpy.typing import NDArray

from include.quarry.records import Float32

_ITERATIONS = 20
_LEAST, _MOST = 4, 64
_VECTORS_A_CENTROID = 4


def centroid_count(vectors: int) -> int:
    """How many centroids `k` for so many vectors: the root of a quarter of them, from 4 to 64, so that each is met
    by several documents of a window of a hundred."""
    return min(max(int((vectors / _VECTORS_A_CENTROID) ** 0.5), _LEAST), _MOST, vectors)


def fit_centroids(vectors: Float32, count: int, seed: int) -> Float32:
    """The centroids `[k, d]` of vectors `[n, d]`, `n >= k`."""
    clustering = faiss.Kmeans(
        vectors.shape[1],
        count,
        niter=_ITERATIONS,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=1024,
    )
    clustering.train(np.ascontiguousarray(vectors))
    return np.asarray(clustering.centroids, dtype=np.float32)


def nearest(vectors: Float32, centroids: Float32) -> tuple[NDArray[np.intp], Float32]:
    """For each vector `[n, d]` the nearest centroid's row `[n]` and the Euclidean distance to it `[n]`."""
    squares = (
        (vectors**2).sum(axis=1, keepdims=True)
        - 2 * vectors @ centroids.T
        + (centroids**2).sum(axis=1, keepdims=True).T
    )
    rows = squares.argmin(axis=1)
    return rows, np.sqrt(np.maximum(squares[np.arange(len(rows)), rows], 0))
