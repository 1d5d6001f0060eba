"""A reader of a change feed: pull a batch, accept it with its offset in one transaction, go on from there.

The catalog's offset is the only truth. A batch is accepted if the offset still stands where the batch begins, and
dropped if not: then another reader has accepted it. So two readers that hold one partition for a moment, as during a
rebalance, can neither apply a change twice nor skip one, whatever the broker believes.
"""

import logging
import threading
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from include.quarry.catalog.database import Database
from include.quarry.catalog.offsets import load_offset
from include.quarry.errors import Unavailable
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.pace import Pace
from include.quarry.feeds.protocol import Batch, ChangeFeed, Garbled

logger = logging.getLogger(__name__)
_REST_S = 1.0


@dataclass(slots=True)
class Progress:
    """What a reader did since it began. `fenced` counts batches that another reader had accepted, `told_at` is when the
    source says that the newest change of a partition was made."""

    changes: Counter[str] = field(default_factory=Counter)
    told_at: dict[str, datetime] = field(default_factory=dict)
    batches: int = 0
    fenced: int = 0


class Stream:
    """Reads one feed into the log. One thread calls `run` or `step`."""

    def __init__(self, feed: ChangeFeed, ingestor: Ingestor, database: Database, pace: Pace | None = None) -> None:
        self._feed = feed
        self._ingestor = ingestor
        self._database = database
        self._pace = pace or Pace()
        self._stopped = threading.Event()
        self.progress = Progress()

    def run(self) -> None:
        """Read until `stop`. A source or a catalog that does not answer is waited for."""
        while not self._stopped.is_set():
            try:
                self.step()
            except Unavailable as error:
                logger.warning("feed %s: %s; trying again", self._feed.name, error)
                self._stopped.wait(_REST_S)

    def stop(self) -> None:
        """End `run` after the batch at hand."""
        self._stopped.set()

    def lag(self) -> dict[str, int]:
        """What waits in the source, by partition; from any thread. Raises `Unavailable`."""
        return self._feed.lag()

    def close(self) -> None:
        """Leave the source; the offsets stay in the catalog."""
        self._feed.close()

    def step(self) -> int:
        """Pull once and accept what came; gives how many changes that was. Raises `Unavailable`."""
        batches = self._feed.pull(self._offset, limit=self._pace.limit, wait_s=self._pace.wait_s)
        try:
            counts = self._ingestor.accept(self._feed.name, batches) if batches else []
        except Unavailable:
            for batch in batches:  # or nothing would bring them until the next change of their partition
                self._feed.rewind(batch.partition)
            raise
        for batch, counted in zip(batches, counts, strict=True):
            self._note(batch, counted)
        count = sum(len(batch.changes) for batch in batches)
        self._pace.pulled(count)
        return count

    def _note(self, batch: Batch, counted: Counter[str] | None) -> None:
        if counted is None:
            self.progress.fenced += 1
            logger.info("another reader of %s has accepted changes of %s", self._feed.name, batch.partition)
            self._feed.rewind(batch.partition)
            return
        self.progress.batches += 1
        self.progress.changes.update(counted)
        for change in reversed(batch.changes):
            if not isinstance(change, Garbled) and change.at is not None:
                self.progress.told_at[batch.partition] = change.at
                break
        if batch.ends is not None:
            self._feed.accepted(batch.partition, batch.ends)

    def _offset(self, partition: str) -> str | None:
        with self._database.read() as connection:
            return load_offset(connection, self._feed.name, partition)
