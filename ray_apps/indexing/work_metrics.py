"""What indexing did and was spared: counters on Ray's Prometheus endpoint, and sums in the catalog for `/v1/status`."""

import logging
import threading

from ray.util.metrics import Counter

from include.quarry.catalog.database import Database
from include.quarry.catalog.indexing_work import add_work
from include.quarry.errors import Unavailable
from include.quarry.lake.work import Work

logger = logging.getLogger(__name__)
_REPORT_EVERY_S = 5.0


class WorkMetrics:
    """Tells what a replica counts until the process ends."""

    def __init__(self, database: Database, work: Work) -> None:
        self._database = database
        self._work = work
        self._counters = {
            "embedded": Counter("quarry_texts_embedded_total", "Texts embedded at once", ("corpus",)),
            "reused": Counter("quarry_vectors_reused_total", "Passages whose vectors were there already", ("corpus",)),
            "skipped": Counter("quarry_documents_skipped_total", "Documents offered again as they are", ("corpus",)),
        }
        self._thread = threading.Thread(target=self._report, name="work-metrics", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the counters still move."""
        return self._thread.is_alive()

    def tell(self) -> None:
        """Tell what was counted since the last call; what the catalog does not take is told with the next."""
        if not (taken := self._work.take()):
            return
        try:
            with self._database.write(in_turn=False) as connection:
                for corpus, counts in sorted(taken.items()):
                    add_work(connection, corpus, counts)
        except Unavailable as error:
            logger.warning("what was indexed cannot be told now: %s", error)
            self._work.give_back(taken)
            return
        for corpus, counts in taken.items():
            for kind, count in counts.items():
                self._counters[kind].inc(count, {"corpus": corpus})

    def _report(self) -> None:
        pause = threading.Event()
        while not pause.wait(_REPORT_EVERY_S):
            self.tell()
