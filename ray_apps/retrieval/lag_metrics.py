"""How far a replica is behind the log, as gauges on Ray's Prometheus endpoint."""

import logging
import threading

from ray.util.metrics import Gauge

from include.quarry.catalog.database import Database
from include.quarry.errors import Unavailable
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.routing.status import lag_of

logger = logging.getLogger(__name__)
_REPORT_EVERY_S = 5.0


class LagMetrics:
    """Reports every resident corpus until the process ends."""

    def __init__(self, database: Database, indexes: ResidentIndexes) -> None:
        self._database = database
        self._indexes = indexes
        self._changes = Gauge("quarry_index_lag_changes", "Accepted changes not yet searchable", ("corpus",))
        self._seconds = Gauge("quarry_index_lag_seconds", "Age of the oldest change not yet searchable", ("corpus",))
        self._thread = threading.Thread(target=self._report, name="lag-metrics", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the gauges still move."""
        return self._thread.is_alive()

    def _report(self) -> None:
        pause = threading.Event()
        while not pause.wait(_REPORT_EVERY_S):
            for corpus, watermark in self._indexes.watermarks().items():
                try:
                    lag = lag_of(self._database, corpus, watermark)
                except Unavailable as error:
                    logger.warning("the lag of corpus %s is not known now: %s", corpus, error)
                    continue
                self._changes.set(lag.changes, {"corpus": corpus})
                self._seconds.set(lag.seconds, {"corpus": corpus})
