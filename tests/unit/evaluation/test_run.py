"""A run writes down all that is needed to judge it later."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from evaluation.harness import Outcome
from evaluation.judgments import load_suite
from evaluation.record import Ingestion, read_record
from evaluation.run import make_record, run_suite
from include.quarry.errors import InvalidInput, NotFound
from tests.unit.evaluation.scripted_driver import ScriptedDriver

QUERIES = [
    {"_id": "q1", "text": "first"},
    {"_id": "q2", "text": "second"},
    {"_id": "q3", "text": "nobody knows", "metadata": {"answerable": False}},
]


async def test_means_are_over_answerable_queries_only(write_suite) -> None:
    suite = load_suite(str(write_suite(queries=QUERIES)))
    driver = ScriptedDriver({"first": [("a", 1.0)], "nobody knows": [("a", 1.0)]})
    record = await run_suite(suite, driver, corpus="main", tenant="t", ingestion=Ingestion(documents=10, seconds=4))
    assert record.metrics["ndcg@10"] == pytest.approx(0.5)
    assert (record.suite, record.corpus, record.tenant, record.watermark) == ("small", "main", "t", 7)
    assert [query.answerable for query in record.queries] == [True, True, False]
    assert record.queries[2].scores == {}
    assert len(record.judged) == 2
    assert record.measures["ingestion_documents_per_s"] == pytest.approx(2.5)
    assert record.measures["latency_p99_ms"] >= record.measures["latency_p50_ms"] >= 0
    assert record.index_versions == ("v1",)


async def test_an_index_that_changes_during_the_run_is_noticed(write_suite) -> None:
    suite = load_suite(str(write_suite()))
    record = await run_suite(suite, ScriptedDriver({}, versions=["v1", "v1", "v2"]), corpus="main", tenant="t")
    assert record.index_versions == ("v1", "v2")


def test_a_record_survives_the_way_through_a_file(tmp_path: Path, make_record) -> None:
    record = make_record(ingestion=Ingestion(documents=3, seconds=1.5))
    record.write(tmp_path / "deep" / "run.json")
    assert read_record(tmp_path / "deep" / "run.json") == record


@pytest.mark.parametrize("document", ["", "[]", '{"schema_version": "quarry-evaluation-run/0"}'])
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, document: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(document)
    with pytest.raises(InvalidInput, match="quarry-evaluation-run/1"):
        read_record(path)


def test_a_missing_record_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="--json"):
        read_record(tmp_path / "run.json")


def test_a_query_asked_several_times_counts_with_its_median_latency(write_suite) -> None:
    suite = load_suite(str(write_suite(queries=QUERIES)))
    outcomes = [
        Outcome(query, ("a",), latency_ms, version, 7)
        for latency_ms, version in ((1.0, "v1"), (50.0, "v1"), (3.0, "v2"))
        for query in suite.queries
    ]
    named = {"driver": "scripted", "corpus": "main", "tenant": "t", "connections": 1, "spec": ""}
    record = make_record(suite, outcomes, started_at=datetime(2026, 1, 2, tzinfo=UTC), **named)
    assert [query.latency_ms for query in record.queries] == [3.0] * len(suite.queries)
    assert record.index_versions == ("v1", "v2")
    assert record.latency_ms(95) == 3.0
