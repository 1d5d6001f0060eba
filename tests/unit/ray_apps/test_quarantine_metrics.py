"""Whoever watches the quarantine hears of every feed, also of a folder that nobody calls a stream."""

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.quarantine import forget_quarantined, set_aside
from include.quarry.records import DocumentKey
from ray_apps.indexing import quarantine_metrics
from ray_apps.indexing.quarantine_metrics import QuarantineMetrics

FOLDER, TOPIC = "folder:main:default:/docs", "stream:kafka:pages"


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What the gauge was told last, by feed; nobody but the test makes it tell."""
    told: dict[str, int] = {}

    class Gauge:
        def __init__(self, name: str, _description: str, _tags: tuple[str, ...]) -> None:
            assert name == "quarry_quarantined"

        def set(self, count: int, tags: dict[str, str]) -> None:
            told[tags["feed"]] = count

    monkeypatch.setattr(quarantine_metrics, "Gauge", Gauge)
    monkeypatch.setattr(quarantine_metrics, "_REPORT_EVERY_S", 3600.0)
    return told


def test_the_quarantine_of_every_feed_is_told_until_it_is_empty_again(database: Database, told: dict[str, int]) -> None:
    metrics = QuarantineMetrics(database)
    metrics.tell()
    assert told == {}
    with database.write() as connection:
        for corpus, feed, name in (("main", FOLDER, "a.pdf"), ("wiki", FOLDER, "b.pdf"), ("main", TOPIC, "7")):
            set_aside(connection, DocumentKey(corpus, "default", name), "file:///x", feed, "broken")
    metrics.tell()
    assert told == {FOLDER: 2, TOPIC: 1}
    with database.write() as connection:
        forget_quarantined(connection, DocumentKey("main", "default", "7"))
    metrics.tell()
    assert told == {FOLDER: 2, TOPIC: 0}
    assert metrics.is_alive()
