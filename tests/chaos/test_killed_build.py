"""A build in shards on Ray that loses a worker and then its driver: complete, and no finished shard is built twice."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import find_version
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.lake.pending import PendingQuery, pending_texts
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentKey
from include.quarry.retrieval.sharded import shard_name
from include.quarry.routing.completeness import check_completeness
from include.quarry.settings import Settings
from tests.chaos.backfill import ingest
from tests.chaos.build_driver import spec_of
from tests.chaos.journal import SPEC, JournalEmbedder, wait_until
from tests.chaos.ray_cluster import RayCluster

pytestmark = pytest.mark.chaos
_SHARDS = 4
_DONE, _HELD = (0, 1), (2, 3)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    cluster = RayCluster()
    yield cluster
    cluster.stop()


class Build:
    """An installation whose texts have vectors, and the drivers that build a version of it."""

    def __init__(self, home: Path, cluster: RayCluster) -> None:
        self.home = home
        self.settings = Settings(home=home)
        self.drivers: list[subprocess.Popen[bytes]] = []
        self._cluster = cluster
        ingest(home)
        self.embed(JournalEmbedder(home / "unused", 0))

    def embed(self, embedder: JournalEmbedder) -> None:
        database = Database(self.settings.catalog_url)
        with database.read() as connection:
            texts = pending_texts(
                connection, PendingQuery("main", SPEC.chunker.fingerprint, SPEC.embedding.fingerprint)
            )
        (self.home / "unused").mkdir(exist_ok=True)
        lake = VectorLake(database, self.settings.lake_uri)
        lake.put_inline([text.text_hash for text in texts], embedder.encode([text.text for text in texts]))
        database.close()

    def start(self) -> subprocess.Popen[bytes]:
        command = (sys.executable, "-m", "tests.chaos.build_driver", str(self.home), str(_SHARDS))
        with (self.home / "driver.log").open("ab") as log:
            driver = subprocess.Popen(command, env=self._cluster.environment, stdout=log, stderr=log)
        self.drivers.append(driver)
        return driver

    def journal(self, event: str) -> list[tuple[int, int]]:
        """(shard, pid) of each line of this kind, in order."""
        path = self.home / "journal"
        rows = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        return [(int(number), int(pid)) for kind, pid, number in rows if kind == event]

    def await_lines(self, event: str, count: int, driver: subprocess.Popen[bytes]) -> None:
        def there_or_dead() -> bool:
            assert driver.poll() is None, self.log()
            return len(self.journal(event)) >= count

        wait_until(there_or_dead, f"{count} lines {event!r}: {self.journal(event)}")

    def log(self) -> str:
        return (self.home / "driver.log").read_text()

    def delete(self, doc_id: str) -> None:
        database = Database(self.settings.catalog_url)
        Ingestor(database, make_chunker, 10**7).delete(DocumentKey("main", "default", doc_id), "folder:test")
        database.close()

    def receipts(self, folder: Path) -> list[tuple[int, float]]:
        """What tells one writing of a finished shard from another."""
        stats = [(folder / shard_name(number) / "manifest.json").stat() for number in _DONE]
        return [(stat.st_ino, stat.st_mtime) for stat in stats]


@pytest.fixture
def build(cluster: RayCluster, tmp_path: Path) -> Iterator[Build]:
    build = Build(tmp_path / "home", cluster)
    yield build
    for number in range(_SHARDS):
        (build.home / f"hold-{number}").unlink(missing_ok=True)
    for driver in build.drivers:
        driver.kill()
        driver.wait()


def test_a_build_that_loses_a_worker_and_its_driver_builds_what_is_missing_and_nothing_twice(build: Build) -> None:
    for number in _HELD:
        (build.home / f"hold-{number}").touch()
    first = build.start()
    build.await_lines("held", len(_HELD), first)
    build.await_lines("built", len(_DONE), first)
    victim = psutil.Process(dict(build.journal("held"))[2])
    victim.kill()
    build.await_lines("held", len(_HELD) + 1, first)  # Ray has started the shard again
    assert build.journal("held")[-1][0] == 2
    assert build.journal("held")[-1][1] != victim.pid

    first.kill()
    first.wait()
    workers = [pid for _, pid in build.journal("held")]
    wait_until(lambda: not any(map(psutil.pid_exists, workers)), "the tasks to end with their driver")
    receipts = build.receipts(build.home / "indexes" / "v1" / "building")
    build.delete("minutes-007")
    for number in _HELD:
        (build.home / f"hold-{number}").unlink()
    second = build.start()
    assert second.wait(120) == 0, build.log()

    database = Database(build.settings.catalog_url)
    with database.read() as connection:
        version = find_version(connection, "v1")
    assert (version.state, version.spec) == ("shadow", spec_of(_SHARDS))
    assert build.receipts(Path(version.snapshot)) == receipts
    assert [sum(number == each for each, _ in build.journal("begun")) for number in range(_SHARDS)] == [1, 1, 3, 2]
    proof = check_completeness("v1", build.settings)
    assert proof["digest"] == proof["log_digest"]
    assert f"built {_SHARDS} of {_SHARDS} shards, " in build.log()
