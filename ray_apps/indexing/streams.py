"""The streams that a replica reads: a thread a feed, for as long as the replica lives."""

import logging
import threading
from collections import Counter as Tally
from datetime import UTC, datetime

from ray.util.metrics import Counter, Gauge

from include.quarry.catalog.database import Database
from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.feeds.feed_specs import FeedSpec
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.opening import open_change_feed
from include.quarry.feeds.stream import Stream
from ray_apps.jobs.background import give_way

logger = logging.getLogger(__name__)
_OPEN_AGAIN_S = 30.0
_REPORT_EVERY_S = 5.0


class StreamReader:
    """Reads one feed. A feed that is described wrongly is tried again now and then, and does not disturb the others."""

    def __init__(self, spec: FeedSpec, ingestor: Ingestor, database: Database) -> None:
        self._spec = spec
        self._ingestor = ingestor
        self._database = database
        self._changes = Counter("quarry_feed_changes_total", "Changes taken in from streams", ("feed", "outcome"))
        self._fenced = Counter("quarry_feed_fenced_total", "Batches that another reader had accepted", ("feed",))
        self._lag = Gauge("quarry_feed_lag", "What waits in the source: changes, or bytes of its log", ("feed", "part"))
        self._age = Gauge(
            "quarry_feed_lag_seconds", "Age of the newest change taken in, while others wait", ("feed", "part")
        )
        self._thread = threading.Thread(target=self._read, name=f"stream-{spec.kind}", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether the feed is read, or waited for."""
        return self._thread.is_alive()

    def _read(self) -> None:
        give_way()
        pause = threading.Event()
        while True:
            try:
                feed = open_change_feed(self._spec, self._database, self._ingestor.max_bytes)
                self._follow(feed.name, Stream(feed, self._ingestor, self._database))
            except Misconfigured as error:
                logger.error("a %s feed cannot be read: %s", self._spec.kind, error)
            pause.wait(_OPEN_AGAIN_S)

    def _follow(self, name: str, stream: Stream) -> None:
        ended = threading.Event()
        report = threading.Thread(target=self._report, args=(name, stream, ended), daemon=True)
        report.start()
        try:
            stream.run()
        finally:
            ended.set()
            stream.close()

    def _report(self, name: str, stream: Stream, ended: threading.Event) -> None:
        told: Tally[str] = Tally()
        while not ended.wait(_REPORT_EVERY_S):
            counted = stream.progress.changes | Tally(fenced=stream.progress.fenced)
            for outcome, count in (counted - told).items():
                if outcome == "fenced":
                    self._fenced.inc(count, {"feed": name})
                else:
                    self._changes.inc(count, {"feed": name, "outcome": outcome})
            told = counted
            try:
                waiting = stream.lag()
            except Unavailable as error:
                logger.warning("the lag of feed %s is not known now: %s", name, error)
                continue
            for part, count in waiting.items():
                tags, told_at = {"feed": name, "part": part}, stream.progress.told_at.get(part)
                self._lag.set(count, tags)
                waits = count > 0 and told_at is not None
                self._age.set((datetime.now(UTC) - told_at).total_seconds() if waits and told_at else 0.0, tags)
