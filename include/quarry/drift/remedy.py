"""What to do about a verdict, stated from its numbers.

none               nothing is wrong, or not surely enough
refresh_centroids  mass moved between known regions: remember the new shape; the index serves it as well as before
check_wording      known things are said in other words: look at the source and its extraction before anything else
retrain_index      some of the window lies where the index has no region yet: train its quantiser or graph on it
change_embedding   a candidate spec was gated and is better on judged queries: the model no longer fits
try_embedding      most of the window lies where nothing was before: retrain, and gate a candidate spec
restore_model      the model itself changed: bring the old one back, or build a version with the new one
renew_suite        people ask otherwise than they did: the judged suite no longer speaks for them; the index may be fine
"""

from dataclasses import dataclass
from typing import Literal

from include.quarry.drift.centroid_distance import NAME as DISTANCE
from include.quarry.drift.cluster_mass import NAME as MASS
from include.quarry.drift.verdict import ALPHA, Verdict
from include.quarry.drift.wording import NAME as WORDING

Action = Literal[
    "none",
    "refresh_centroids",
    "check_wording",
    "retrain_index",
    "change_embedding",
    "try_embedding",
    "restore_model",
    "renew_suite",
]
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
    """The remedy of a verdict about documents. A candidate counts only if the gate's lower bound says it is better."""
    if verdict.outcome != "drift":
        return _without_drift(verdict)
    if candidate is not None and candidate.low > 0:
        return Remedy(
            "change_embedding",
            f"embedding model no longer fits: try spec {candidate.spec}, better by {candidate.difference:.4f} "
            f"(at least {candidate.low:.4f}) on the suite",
        )
    new = _new_ground(verdict)
    if new < NEW_SHARE and _alarms(verdict, WORDING) and not _alarms(verdict, MASS):
        return Remedy(
            "check_wording", "the documents lie where they used to, but are worded otherwise: read which words"
        )
    if new < NEW_SHARE:
        return Remedy("refresh_centroids", "content moved between known regions; hardly any lies where none was before")
    numbers = f"{new:.0%} of the window lies where the reference has next to nothing"
    if new >= FOREIGN_SHARE:
        return Remedy(
            "try_embedding", f"{numbers}: retrain the quantiser or graph, and gate a candidate embedding spec"
        )
    return Remedy("retrain_index", f"{numbers}: train the quantiser or graph on what the corpus holds now")


def query_remedy(verdict: Verdict) -> Remedy:
    """The remedy of a verdict about queries: no index is built for them, but what it is judged by gets old."""
    if verdict.outcome != "drift":
        return _without_drift(verdict)
    new = _new_ground(verdict)
    what = f"{new:.0%} of the queries are about something new" if new >= NEW_SHARE else "people ask otherwise"
    return Remedy("renew_suite", f"{what}: the judged suite no longer looks like what is asked; renew it")


def _without_drift(verdict: Verdict) -> Remedy:
    if verdict.outcome == "model_changed":
        return Remedy("restore_model", "embedding model changed under its name: pin the former one, or build a version")
    return Remedy("none", f"the verdict is {verdict.outcome}")


def _new_ground(verdict: Verdict) -> float:
    """The share of the window on new ground; 0 where the distances are not surely greater than before."""
    found = (one.details["new_ground"] for one in verdict.statistics if one.name == DISTANCE)
    return next(found, 0.0) if _alarms(verdict, DISTANCE) else 0.0


def _alarms(verdict: Verdict, name: str) -> bool:
    matters = any(one.matters for one in verdict.statistics if one.name == name)
    return matters and verdict.adjusted.get(name, 1) <= ALPHA
