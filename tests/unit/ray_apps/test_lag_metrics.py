"""The lag gauges go on when the catalog is busy; when their thread has died, the replica says so."""

import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from include.quarry.errors import Unavailable
from include.quarry.routing.status import Lag
from ray_apps.retrieval import lag_metrics
from ray_apps.retrieval.deployment import RetrievalDeployment
from ray_apps.retrieval.lag_metrics import LagMetrics
from tests.door import open_test_door

_PATIENCE_S = 10.0


class Gauges:
    """What was set, by name of the gauge; waits for it."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.moved = threading.Event()

    def make(self, name: str, _description: str, _tags: tuple[str, ...]) -> "Gauges.One":
        return Gauges.One(self, name)

    class One:
        def __init__(self, all_of_them: "Gauges", name: str) -> None:
            self._all, self._name = all_of_them, name

        def set(self, value: float, tags: dict[str, str]) -> None:
            self._all.values[f"{self._name}/{tags['corpus']}"] = value
            if len(self._all.values) == 2:
                self._all.moved.set()


class Indexes:
    def __init__(self, watermarks: Callable[[], dict[str, int]]) -> None:
        self.watermarks = watermarks


class Thread:
    def __init__(self, alive: bool) -> None:
        self.is_alive = lambda: alive


@pytest.fixture
def gauges(monkeypatch: pytest.MonkeyPatch) -> Gauges:
    gauges = Gauges()
    monkeypatch.setattr(lag_metrics, "Gauge", gauges.make)
    monkeypatch.setattr(lag_metrics, "_REPORT_EVERY_S", 0.01)
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    return gauges


async def check_health(follower: object, metrics: object) -> None:
    """What Serve asks a replica that has these threads."""
    others = {"_writer": Thread(alive=True), "_freshness": Thread(alive=True), "_door": open_test_door()}
    await RetrievalDeployment.func_or_class.check_health(SimpleNamespace(_indexes=follower, _metrics=metrics, **others))


def test_the_gauges_move_again_after_the_catalog_was_busy(gauges: Gauges, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ended = threading.Event()

    def watermarks() -> dict[str, int]:
        if ended.is_set():
            raise SystemExit  # ends the thread, which else lives as long as its process
        return {"busy": 7}

    def busy_twice(_database: object, corpus: str, _watermark: int) -> Lag:
        asked.append(corpus)
        if len(asked) <= 2:
            raise Unavailable("the catalog cannot take the request now (database is locked); try again")
        return Lag(3, 1.5)

    monkeypatch.setattr(lag_metrics, "lag_of", busy_twice)
    metrics = LagMetrics(None, Indexes(watermarks))
    assert gauges.moved.wait(_PATIENCE_S)
    assert gauges.values == {"quarry_index_lag_changes/busy": 3, "quarry_index_lag_seconds/busy": 1.5}
    assert metrics.is_alive()
    ended.set()
    metrics._thread.join(_PATIENCE_S)
    assert not metrics.is_alive()


async def test_a_replica_whose_metrics_thread_died_is_unhealthy(gauges: Gauges) -> None:
    def bug() -> dict[str, int]:
        raise ZeroDivisionError

    metrics = LagMetrics(None, Indexes(bug))
    metrics._thread.join(_PATIENCE_S)
    with pytest.raises(RuntimeError, match="thread has ended"):
        await check_health(Thread(alive=True), metrics)


async def test_a_replica_that_no_longer_follows_the_log_is_unhealthy() -> None:
    await check_health(Thread(alive=True), Thread(alive=True))
    with pytest.raises(RuntimeError, match="thread has ended"):
        await check_health(Thread(alive=False), Thread(alive=True))
