"""The gate: numbers against thresholds, and a verdict that errs on the side of refusing.

pass       every threshold holds, and the run is not significantly worse than the baseline, if one is given
fail       at least one of them does not
undecided  the numbers do not allow a decision: too few judged queries, a measure missing, an index that changed
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.comparison import compare
from evaluation.judgments import Thresholds
from evaluation.metrics import METRICS
from evaluation.record import RunRecord
from evaluation.significance import Interval, bootstrap_mean

Outcome = Literal["pass", "fail", "undecided"]
EXIT_CODES: dict[Outcome, int] = {"pass": 0, "fail": 1, "undecided": 2}


@dataclass(frozen=True, slots=True)
class Check:
    """One threshold. `interval` is the bootstrap interval of a mean over queries, for the reader; the mean decides."""

    measure: str
    value: float
    relation: Literal["at least", "at most"]
    threshold: float
    interval: Interval | None

    @property
    def passed(self) -> bool:
        return self.value >= self.threshold if self.relation == "at least" else self.value <= self.threshold

    def __str__(self) -> str:
        sign = "holds" if self.passed else "is broken"
        return f"{self.measure} {self.value:.4f}: {self.relation} {self.threshold:g} {sign}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's decision, with its numbers and its reasons."""

    outcome: Outcome
    checks: tuple[Check, ...]
    reasons: tuple[str, ...]

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 2 undecided."""
        return EXIT_CODES[self.outcome]


def judge(record: RunRecord, thresholds: Thresholds, *, baseline: RunRecord | None = None) -> Verdict:
    """Decide about a run. A doubt outweighs everything: better no verdict than one nobody can trust."""
    if doubts := tuple(_doubts(record, thresholds)):
        return Verdict("undecided", (), doubts)
    checks = tuple(_checks(record, thresholds))
    reasons = [str(check) for check in checks if not check.passed]
    if baseline:
        comparison = compare(baseline, record, record.headline)
        if comparison.unmatched or comparison.difference.queries < record.min_judged_queries:
            return Verdict("undecided", checks, (f"the baseline judges other queries: {comparison.summary}",))
        if comparison.difference.significant and comparison.difference.interval.mean < 0:
            reasons.append(f"significantly worse than the baseline: {comparison.summary}")
    if reasons:
        return Verdict("fail", checks, tuple(reasons))
    return Verdict("pass", checks, (f"all {len(checks)} thresholds hold over {len(record.judged)} judged queries",))


def _doubts(record: RunRecord, thresholds: Thresholds) -> Iterator[str]:
    if not thresholds:
        yield "there is no threshold; set some under `thresholds` in suite.yaml"
    if len(record.judged) < record.min_judged_queries:
        yield (
            f"{len(record.judged)} judged queries are too few; at least {record.min_judged_queries} are needed "
            "(min_judged_queries in suite.yaml)"
        )
    if len(record.index_versions) != 1:
        yield f"the index changed during the run (versions {list(record.index_versions)}); run it again"
    for measure in (*thresholds.at_least, *thresholds.at_most):
        value = record.measures.get(measure)
        if value is None or not np.isfinite(value):
            yield f"the run has no {measure} (it is {value}); it has {sorted(record.measures)}"


def _checks(record: RunRecord, thresholds: Thresholds) -> Iterator[Check]:
    for measure, threshold in thresholds.at_least.items():
        yield Check(measure, record.measures[measure], "at least", threshold, _interval(record, measure))
    for measure, threshold in thresholds.at_most.items():
        yield Check(measure, record.measures[measure], "at most", threshold, _interval(record, measure))


def _interval(record: RunRecord, measure: str) -> Interval | None:
    if measure not in METRICS:
        return None
    return bootstrap_mean(np.array([query.scores[measure] for query in record.judged]))
