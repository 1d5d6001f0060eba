"""How limits stand in one replica, as metrics on Ray's Prometheus endpoint."""

import threading
from collections import Counter as Counts

from ray.util.metrics import Counter, Gauge

from include.quarry.limits.limiter import Limiter

_REPORT_EVERY_S = 2.0


class LimitMetrics:
    """Reports until the process ends. A door without a limiter has nothing to report."""

    def __init__(self, limiter: Limiter | None) -> None:
        self._limiter = limiter
        self._reported: Counts[str] = Counts()
        self._down = Gauge("quarry_limits_redis_down", "1 while replicas cannot count requests together")
        self._refused = Counter("quarry_limits_refused", "Requests refused, by the limit that was used up", ("limit",))
        threading.Thread(target=self._keep_reporting, name="limit-metrics", daemon=True).start()

    def report(self) -> None:
        """Set the metrics to what they are now."""
        if self._limiter is None:
            return
        self._down.set(float(not self._limiter.is_shared))
        for limit, count in self._limiter.refused.copy().items():
            if new := count - self._reported[limit]:
                self._refused.inc(new, {"limit": limit})
                self._reported[limit] = count

    def _keep_reporting(self) -> None:
        pause = threading.Event()
        while not pause.wait(_REPORT_EVERY_S):
            self.report()
