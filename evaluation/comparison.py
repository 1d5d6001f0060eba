"""Two runs of one suite, query by query."""

from dataclasses import dataclass

import numpy as np

from evaluation.record import RunRecord
from evaluation.significance import CONFIDENCE, Difference, paired_bootstrap
from include.quarry.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class QueryChange:
    """One query's score in the run before and in the run after."""

    query_id: str
    text: str
    before: float
    after: float

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """The change of one metric between two runs. `unmatched` counts judged queries that only one of them has."""

    metric: str
    before: float
    after: float
    difference: Difference
    changes: tuple[QueryChange, ...]
    unmatched: int

    @property
    def worst(self) -> list[QueryChange]:
        """The queries that lost, the greatest loss first."""
        return sorted((c for c in self.changes if c.change < 0), key=lambda c: (c.change, c.query_id))

    @property
    def best(self) -> list[QueryChange]:
        """The queries that won, the greatest gain first."""
        return sorted((c for c in self.changes if c.change > 0), key=lambda c: (-c.change, c.query_id))

    @property
    def summary(self) -> str:
        """The numbers in one line."""
        difference, interval = self.difference, self.difference.interval
        return (
            f"{self.metric} {self.before:.4f} -> {self.after:.4f} ({interval.mean:+.4f}, {CONFIDENCE:.0%} interval "
            f"{interval.low:+.4f} to {interval.high:+.4f}, p = {difference.p_value:.4f}, {difference.queries} queries)"
        )


def compare(before: RunRecord, after: RunRecord, metric: str) -> Comparison:
    """Pair the judged queries of two runs by id. Raises `InvalidInput` on foreign suites, metrics or queries."""
    if before.suite != after.suite:
        raise InvalidInput(
            f"the runs are of suites {before.suite!r} and {after.suite!r}; only runs of one suite can be compared"
        )
    if metric not in before.metrics or metric not in after.metrics:
        raise InvalidInput(f"metric {metric!r} is not in both runs; allowed are {sorted(after.metrics)}")
    old = {query.query_id: query for query in before.judged}
    new = {query.query_id: query for query in after.judged}
    common = [query_id for query_id in old if query_id in new]
    if not common:
        raise InvalidInput("the runs have no judged query in common; were the suite's queries renumbered?")
    changes = tuple(
        QueryChange(query_id, new[query_id].text, old[query_id].scores[metric], new[query_id].scores[metric])
        for query_id in common
    )
    return Comparison(
        metric=metric,
        before=float(np.mean([change.before for change in changes])),
        after=float(np.mean([change.after for change in changes])),
        difference=paired_bootstrap(np.array([change.change for change in changes])),
        changes=changes,
        unmatched=len(old.keys() ^ new.keys()),
    )
