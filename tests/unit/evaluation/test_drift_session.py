"""The reports of a judged window: one of documents, and one of queries where those were judged."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from evaluation.drift_session import report_drift
from include.quarry.catalog.database import Database
from include.quarry.drift.query_watch import LEAST_QUERIES
from include.quarry.drift.watching import DriftWatch
from include.quarry.errors import NotFound
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.unit.drift.test_query_watch import ask
from tests.unit.drift.test_watching import TopicEmbedder
from tests.unit.routing.corpus import SPEC, Corpus

pytestmark = pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def corpus(database: Database, tmp_path: Path, catalog_url: str, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    monkeypatch.setattr("evaluation.drift_session.embedders", lambda settings: lambda spec: TopicEmbedder())
    monkeypatch.setattr("evaluation.drift_report.write_evidently", lambda path, *_: path.touch())
    corpus = Corpus(database, Settings(home=tmp_path / "home", database_url=catalog_url))
    write(corpus, "granite", range(60))
    build_version("v1", "main", SPEC, corpus.settings)
    promote("v1", corpus.settings)
    return corpus


def write(corpus: Corpus, topic: str, numbers: range) -> None:
    for number in numbers:
        corpus.put(f"d{number}", f"{topic} of stone number {number}.")
    corpus.embed(TopicEmbedder())


def test_documents_and_queries_are_reported_with_their_words_and_texts(corpus: Corpus) -> None:
    watch = DriftWatch(corpus.database, corpus.lake, corpus.settings.home.absolute(), "main")
    watch.remember(TopicEmbedder())
    began = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)  # windows are kept by the second
    first, second, tick = began + HOUR, began + 2 * HOUR, Event()
    while datetime.now(UTC) < began:
        tick.wait(0.02)
    write(corpus, "coral", range(100, 140))
    ask(corpus, ["granite"], LEAST_QUERIES, began)
    watch.queries._promoted_at = began - HOUR
    watch.judge(TopicEmbedder(), began, first)
    (alone,) = report_drift("main", first, corpus.settings, None)
    assert alone.subject == "content"
    assert "<td>coral</td><td>100.0%</td><td>0.0%</td>" in alone.page.read_text()
    ask(corpus, ["coral"], 60, first + timedelta(minutes=1))
    watch.judge(TopicEmbedder(), first, second)
    reports = report_drift("main", second, corpus.settings, None)
    assert [report.subject for report in reports] == ["content", "queries"]
    page = reports[1].page.read_text()
    assert "Drift of queries in main: drift" in page
    assert "renew_suite" in page
    assert "<td>coral of stone question" in page


def test_without_a_judged_window_the_remedy_is_named(corpus: Corpus) -> None:
    with pytest.raises(NotFound, match="detect_drift"):
        report_drift("main", None, corpus.settings, None)
