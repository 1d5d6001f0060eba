"""Queries that ask about the same thing, so that a reader meets each subject once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage

from include.quarry.catalog.ratings import RatedQuery
from include.quarry.feedback.causes import Cause, suggest
from include.quarry.records import Float32

SAME_SUBJECT = 0.6
"""Greatest mean cosine distance of queries that are taken for one subject. Of XQuAD's questions in all-MiniLM-L6-v2's
space, three in four pairs about one passage lie below it, and less than one in twenty pairs of strangers."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Low-rated queries of one subject, the most typical first, with all that was rated near them.

    `rated` counts the rated queries of this subject, pleased ones included, `low` those that disappointed.
    """

    queries: tuple[RatedQuery, ...]
    rated: int
    low: int
    cause: Cause
    causes: dict[Cause, int]

    @property
    def low_rate(self) -> float:
        """Share of the rated queries of this subject that disappointed, 0 to 1."""
        return self.low / self.rated


def cluster_queries(
    queries: Sequence[RatedQuery], vectors: Float32, *, same_subject: float = SAME_SUBJECT
) -> list[Cluster]:
    """The subjects of the low-rated queries, the most disappointing first; `vectors` is `[n, d]`, a row a query.

    Average linkage over cosine distance, cut at `same_subject`; a query that pleased belongs to the nearest subject if
    its mean distance to that one's queries is no greater. Of vectors of length 1, it is 1 less the product with their
    mean.
    """
    low = [place for place, query in enumerate(queries) if query.is_low]
    if not low:
        return []
    labels = _labels(vectors[low], same_subject)
    centres = np.stack([vectors[low][labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    likeness = vectors @ centres.T
    nearest = np.where(likeness.max(axis=1) >= 1 - same_subject, likeness.argmax(axis=1), -1)
    nearest[low] = labels
    clusters = [_cluster(queries, vectors, centres[label], nearest == label) for label in range(len(centres))]
    return sorted(clusters, key=lambda cluster: (-cluster.low, cluster.queries[0].query_id))


def _labels(vectors: Float32, same_subject: float) -> NDArray[np.intp]:
    if len(vectors) == 1:
        return np.zeros(1, dtype=np.intp)
    tree = linkage(np.asarray(vectors, dtype=np.float64), method="average", metric="cosine")
    return np.asarray(fcluster(tree, t=same_subject, criterion="distance") - 1, dtype=np.intp)


def _cluster(queries: Sequence[RatedQuery], vectors: Float32, centre: Float32, members: NDArray[np.bool_]) -> Cluster:
    places = np.flatnonzero(members)
    typical = places[np.argsort(-(vectors[places] @ centre), kind="stable")]
    low = tuple(queries[place] for place in typical if queries[place].is_low)
    cause, causes = suggest(low)
    return Cluster(low, len(places), len(low), cause, causes)
