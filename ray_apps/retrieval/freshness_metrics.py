"""How long a change takes from its source until it is searchable here, as a histogram on Ray's Prometheus endpoint."""

import logging
import threading
from datetime import UTC, datetime

import sqlalchemy as sa
from ray.util.metrics import Histogram

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import changes
from include.quarry.errors import Unavailable
from include.quarry.routing.resident import ResidentIndexes

logger = logging.getLogger(__name__)
_LOOK_EVERY_S = 0.1
_AT_ONCE = 1000
_BOUNDS_S = [0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600]


class FreshnessMetrics:
    """Watches the watermarks, and tells the age of every change that the live version has come past.

    Age counts from when the source says that it changed, else from when the log took it in.
    """

    def __init__(self, database: Database, indexes: ResidentIndexes) -> None:
        self._database = database
        self._indexes = indexes
        self._ages = Histogram("quarry_freshness_seconds", "From source to searchable", _BOUNDS_S, ("corpus", "feed"))
        self._past: dict[str, int] = {}
        self._thread = threading.Thread(target=self._report, name="freshness-metrics", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the histogram still grows."""
        return self._thread.is_alive()

    def look(self) -> None:
        """Tell of the changes between the watermark seen last and the one now; the first one seen is a beginning."""
        for corpus, watermark in self._indexes.watermarks().items():
            past = self._past.setdefault(corpus, watermark)
            if watermark > past:
                for feed, at in self._between(corpus, past, watermark):
                    age_s = max(0.0, (datetime.now(UTC) - at).total_seconds())
                    self._ages.observe(age_s, {"corpus": corpus, "feed": feed})
                self._past[corpus] = watermark

    def _between(self, corpus: str, past: int, watermark: int) -> list[tuple[str, datetime]]:
        """The newest changes of those; a replica that had much to catch up with tells of these only."""
        c = changes.c
        query = (
            sa.select(c.feed, c.source_at, c.accepted_at)
            .where(c.corpus == corpus, c.seq > past, c.seq <= watermark)
            .order_by(c.seq.desc())
            .limit(_AT_ONCE)
        )
        with self._database.read() as connection:
            return [(row.feed, row.source_at or row.accepted_at) for row in connection.execute(query)]

    def _report(self) -> None:
        pause = threading.Event()
        while not pause.wait(_LOOK_EVERY_S):
            try:
                self.look()
            except Unavailable as error:
                logger.warning("how fresh the index is cannot be told now: %s", error)
