"""How far new content lies from the historical centroids, compared with content that they were not fitted to either."""

import numpy as np

from include.quarry.drift.clustering import nearest
from include.quarry.drift.documents import document_means
from include.quarry.drift.excess import FLOOR, excess_test
from include.quarry.drift.permutation import PERMUTATIONS, deal_labels
from include.quarry.drift.reference import Reference
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.window import Embedded, Window
from include.quarry.records import Float32

NAME = "centroid_distance"
_FAR = 0.95
_PRIOR = 2.0


def centroid_distance(
    reference: Reference, window: Window, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> Statistic:
    """The mean squared excess of documents' distances, window over held-out reference; nearer is no loss."""
    past, present = document_distances(reference.unfitted, reference), document_distances(window.texts, reference)
    labels = deal_labels(len(past), len(present), permutations=permutations, seed=seed)
    ratio, probability = excess_test(np.concatenate([past, present])[:, None], labels)
    return Statistic(
        NAME,
        value=ratio,
        floor=FLOOR,
        p_value=probability,
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
