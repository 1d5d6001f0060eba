"""What was indexed is told once: to Prometheus and to the catalog, or, while that is busy, later."""

from contextlib import AbstractContextManager

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.indexing_work import read_work
from include.quarry.errors import Unavailable
from include.quarry.lake.work import Work
from ray_apps.indexing import work_metrics
from ray_apps.indexing.work_metrics import WorkMetrics


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """What the counters were told, by name and corpus; nobody but the test makes them tell."""
    told: dict[str, int] = {}

    class Counter:
        def __init__(self, name: str, _description: str, _tags: tuple[str, ...]) -> None:
            self._name = name

        def inc(self, count: int, tags: dict[str, str]) -> None:
            key = f"{self._name}/{tags['corpus']}"
            told[key] = told.get(key, 0) + count

    monkeypatch.setattr(work_metrics, "Counter", Counter)
    monkeypatch.setattr(work_metrics, "_REPORT_EVERY_S", 3600.0)
    return told


def test_counters_and_catalog_are_told_once(database: Database, told: dict[str, int]) -> None:
    work = Work()
    metrics = WorkMetrics(database, work)
    work.add("main", "embedded", 3)
    work.add("wiki", "skipped")
    metrics.tell()
    metrics.tell()
    assert told == {"quarry_texts_embedded_total/main": 3, "quarry_documents_skipped_total/wiki": 1}
    with database.read() as connection:
        assert read_work(connection, "main") == {"embedded": 3, "reused": 0, "skipped": 0}
    assert metrics.is_alive()


def test_what_a_busy_catalog_does_not_take_is_told_with_the_next(
    database: Database, told: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Work()
    metrics = WorkMetrics(database, work)

    def busy(*, in_turn: bool = True) -> AbstractContextManager[object]:
        raise Unavailable("the catalog cannot take the request now (database is locked); try again")

    with monkeypatch.context() as patched:
        patched.setattr(database, "write", busy)
        work.add("main", "reused", 2)
        metrics.tell()
    assert told == {}
    work.add("main", "reused")
    metrics.tell()
    assert told == {"quarry_vectors_reused_total/main": 3}
