"""How the content is spread over the historical clusters: the Jensen-Shannon divergence, and PSI for the reader.

Sources: J. Lin, "Divergence measures based on the Shannon entropy", 1991. PSI is the symmetric Kullback-Leibler sum of
credit scoring, in nats, whose usual bounds 0.1 and 0.25 know nothing of the size of a window; so it decides nothing
here. What is tested is the gains alone: a topic that grows adds to few clusters and takes a little from all others.
"""

import numpy as np
from numpy.typing import NDArray

from include.quarry.drift.clustering import nearest
from include.quarry.drift.documents import document_means
from include.quarry.drift.permutation import PERMUTATIONS, deal_labels, p_value
from include.quarry.drift.reference import Reference
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.window import Embedded, Window
from include.quarry.records import Float32

NAME = "cluster_mass"
FLOOR = 0.005
_LEAST_VARIANCE = 1e-3  # a cluster that hardly any document is in must not decide


def cluster_mass(reference: Reference, window: Window, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Statistic:
    """The divergence of the two mass distributions over `k` clusters in bits, less what chance alone gives windows of
    this size. A document has mass one, spread over its chunks' clusters. Permutation test of the squared gains."""
    past, present = _masses(reference.unfitted, reference), _masses(window.texts, reference)
    pooled = np.concatenate([past, present])
    labels = deal_labels(len(past), len(present), permutations=permutations, seed=seed)
    sums = labels.T @ pooled
    mass_window, mass_reference = sums / len(present), (pooled.sum(axis=0) - sums) / len(past)
    divergences = jensen_shannon(mass_reference, mass_window)
    return Statistic(
        NAME,
        value=float(divergences[0] - divergences[1:].mean()),
        floor=FLOOR,
        p_value=p_value(squared_gains(mass_reference, mass_window, pooled.var(axis=0))),
        meaning="Jensen-Shannon divergence of the mass over clusters, in bits above chance",
        details={
            "jensen_shannon": float(divergences[0]),
            "psi": float(stability_index(mass_reference[:1], mass_window[:1], len(present))[0]),
        },
    )


def squared_gains(
    first: NDArray[np.floating], second: NDArray[np.floating], variances: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The sum over clusters of the squared gain from first to second `[p, k]`, in units of the documents' variance."""
    gains = np.maximum(second - first, 0)
    return np.asarray((gains**2 / (variances + _LEAST_VARIANCE)).sum(axis=1), dtype=np.float64)


def jensen_shannon(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """The divergence in bits, 0 to 1, of each pair of rows `[p, k]`, `[p]`; rows sum to one."""
    middle = (first + second) / 2
    return (_kullback_leibler(first, middle) + _kullback_leibler(second, middle)) / 2


def stability_index(first: NDArray[np.floating], second: NDArray[np.floating], documents: int) -> NDArray[np.float64]:
    """PSI of each pair of rows `[p, k]`; half a document is added to each cluster, for PSI knows no empty ones."""
    grain = 0.5 / documents
    first, second = ((mass + grain) / (1 + grain * mass.shape[1]) for mass in (first, second))
    return np.asarray(((second - first) * np.log(second / first)).sum(axis=1), dtype=np.float64)


def _kullback_leibler(first: NDArray[np.floating], middle: NDArray[np.floating]) -> NDArray[np.float64]:
    ratio = np.divide(first, middle, out=np.ones_like(first), where=first > 0)
    return np.asarray((first * np.log2(ratio)).sum(axis=1), dtype=np.float64)


def _masses(texts: Embedded, reference: Reference) -> Float32:
    """Mass by document and cluster, `[m, k]`."""
    rows, _ = nearest(texts.values, reference.centroids)
    return document_means(np.eye(len(reference.centroids), dtype=np.float32)[rows], texts.documents)
