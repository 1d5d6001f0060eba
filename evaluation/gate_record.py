"""The document that a comparison of two versions leaves behind: the verdict and all that it rests on."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from evaluation.gate import Verdict
from evaluation.json_record import JsonRecord, RecordPart
from evaluation.record import RunRecord
from evaluation.trial import Trial

SCHEMA: Literal["quarry-evaluation-gate/1"] = "quarry-evaluation-gate/1"


class ReasonRecord(RecordPart):
    """Why: a word to act upon, and a sentence to read."""

    ground: str
    text: str


class CheckRecord(RecordPart):
    """One limit and how it was kept."""

    measure: str
    value: float
    relation: str
    threshold: float
    passed: bool


class ChangeRecord(RecordPart):
    """One query's score and latency on both sides."""

    query_id: str
    text: str
    live: float
    candidate: float
    live_ms: float
    candidate_ms: float

    @property
    def change(self) -> float:
        return self.candidate - self.live


class ComparisonRecord(RecordPart):
    """The difference in one metric, its interval and p-value, and every judged query."""

    metric: str
    margin: float
    mean: float
    low: float
    high: float
    p_value: float
    changes: tuple[ChangeRecord, ...]

    @property
    def worst(self) -> list[ChangeRecord]:
        """The queries that lost, the greatest loss first."""
        return sorted((c for c in self.changes if c.change < 0), key=lambda c: (c.change, c.query_id))


class GateRecord(JsonRecord):
    """One verdict about one candidate. Both runs and the comparison are absent where it was refused before asking."""

    schema_version: Literal["quarry-evaluation-gate/1"] = SCHEMA
    suite: str
    corpus: str
    candidate: str
    against: str
    started_at: datetime
    outcome: Literal["pass", "fail", "undecided"]
    reasons: tuple[ReasonRecord, ...]
    checks: tuple[CheckRecord, ...]
    facts: dict[str, str | int | float]
    comparison: ComparisonRecord | None = None
    live_run: RunRecord | None = None
    candidate_run: RunRecord | None = None

    @property
    def summary(self) -> dict[str, Any]:
        """What fits on one line: everything but the queries."""
        return self.model_dump(
            mode="json", exclude={"live_run": True, "candidate_run": True, "comparison": {"changes": True}}
        )


def reasons_of(verdict: Verdict) -> tuple[ReasonRecord, ...]:
    """A verdict's reasons as they are kept."""
    return tuple(ReasonRecord(ground=reason.ground, text=reason.text) for reason in verdict.reasons)


def checks_of(verdict: Verdict) -> tuple[CheckRecord, ...]:
    """A verdict's checks as they are kept."""
    return tuple(
        CheckRecord(
            measure=check.measure,
            value=check.value,
            relation=check.relation,
            threshold=check.threshold,
            passed=check.passed,
        )
        for check in verdict.checks
    )


def comparison_of(trial: Trial, margin: float) -> ComparisonRecord:
    """A trial's differences as they are kept."""
    comparison, interval = trial.comparison, trial.comparison.difference.interval
    live_ms, candidate_ms = (_latencies(side.record.judged) for side in (trial.live, trial.candidate))
    changes = tuple(
        ChangeRecord(
            query_id=change.query_id,
            text=change.text,
            live=change.before,
            candidate=change.after,
            live_ms=live_ms[change.query_id],
            candidate_ms=candidate_ms[change.query_id],
        )
        for change in comparison.changes
    )
    return ComparisonRecord(
        metric=comparison.metric,
        margin=margin,
        mean=interval.mean,
        low=interval.low,
        high=interval.high,
        p_value=comparison.difference.p_value,
        changes=changes,
    )


def _latencies(queries: Sequence[Any]) -> dict[str, float]:
    return {query.query_id: query.latency_ms for query in queries}
