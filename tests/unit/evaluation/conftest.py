"""A small suite on disk, and a record to judge."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from evaluation.judgments import Thresholds
from evaluation.metrics import METRICS
from evaluation.record import Ingestion, Latency, QueryRecord, RunRecord

WriteSuite = Callable[..., Path]
MakeRecord = Callable[..., RunRecord]


@pytest.fixture
def write_suite(tmp_path: Path) -> WriteSuite:
    """Writes a suite folder from plain values."""

    def write(
        *,
        name: str = "small",
        queries: Sequence[object] = ({"_id": "q1", "text": "first"}, {"_id": "q2", "text": "second"}),
        qrels: str = "query-id\tcorpus-id\tscore\nq1\ta\t1\nq2\tb\t2\n",
        split: str = "test",
        card: str | None = None,
        corpus: Sequence[object] | None = None,
    ) -> Path:
        folder = tmp_path / name
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        (folder / "queries.jsonl").write_text("".join(json.dumps(query) + "\n" for query in queries))
        (folder / "qrels" / f"{split}.tsv").write_text(qrels)
        if card is not None:
            (folder / "suite.yaml").write_text(card)
        if corpus is not None:
            (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in corpus))
        return folder

    return write


@pytest.fixture
def make_record() -> MakeRecord:
    """A record whose judged queries have the given score in every metric."""

    def make(
        scores: Sequence[float] = (1.0, 0.5, 0.0),
        *,
        suite: str = "small",
        versions: tuple[str, ...] = ("v1",),
        thresholds: Thresholds | None = None,
        min_judged_queries: int = 2,
        ingestion: Ingestion | None = None,
        p99_ms: float = 20.0,
    ) -> RunRecord:
        judged = tuple(
            QueryRecord(
                query_id=f"q{number}",
                text=f"question {number}",
                answerable=True,
                relevant_documents=1,
                latency_ms=10.0 + number,
                scores=dict.fromkeys(METRICS, value),
                ranking=("a", "b"),
            )
            for number, value in enumerate(scores)
        )
        unanswerable = QueryRecord(
            query_id="nothing",
            text="nobody knows",
            answerable=False,
            relevant_documents=0,
            latency_ms=5.0,
            scores={},
            ranking=("c",),
        )
        mean = sum(scores) / len(scores) if scores else 0.0
        return RunRecord(
            suite=suite,
            corpus="main",
            tenant="default",
            driver="scripted",
            top_k=100,
            connections=1,
            started_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
            index_versions=versions,
            watermark=7,
            spec="0123456789abcdef",
            headline="ndcg@10",
            min_judged_queries=min_judged_queries,
            thresholds=thresholds or Thresholds(),
            metrics=dict.fromkeys(METRICS, mean) if scores else {},
            latency=Latency(p50_ms=10.0, p99_ms=p99_ms, mean_ms=11.0),
            ingestion=ingestion,
            queries=(*judged, unanswerable),
            notes=(),
        )

    return make
