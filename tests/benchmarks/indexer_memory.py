"""Memory of an indexing replica while a hundred thousand changes go through it: the last quarter against the second.

The replica's own class runs in a process of its own, over a topic and a catalog as always. Texts come from a small
pool, so that most are embedded already and the changes go through at the rate of the catalog, not of the model.
"""

import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from confluent_kafka import Producer

from include.quarry.catalog.database import Database
from include.quarry.catalog.offsets import load_offsets
from include.quarry.operations.installation import REPOSITORY
from include.quarry.settings import Settings
from tests.benchmarks.report import Report, Row
from tests.benchmarks.streamed import TOPIC, streamed

NAME = "indexer_memory"
MAX_GROWTH = 1.05
_FEED = f"stream:kafka:quarry:{TOPIC}"
_DOCUMENTS, _TEXTS, _DELETED = 5_000, 200, 0.1
_AHEAD = 5_000
_SAMPLE_S = 0.5
_PATIENCE_S = 120.0


def run(folder: Path, changes: int) -> Report:
    """Send `changes` changes and watch the process that takes them in."""
    with streamed(folder, NAME, partitions=3) as (broker, settings):
        command = [sys.executable, "-m", f"tests.benchmarks.{NAME}", str(settings.home)]
        replica = subprocess.Popen(command, cwd=REPOSITORY)
        try:
            began = time.monotonic()
            samples = _feed(broker, settings, psutil.Process(replica.pid), changes)
            seconds = time.monotonic() - began
        finally:
            replica.kill()
            replica.wait()
    quarters = [
        [size for done, size in samples if changes * part / 4 <= done < changes * (part + 1) / 4] for part in range(4)
    ]
    second, last = (sum(each) / len(each) for each in (quarters[1], quarters[3]))
    row = Row("resident memory, MiB", quarters[1], quarters[3], last / second, at_most=MAX_GROWTH)
    means = ", ".join(f"{sum(each) / len(each):.0f}" for each in quarters)
    return Report(NAME, [row], [f"{changes} changes in {seconds:.0f} s; MiB by quarter: {means}"])


def _feed(broker: str, settings: Settings, replica: psutil.Process, changes: int) -> list[tuple[int, float]]:
    """How many changes were taken in and what the replica holds then in MiB, until all are."""
    dice, samples, taken = random.Random(0), [], 0
    producer = Producer({"bootstrap.servers": broker})
    database = Database(settings.catalog_url)
    sent, moved_at = 0, time.monotonic()
    while taken < changes:
        while sent < min(changes, taken + _AHEAD):
            doc_id = f"note-{dice.randrange(_DOCUMENTS)}"
            event = {"op": "delete", "tenant": "default", "doc_id": doc_id}
            if dice.random() > _DELETED:
                event |= {"op": "upsert", "text": f"Delivery of kind {dice.randrange(_TEXTS)}.", "title": "Deliveries"}
            producer.produce(TOPIC, json.dumps(event).encode(), doc_id)
            sent += 1
        assert producer.flush(60) == 0
        time.sleep(_SAMPLE_S)
        with database.read() as connection:
            now = sum(map(int, load_offsets(connection, _FEED).values()))
        moved_at = time.monotonic() if now > taken else moved_at
        if time.monotonic() > moved_at + _PATIENCE_S:
            raise TimeoutError(f"{now} of {changes} changes were taken in, and no more for {_PATIENCE_S:.0f} s")
        taken = now
        samples.append((taken, replica.memory_info().rss / 2**20))
    database.close()
    return samples


def _replica(home: Path) -> None:
    """Be an indexing replica until killed."""
    from ray_apps.indexing.deployment import IndexingDeployment

    IndexingDeployment.func_or_class(Settings(home=home, feeds=str(home / "feeds.yaml")))  # type: ignore[attr-defined]
    threading.Event().wait()


if __name__ == "__main__":
    _replica(Path(sys.argv[1]))
