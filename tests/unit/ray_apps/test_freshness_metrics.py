"""The age of a change counts from its source to the moment in which the answering version has it, once."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.quarry.catalog.database import Database, migrate
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.protocol import Batch, Upserted
from include.quarry.records import DocumentKey, RawDocument
from ray_apps.retrieval import freshness_metrics
from ray_apps.retrieval.freshness_metrics import FreshnessMetrics


def test_every_change_is_told_once_when_it_becomes_searchable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate(f"sqlite:///{tmp_path / 'catalog.db'}")
    database = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    told: list[tuple[float, str]] = []
    histogram = SimpleNamespace(observe=lambda age_s, tags: told.append((age_s, tags["feed"])))
    monkeypatch.setattr(freshness_metrics, "Histogram", lambda *_: histogram)
    monkeypatch.setattr(threading.Thread, "start", lambda _: None)
    at = datetime.now(UTC) - timedelta(hours=1)
    for number in range(3):
        raw = RawDocument(DocumentKey("main", "red", str(number)), "x", b"Granite.", "text/plain")
        batch = Batch("p", str(number) if number else None, [Upserted(raw, at)], str(number + 1))
        Ingestor(database, make_chunker, 1000).accept("stream:x", [batch])
    watermark = {"main": 1}
    metrics = FreshnessMetrics(database, SimpleNamespace(watermarks=lambda: dict(watermark)))
    metrics.look()
    assert told == []
    for reached, count in ((2, 1), (2, 1), (3, 2)):
        watermark["main"] = reached
        metrics.look()
        assert len(told) == count
    assert {feed for _, feed in told} == {"stream:x"}
    assert all(age_s == pytest.approx(3600, abs=600) for age_s, _ in told)
    database.close()
