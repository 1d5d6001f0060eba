"""The mean squared excess over the median: a test for what is rare and far out.

What is new is at first a small part of a window. A mean, and an AUC, drown it among the rest; the upper semi-variance
weighs it by the square of how far out it lies.
"""

import numpy as np
from numpy.typing import NDArray

from include.quarry.drift.permutation import p_value
from include.quarry.records import Float32

FLOOR = 1.25
"""Of the ratio: about what a share of 2 % gives, three deviations out."""
_TINY = 1e-9


def excess_test(values: NDArray[np.floating], labels: Float32) -> tuple[float, float]:
    """The ratio of the mean squared excess, window over reference, and the p-value of their difference.

    `values` are `[m, 1]` if they do not depend on the labels `[m, 1 + p]`, else a column for each. The median is of
    window and reference together, so that it is the same for every permutation. One-sided: 1 is no difference.
    """
    squares = np.maximum(values - np.median(values, axis=0), 0) ** 2
    window = labels[:, 0].sum()
    inside = (squares * labels).sum(axis=0) if squares.shape == labels.shape else squares[:, 0] @ labels
    mean_window = inside / window
    mean_reference = (squares.sum(axis=0) - inside) / (len(labels) - window)
    scale = squares.mean(axis=0) + _TINY
    return float(mean_window[0] / (mean_reference[0] + _TINY)), p_value((mean_window - mean_reference) / scale)
