"""What is in quarantine of each feed, folders included, as a gauge on Ray's Prometheus endpoint."""

import logging
import threading

from ray.util.metrics import Gauge

from include.quarry.catalog.database import Database
from include.quarry.catalog.quarantine import count_by_feed
from include.quarry.errors import Unavailable

logger = logging.getLogger(__name__)
_REPORT_EVERY_S = 30.0


class QuarantineMetrics:
    """Reports until the process ends: each feed from its first quarantine on, also when that is empty again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._aside = Gauge("quarry_quarantined", "Documents and messages that could not be read", ("feed",))
        self._feeds: set[str] = set()
        self._thread = threading.Thread(target=self._report, name="quarantine-metrics", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the gauge still moves."""
        return self._thread.is_alive()

    def tell(self) -> None:
        """Report now; what the catalog does not say is reported the next time."""
        try:
            with self._database.read() as connection:
                counted = count_by_feed(connection)
        except Unavailable as error:
            logger.warning("what is in quarantine is not known now: %s", error)
            return
        self._feeds |= counted.keys()
        for feed in self._feeds:
            self._aside.set(counted.get(feed, 0), {"feed": feed})

    def _report(self) -> None:
        pause = threading.Event()
        while not pause.wait(_REPORT_EVERY_S):
            self.tell()
