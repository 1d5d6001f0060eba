"""One run of a suite: ask, score, and write it all down."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from evaluation.drivers.protocol import Driver
from evaluation.harness import Outcome, ask_all, ignore
from evaluation.judgments import Suite
from evaluation.metrics import mean_scores, score
from evaluation.record import Ingestion, Latency, QueryRecord, RunRecord

TOP_K = 100
KEPT_DOCUMENTS = 10


async def run_suite(
    suite: Suite,
    driver: Driver,
    *,
    corpus: str,
    tenant: str,
    connections: int = 1,
    spec: str = "",
    ingestion: Ingestion | None = None,
    on_outcome: Callable[[Outcome], None] = ignore,
) -> RunRecord:
    """Ask all queries of the suite for their 100 best passages and score the documents these belong to.

    Recall@100 is therefore over the documents of the 100 best passages. Unanswerable queries are asked and timed, but
    they have nothing to find, so they count in no mean.
    """
    started_at = datetime.now(UTC)
    outcomes = await ask_all(suite.queries, driver, top_k=TOP_K, connections=connections, on_outcome=on_outcome)
    return make_record(
        suite,
        outcomes,
        driver=driver.name,
        corpus=corpus,
        tenant=tenant,
        connections=connections,
        spec=spec,
        ingestion=ingestion,
        started_at=started_at,
    )


def make_record(
    suite: Suite,
    outcomes: Sequence[Outcome],
    *,
    driver: str,
    corpus: str,
    tenant: str,
    connections: int,
    spec: str,
    started_at: datetime,
    ingestion: Ingestion | None = None,
) -> RunRecord:
    """The record of what a suite's queries brought. A query asked several times counts with its first ranking and its
    median latency."""
    first = {outcome.query.query_id: outcome for outcome in reversed(outcomes)}
    latencies_ms: dict[str, list[float]] = {}
    for outcome in outcomes:
        latencies_ms.setdefault(outcome.query.query_id, []).append(outcome.latency_ms)
    asked = [replace(first[query], latency_ms=float(np.median(each))) for query, each in latencies_ms.items()]
    scores = score(suite.judgments, {outcome.query.query_id: outcome.ranking for outcome in asked})
    return RunRecord(
        suite=suite.name,
        corpus=corpus,
        tenant=tenant,
        driver=driver,
        top_k=TOP_K,
        connections=connections,
        started_at=started_at,
        index_versions=tuple(sorted({outcome.index_version for outcome in outcomes})),
        watermark=max(outcome.watermark for outcome in outcomes),
        spec=spec,
        headline=suite.card.headline,
        min_judged_queries=suite.card.min_judged_queries,
        thresholds=suite.card.thresholds,
        metrics=mean_scores(scores),
        latency=_latency([outcome.latency_ms for outcome in asked]),
        ingestion=ingestion,
        queries=tuple(_query_record(outcome, suite, scores) for outcome in asked),
        notes=suite.notes,
    )


def _latency(latencies_ms: list[float]) -> Latency:
    p50, p99 = np.percentile(latencies_ms, [50, 99])
    return Latency(p50_ms=float(p50), p99_ms=float(p99), mean_ms=float(np.mean(latencies_ms)))


def _query_record(outcome: Outcome, suite: Suite, scores: dict[str, dict[str, float]]) -> QueryRecord:
    query = outcome.query
    grades = suite.judgments.get(query.query_id, {})
    return QueryRecord(
        query_id=query.query_id,
        text=query.text,
        answerable=query.answerable,
        relevant_documents=sum(grade > 0 for grade in grades.values()),
        latency_ms=outcome.latency_ms,
        scores=scores.get(query.query_id, {}),
        ranking=outcome.ranking[:KEPT_DOCUMENTS],
    )
