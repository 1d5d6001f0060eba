"""How the content is spread over clusters: has a topic, known or not, taken more of the window?

Which clusters a topic fills nobody knows. So the documents of reference and window are clustered together, without
regard to which is which, coarsely and finely and from several beginnings; a topic that grows adds to some cluster in
most of these, and takes a little from all others. What is tested are therefore the gains alone, each in its own
standard error, and cubed, so that one of five weighs more than twenty of one. For the reader there are the
Jensen-Shannon divergence (J. Lin, "Divergence measures based on the Shannon entropy", 1991) and PSI, the symmetric
Kullback-Leibler sum of credit scoring, over the clusters of the reference. They decide nothing: the usual bounds of
PSI, 0.1 and 0.25, know nothing of the size of a window.
"""

import numpy as np
from numpy.typing import NDArray

from include.quarry.drift.clustering import fit_centroids, nearest
from include.quarry.drift.documents import document_means
from include.quarry.drift.permutation import PERMUTATIONS, deal_labels, p_value
from include.quarry.drift.reference import Reference
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.window import Embedded, Window
from include.quarry.records import Float32

NAME = "cluster_mass"
FLOOR = 0.03
_CLUSTERS = (4, 8, 16, 32)
_BEGINNINGS = 3
_DOCUMENTS_A_CLUSTER = 3
_LEAST_VARIANCE = 1e-3  # a cluster that hardly any document is in must not decide


def cluster_mass(reference: Reference, window: Window, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Statistic:
    """By how much the cluster that grew most has grown, as a share of the window above what chance alone gives.

    A document has mass one, spread over its chunks' clusters. Permutation test of the cubed gains of all clusters.
    """
    past, present = pooled_masses(reference.sample, window.texts, seed)
    masses = np.concatenate([past, present])
    labels = deal_labels(len(past), len(present), permutations=permutations, seed=seed)
    sums = masses.T @ labels
    gains = sums / len(present) - (masses.sum(axis=0)[:, None] - sums) / len(past)
    greatest = gains.max(axis=0)
    return Statistic(
        NAME,
        value=float(greatest[0] - greatest[1:].mean()),
        floor=FLOOR,
        p_value=p_value(cubed_gains(gains, masses.var(axis=0), len(past), len(present))),
        meaning="greatest growth of a cluster, as a share of the window above chance",
        details=_historical(reference, window),
    )


def pooled_masses(past: Embedded, present: Embedded, seed: int) -> tuple[Float32, Float32]:
    """Mass by document and cluster, `[m, k]` of the reference and of the window, over all clusterings side by side."""
    values, masses = np.concatenate([past.values, present.values]), []
    shuffled = values[np.argsort(values[:, 0])]  # where a clustering begins must not depend on which side a row is of
    documents = past.document_count + present.document_count
    for clusters in (count for count in _CLUSTERS if count * _DOCUMENTS_A_CLUSTER <= documents):
        for beginning in range(_BEGINNINGS):
            centroids = fit_centroids(shuffled, clusters, seed + beginning)
            masses.append(np.eye(clusters, dtype=np.float32)[nearest(values, centroids)[0]])
    shares = np.concatenate(masses, axis=1)
    return document_means(shares[: len(past)], past.documents), document_means(shares[len(past) :], present.documents)


def cubed_gains(gains: Float32, variances: Float32, reference: int, window: int) -> NDArray[np.float64]:
    """The sum over clusters of the gains `[k, p]`, losses left out, each in its standard error and cubed, `[p]`."""
    errors = np.sqrt((variances + _LEAST_VARIANCE) * (1 / reference + 1 / window))
    return np.asarray((np.maximum(gains / errors[:, None], 0) ** 3).sum(axis=0), dtype=np.float64)


def jensen_shannon(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """The divergence in bits, 0 to 1, of two distributions `[k]`."""
    middle = (first + second) / 2
    return (_kullback_leibler(first, middle) + _kullback_leibler(second, middle)) / 2


def stability_index(first: NDArray[np.floating], second: NDArray[np.floating], documents: int) -> float:
    """PSI of two distributions `[k]`; half a document is added to each cluster, for PSI knows no empty ones."""
    grain = 0.5 / documents
    first, second = ((mass + grain) / (1 + grain * len(mass)) for mass in (first, second))
    return float(((second - first) * np.log(second / first)).sum())


def _historical(reference: Reference, window: Window) -> dict[str, float]:
    past, present = (_spread(texts, reference) for texts in (reference.unfitted, window.texts))
    psi = stability_index(past, present, window.texts.document_count)
    return {"jensen_shannon": jensen_shannon(past, present), "psi": psi}


def _spread(texts: Embedded, reference: Reference) -> Float32:
    """The texts' mass over the reference's clusters, `[k]`."""
    rows, _ = nearest(texts.values, reference.centroids)
    of_documents = document_means(np.eye(len(reference.centroids), dtype=np.float32)[rows], texts.documents)
    return np.asarray(of_documents.mean(axis=0), dtype=np.float32)


def _kullback_leibler(first: NDArray[np.floating], middle: NDArray[np.floating]) -> float:
    ratio = np.divide(first, middle, out=np.ones_like(first), where=first > 0)
    return float((first * np.log2(ratio)).sum())
