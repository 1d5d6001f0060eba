"""Maximum mean discrepancy: are the two samples of one distribution, wherever the difference may lie?

Source: A. Gretton et al., "A Kernel Two-Sample Test", JMLR 2012: the unbiased estimate (lemma 6), the median heuristic
for the width of the RBF kernel (section 8), and the permutation test. Documents are compared by the mean kernel of
their chunks, which is the inner product of their mean embeddings.
"""

import numpy as np

from include.quarry.drift.documents import document_means
from include.quarry.drift.permutation import PERMUTATIONS, deal_labels, p_value
from include.quarry.drift.reference import Reference
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.window import Window
from include.quarry.records import Float32

NAME = "mmd"
FLOOR = 0.001
_MEDIAN_OF = 500


def mmd(reference: Reference, window: Window, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Statistic:
    """The unbiased squared discrepancy of window and reference, over documents."""
    past, present = reference.sample, window.texts
    kernel = document_kernel(
        np.concatenate([past.values, present.values]),
        [f"0{name}" for name in past.documents] + [f"1{name}" for name in present.documents],
    )
    labels = deal_labels(past.document_count, present.document_count, permutations=permutations, seed=seed)
    discrepancies = squared_discrepancies(kernel, labels)
    return Statistic(
        NAME,
        value=float(discrepancies[0]),
        floor=FLOOR,
        p_value=p_value(discrepancies),
        meaning="squared maximum mean discrepancy under an RBF kernel",
    )


def document_kernel(values: Float32, documents: list[str]) -> Float32:
    """The mean RBF kernel between the chunks `[n, d]` of each pair of documents, `[m, m]`."""
    norms = (values**2).sum(axis=1)
    squares = np.maximum(norms[:, None] + norms[None, :] - 2 * values @ values.T, 0)
    step = max(1, len(values) // _MEDIAN_OF)
    some = squares[::step, ::step]
    width = float(np.median(some[~np.eye(len(some), dtype=bool)])) or 1.0
    kernel = np.exp(squares / -width)
    return document_means(document_means(kernel, documents).T, documents)


def squared_discrepancies(kernel: Float32, labels: Float32) -> Float32:
    """The unbiased estimate for each column of labels `[m, 1 + p]`: means over pairs of different documents."""
    pairs = kernel - np.diag(np.diag(kernel))
    window, reference = float(labels[:, 0].sum()), float((1 - labels[:, 0]).sum())
    towards = pairs @ labels
    within_window = (labels * towards).sum(axis=0)
    between = towards.sum(axis=0) - within_window
    within_reference = float(pairs.sum()) - within_window - 2 * between
    return np.asarray(
        within_window / (window * (window - 1))
        + within_reference / (reference * (reference - 1))
        - 2 * between / (window * reference),
        dtype=np.float32,
    )
