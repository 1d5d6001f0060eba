"""What Prometheus sees of limits: whether Redis is down, and each refusal once."""

from collections import Counter

import pytest

from ray_apps.gateway import limit_metrics
from ray_apps.gateway.limit_metrics import LimitMetrics


class Metric:
    """A gauge or a counter, as Ray's are called."""

    def __init__(self, _name: str, _description: str, _tags: tuple[str, ...] = ()) -> None:
        self.values: Counter[str] = Counter()

    def set(self, value: float) -> None:
        self.values["now"] = int(value)

    def inc(self, value: int, tags: dict[str, str]) -> None:
        self.values[tags["limit"]] += value


class FakeLimiter:
    def __init__(self) -> None:
        self.is_shared = True
        self.refused: Counter[str] = Counter()


def test_the_metrics_follow_the_limiter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_metrics, "Gauge", Metric)
    monkeypatch.setattr(limit_metrics, "Counter", Metric)
    limiter = FakeLimiter()
    metrics = LimitMetrics(limiter)  # type: ignore[arg-type]
    down, refused = metrics._down.values, metrics._refused.values
    metrics.report()
    assert (down["now"], refused) == (0, {})
    limiter.is_shared = False
    limiter.refused.update({"requests": 3, "tokens": 1})
    metrics.report()
    assert (down["now"], refused) == (1, {"requests": 3, "tokens": 1})
    limiter.is_shared = True
    limiter.refused.update({"requests": 2})
    metrics.report()
    assert (down["now"], refused) == (0, {"requests": 5, "tokens": 1})
