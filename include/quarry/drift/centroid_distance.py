"""How far new content lies from the historical centroids, compared with content that they were not fitted to either.

What is new is far away and, at first, rare: a mean over the window would drown it among the rest. So each document
counts by the square of its excess over the median, which is the upper semi-variance.
"""

import numpy as np

from include.quarry.drift.clustering import nearest
from include.quarry.drift.documents import document_means
from include.quarry.drift.permutation import PERMUTATIONS, deal_labels, p_value
from include.quarry.drift.reference import Reference
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.window import Embedded, Window
from include.quarry.records import Float32

NAME = "centroid_distance"
FLOOR = 1.25
_FAR = 0.95
_PRIOR = 2.0
_TINY = 1e-9


def centroid_distance(
    reference: Reference, window: Window, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Statistic:
    """The mean squared excess of documents' distances, window over held-out reference; 1 is no difference.

    One-sided, for nearer is no loss. The median is of both together, so that it is the same in every permutation.
    """
    past, present = document_distances(reference.unfitted, reference), document_distances(window.texts, reference)
    pooled = np.concatenate([past, present])
    excess = np.maximum(pooled - np.median(pooled), 0) ** 2
    labels = deal_labels(len(past), len(present), permutations=permutations, seed=seed)
    sums = excess @ labels
    mean_window, mean_reference = sums / len(present), (excess.sum() - sums) / len(past)
    return Statistic(
        NAME,
        value=float(mean_window[0] / (mean_reference[0] + _TINY)),
        floor=FLOOR,
        p_value=p_value(mean_window - mean_reference),
        meaning="mean squared excess distance to the nearest centroid, as a multiple of the reference's",
        details={
            "mean_reference": float(past.mean()),
            "mean_window": float(present.mean()),
            "new_ground": _new_ground(reference, window),
        },
    )


def document_distances(texts: Embedded, reference: Reference) -> Float32:
    """Each document's mean distance to the nearest centroid, `[m]`, in the order of their names."""
    _, distances = nearest(texts.values, reference.centroids)
    return document_means(distances, texts.documents)


def _new_ground(reference: Reference, window: Window) -> float:
    """The share of the window's texts that lie beyond 95 % of the reference and are not accounted for by their cluster.

    Where a known cluster is wide, its texts lie far out and always did: more of them moves mass, and is nothing new.
    """
    past_rows, past = nearest(reference.unfitted.values, reference.centroids)
    rows, present = nearest(window.texts.values, reference.centroids)
    edge, clusters = np.quantile(past, _FAR), len(reference.centroids)
    far = np.bincount(past_rows, weights=past > edge, minlength=clusters)
    usual = (far + _PRIOR * (1 - _FAR)) / (np.bincount(past_rows, minlength=clusters) + _PRIOR)
    return float((present > edge).mean() - usual[rows].mean())
