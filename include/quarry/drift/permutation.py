"""The permutation test: how large would a statistic be if the window's documents were any documents?

Under the hypothesis of no drift, documents of reference and window are exchangeable; so the labels are dealt anew to
whole documents, and the statistic is computed again, by one matrix product for all permutations together.
Sources: B. Phipson and G. K. Smyth, "Permutation P-values should never be zero", 2010 (the added one);
T. Winkler et al., "Permutation inference for the general linear model", 2014 (whole-block exchangeability).
"""

import numpy as np
from numpy.typing import NDArray

from include.quarry.records import Float32

PERMUTATIONS = 999
_ROUNDING = 1e-6


def deal_labels(reference: int, window: int, *, permutations: int, seed: int) -> Float32:
    """Labels `[m, 1 + p]`: 1 marks a document of the window. The first column is the truth, with the window last."""
    truth = np.repeat(np.array([0, 1], dtype=np.float32), [reference, window])
    dealt = np.tile(truth[:, None], (1, permutations))
    np.random.default_rng([seed, 1]).permuted(dealt, axis=0, out=dealt)
    return np.concatenate([truth[:, None], dealt], axis=1)


def p_value(values: NDArray[np.floating]) -> float:
    """The share of `values` `[1 + p]` at least as large as the first, which is the one that was observed."""
    margin = _ROUNDING * max(1e-6, float(np.abs(values).max()))
    return float(np.count_nonzero(values >= values[0] - margin) / len(values))
