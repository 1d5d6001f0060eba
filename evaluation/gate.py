"""The gate: numbers against limits, and a verdict that errs on the side of refusing.

pass       every limit holds
fail       at least one is broken, or a fault was found
undecided  the numbers do not allow a decision: too few judged queries, a measure missing, an index that changed

Two questions end in such a verdict: `judge` holds one run against thresholds, and against a baseline if one is given;
`candidate.judge_candidate` holds a candidate against the live version.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluation.comparison import compare
from evaluation.judgments import Thresholds
from evaluation.metrics import METRICS
from evaluation.record import RunRecord
from evaluation.significance import Interval, bootstrap_mean

Outcome = Literal["pass", "fail", "undecided"]
Ground = Literal[
    "threshold",
    "baseline",
    "doubt",
    "completeness",
    "passages",
    "vectors",
    "relevance",
    "latency",
    "size",
    "answers",
    "cost",
]
EXIT_CODES: dict[Outcome, int] = {"pass": 0, "fail": 1, "undecided": 2}


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the gate decided as it did: a word to act upon, and a sentence to read."""

    ground: Ground
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Check:
    """One limit. `interval` is a bootstrap interval over queries and `note` says where the limit comes from, both for
    the reader; the value decides."""

    measure: str
    value: float
    relation: Literal["at least", "at most"]
    threshold: float
    interval: Interval | None = None
    ground: Ground = "threshold"
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.value >= self.threshold if self.relation == "at least" else self.value <= self.threshold

    def __str__(self) -> str:
        sign = "holds" if self.passed else "is broken"
        note = f" ({self.note})" if self.note else ""
        return f"{self.measure} {self.value:.4f}: {self.relation} {self.threshold:g} {sign}{note}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's decision, with its numbers and its reasons."""

    outcome: Outcome
    checks: tuple[Check, ...]
    reasons: tuple[Reason, ...]

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 2 undecided."""
        return EXIT_CODES[self.outcome]


def decide(
    checks: Sequence[Check], *, doubts: Sequence[str] = (), faults: Sequence[Reason] = (), praise: str
) -> Verdict:
    """The verdict. A doubt outweighs every number: better no verdict than one nobody can trust."""
    if doubts:
        return Verdict("undecided", tuple(checks), tuple(Reason("doubt", doubt) for doubt in doubts))
    broken = [Reason(check.ground, str(check)) for check in checks if not check.passed]
    if broken or faults:
        return Verdict("fail", tuple(checks), (*broken, *faults))
    return Verdict("pass", tuple(checks), (Reason("threshold", praise),))


def judge(record: RunRecord, thresholds: Thresholds, *, baseline: RunRecord | None = None) -> Verdict:
    """Decide about a run by its suite's thresholds. It fails too when significantly worse than a baseline."""
    doubts = [] if thresholds else ["there is no threshold; set some under `thresholds` in suite.yaml"]
    doubts += doubts_about(record, thresholds)
    checks = [] if doubts else list(threshold_checks(record, thresholds))
    faults: list[Reason] = []
    if baseline and not doubts:
        comparison = compare(baseline, record, record.headline)
        if comparison.unmatched or comparison.difference.queries < record.min_judged_queries:
            doubts.append(f"the baseline judges other queries: {comparison.summary}")
        elif comparison.difference.significant and comparison.difference.interval.mean < 0:
            faults.append(Reason("baseline", f"significantly worse than the baseline: {comparison.summary}"))
    praise = f"all {len(checks)} thresholds hold over {len(record.judged)} judged queries"
    return decide(checks, doubts=doubts, faults=faults, praise=praise)


def doubts_about(record: RunRecord, thresholds: Thresholds) -> Iterator[str]:
    """Why the numbers of a run cannot carry a verdict."""
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


def threshold_checks(record: RunRecord, thresholds: Thresholds) -> Iterator[Check]:
    """Every threshold of the suite against the run's number."""
    for measure, threshold in thresholds.at_least.items():
        yield Check(measure, record.measures[measure], "at least", threshold, _interval(record, measure))
    for measure, threshold in thresholds.at_most.items():
        yield Check(measure, record.measures[measure], "at most", threshold, _interval(record, measure))


def _interval(record: RunRecord, measure: str) -> Interval | None:
    if measure not in METRICS:
        return None
    return bootstrap_mean(np.array([query.scores[measure] for query in record.judged]))
