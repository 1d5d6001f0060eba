"""The verdict on a candidate that was tried on live queries, and the doubts that forbid one.

pass       it failed on no more queries, found much the same and was about as quick as the version that is live
fail       it did not, and each reason says by how much
undecided  too few queries were seen
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from include.quarry.catalog.observations import Observation

Outcome = Literal["pass", "fail", "undecided"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate may cost.

    A better model or chunker finds other documents too, so the overlap only tells a candidate from a broken one;
    whether it is better, the gate has decided on judgments. Latencies are medians; `slack_ms` is too little to matter.
    """

    min_queries: int = 50
    max_failures: int = 0
    min_overlap: float = 0.3
    max_latency_ratio: float = 2.0
    slack_ms: float = 5.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What was decided, and the numbers it rests on."""

    outcome: Outcome
    reasons: tuple[str, ...]
    queries: int
    failures: int
    overlap: float
    correlation: float
    live_ms: float
    candidate_ms: float


def judge_trial(seen: Observation, limits: Limits) -> Trial:
    """Decide about a candidate from what was seen of it. A failure decides at once, everything else needs numbers."""
    live_ms, candidate_ms = _median(seen.live_ms), _median(seen.candidate_ms)
    reasons = tuple(_faults(seen, limits, live_ms, candidate_ms))
    outcome: Outcome = "fail" if reasons else "pass"
    if seen.queries < limits.min_queries and seen.failures <= limits.max_failures:
        outcome, reasons = "undecided", (f"{seen.queries} queries were seen; {limits.min_queries} are needed",)
    return Trial(
        outcome, reasons, seen.queries, seen.failures, seen.mean_overlap, seen.mean_correlation, live_ms, candidate_ms
    )


def _faults(seen: Observation, limits: Limits, live_ms: float, candidate_ms: float) -> Iterator[str]:
    if seen.failures > limits.max_failures:
        yield f"it failed on {seen.failures} of {seen.queries} queries; {limits.max_failures} are allowed"
    if seen.mean_overlap < limits.min_overlap:
        yield f"its overlap@10 with the live version is {seen.mean_overlap:.2f}; at least {limits.min_overlap:g} is due"
    if candidate_ms > limits.max_latency_ratio * live_ms + limits.slack_ms:
        yield (
            f"it takes {candidate_ms:.1f} ms where the live version takes {live_ms:.1f} ms; "
            f"{limits.max_latency_ratio:g} times that and {limits.slack_ms:g} ms is allowed"
        )


def _median(latencies_ms: list[float]) -> float:
    return float(np.median(latencies_ms)) if latencies_ms else 0.0
