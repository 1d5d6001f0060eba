"""Brings vectors to length one, in fp32 whatever precision they were computed in."""

import numpy as np

from include.quarry.records import Float32


def unit_length(values: Float32) -> Float32:
    """float32 `[n, d]` -> the same with each row of length one. A row of zeros stays a row of zeros."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, np.finfo(np.float32).tiny), dtype=np.float32)
