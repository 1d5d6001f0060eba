"""Maximum mean discrepancy: are the two samples of one distribution, wherever the difference may lie?

Source: A. Gretton et al., "A Kernel Two-Sample Test", JMLR 2012: the unbiased estimate (lemma 6), the median heuristic
for the width of the RBF kernel (section 8), and the permutation test. The space is whitened in part before, so that a
difference of style shows beside the much greater differences between topics.
"""

import numpy as np

from include.quarry.drift.documents import document_means
from include.quarry.drift.permutation import PERMUTATIONS, deal_labels, p_value
from include.quarry.drift.reference import Reference
from include.quarry.drift.statistic import Statistic
from include.quarry.drift.window import Window
from include.quarry.records import Float32

NAME = "mmd"
FLOOR = 0.0003
"""About what a wholly new topic gives that takes 6 % of a window; it grows with the square of the share."""
_RIDGE = 3.0
"""In mean variances: directions that vary much more than this are scaled down to it."""


def mmd(reference: Reference, window: Window, *, permutations: int = PERMUTATIONS, seed: int = 0) -> Statistic:
    """The unbiased squared discrepancy of window and reference, over documents' mean vectors."""
    past, present = (document_means(t.values, t.documents) for t in (reference.sample, window.texts))
    labels = deal_labels(len(past), len(present), permutations=permutations, seed=seed)
    discrepancies = squared_discrepancies(rbf_kernel(whiten(np.concatenate([past, present]))), labels)
    return Statistic(
        NAME,
        value=float(discrepancies[0]),
        floor=FLOOR,
        p_value=p_value(discrepancies),
        meaning="squared maximum mean discrepancy under an RBF kernel",
    )


def whiten(values: Float32) -> Float32:
    """The rows `[m, d]`, centred, with every direction's deviation `s` brought to `s / sqrt(s² + ridge)`."""
    centred = values - values.mean(axis=0)
    variances, directions = np.linalg.eigh(centred.T @ centred / len(values))
    ridge = _RIDGE * variances.sum() / min(values.shape)
    scales = 1 / np.sqrt(np.maximum(variances, 0) + ridge)
    return np.asarray(centred @ directions * scales, dtype=np.float32)


def rbf_kernel(values: Float32) -> Float32:
    """The kernel between all rows `[m, m]`; its squared width is the median squared distance."""
    norms = (values**2).sum(axis=1)
    squares = np.maximum(norms[:, None] + norms[None, :] - 2 * values @ values.T, 0)
    width = float(np.median(squares[np.triu_indices(len(squares), 1)])) or 1.0
    return np.asarray(np.exp(squares / -width), dtype=np.float32)


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
