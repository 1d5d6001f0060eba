"""What to do about a verdict, stated from its numbers.

none               nothing is wrong, or not surely enough
refresh_centroids  mass moved between known regions: remember the new shape; the index serves it as well as before
retrain_index      some of the window lies where the index has no region yet: train its quantiser or graph on it
change_embedding   a candidate spec was gated and is better on judged queries: the model no longer fits
try_embedding      most of the window lies where nothing was before: retrain, and gate a candidate spec
restore_model      the model itself changed: bring the old one back, or build a version with the new one
"""

from dataclasses import dataclass
from typing import Literal

from include.quarry.drift.centroid_distance import NAME as DISTANCE
from include.quarry.drift.verdict import ALPHA, Verdict

Action = Literal["none", "refresh_centroids", "retrain_index", "change_embedding", "try_embedding", "restore_model"]
NEW_SHARE, FOREIGN_SHARE = 0.1, 0.5
"""Shares of a window on new ground from which the index is trained anew, and from which the model itself is doubted."""


@dataclass(frozen=True, slots=True)
class CandidateGate:
    """What the gate found for another spec: the difference on the suite's metric, with its interval's lower bound."""

    spec: str
    difference: float
    low: float


@dataclass(frozen=True, slots=True)
class Remedy:
    """The action and, in a sentence, why."""

    action: Action
    reason: str


def choose_remedy(verdict: Verdict, candidate: CandidateGate | None = None) -> Remedy:
    """The remedy of a verdict. A candidate counts only if the gate's lower bound says that it is better."""
    if verdict.outcome == "model_changed":
        return Remedy("restore_model", "embedding model changed under its name: pin the former one, or build a version")
    if verdict.outcome != "drift":
        return Remedy("none", f"the verdict is {verdict.outcome}")
    if candidate is not None and candidate.low > 0:
        return Remedy(
            "change_embedding",
            f"embedding model no longer fits: try spec {candidate.spec}, better by {candidate.difference:.4f} "
            f"(at least {candidate.low:.4f}) on the suite",
        )
    new = _new_ground(verdict)
    if new < NEW_SHARE:
        return Remedy("refresh_centroids", "content moved between known regions; hardly any lies where none was before")
    numbers = f"{new:.0%} of the window lies where the reference has next to nothing"
    if new >= FOREIGN_SHARE:
        return Remedy(
            "try_embedding", f"{numbers}: retrain the quantiser or graph, and gate a candidate embedding spec"
        )
    return Remedy("retrain_index", f"{numbers}: train the quantiser or graph on what the corpus holds now")


def _new_ground(verdict: Verdict) -> float:
    """The share of the window on new ground; 0 where the distances are not surely greater than before."""
    for one in verdict.statistics:
        if one.name == DISTANCE and one.matters and verdict.adjusted[DISTANCE] <= ALPHA:
            return one.details["new_ground"]
    return 0.0
