"""Is a difference between two systems more than luck? The paired bootstrap over queries.

Sources: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993 (percentile interval, chapter 13);
T. Sakai, "Evaluating evaluation metrics based on the bootstrap", SIGIR 2006 (paired test: resample the differences
shifted to mean 0, and count how often their mean is at least as extreme as the one observed). Sakai divides each mean
by the resample's deviation; here it is left plain, because when few queries changed many resamples have no deviation.
Legend: `n` queries, `b` resamples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from include.quarry.errors import InvalidInput

Float64 = NDArray[np.float64]
RESAMPLES = 10_000
CONFIDENCE = 0.95
_CELLS_AT_A_TIME = 2_000_000
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its percentile bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean of paired differences, its interval, and the probability of one as large under no difference at all."""

    queries: int
    interval: Interval
    p_value: float

    @property
    def significant(self) -> bool:
        """Whether luck is an unlikely explanation, at 1 - CONFIDENCE."""
        return self.p_value < 1 - CONFIDENCE


def bootstrap_mean(values: Float64, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The mean of `values` [n] and its interval. Raises `InvalidInput` on no values, or on one that is not finite."""
    values = _checked(values)
    means = np.concatenate([sample.mean(axis=1) for sample in _resample(values, resamples, seed)])
    return _interval(values, means)


def paired_bootstrap(differences: Float64, *, resamples: int = RESAMPLES, seed: int = 0) -> Difference:
    """Test whether the mean of `differences` [n], one per query, is other than 0.

    The p-value is (extreme resamples + 1) / (b + 1), which is never 0 (Davison and Hinkley, 1997, section 4.2).
    Raises `InvalidInput` on no differences, or on one that is not finite.
    """
    differences = _checked(differences)
    centre = differences.mean()
    shifted = np.concatenate([sample.mean(axis=1) for sample in _resample(differences - centre, resamples, seed)])
    extreme = np.count_nonzero(np.abs(shifted) >= np.abs(centre) - _ROUNDING)
    return Difference(len(differences), _interval(differences, shifted + centre), (extreme + 1) / (resamples + 1))


def _resample(values: Float64, resamples: int, seed: int) -> Iterator[Float64]:
    """`resamples` samples of `values` with replacement, in stacks `[b, n]` of bounded size."""
    random = np.random.default_rng(seed)
    rows = max(1, _CELLS_AT_A_TIME // len(values))
    for start in range(0, resamples, rows):
        shape = (min(rows, resamples - start), len(values))
        yield values[random.integers(0, len(values), size=shape)]


def _interval(values: Float64, means: Float64) -> Interval:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(values.mean()), float(low), float(high))


def _checked(values: Float64) -> Float64:
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise InvalidInput(f"a bootstrap needs one finite number per query, in one row; got shape {values.shape}")
    return values
