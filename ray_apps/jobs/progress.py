"""Progress of an embedding job on its log: count, rate and time left."""

import threading
import time

from include.quarry.catalog.database import Database
from include.quarry.lake.pending import PendingQuery, count_texts

_REPORT_EVERY_S = 5.0


class EmbeddingProgress:
    """Prints count, rate and time left while the block runs; the count comes from the lake, so it survives restarts."""

    def __init__(self, database: Database, window: PendingQuery) -> None:
        self._database = database
        self._window = window
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        started, (first, _) = time.monotonic(), self._count()
        while not self._stopped.wait(_REPORT_EVERY_S):
            done, total = self._count()
            rate = (done - first) / (time.monotonic() - started)
            left = f"{(total - done) / rate:.0f} s left" if rate else "warming up"
            print(f"embedded {done:,} of {total:,} texts, {rate:.1f}/s, {left}", flush=True)

    def _count(self) -> tuple[int, int]:
        with self._database.read() as connection:
            return count_texts(connection, self._window.corpus, self._window.chunker, self._window.fingerprint)
