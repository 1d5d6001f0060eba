"""A backfill that is killed, in three ways, ends with every text embedded and none of them twice.

What "twice" means: the engine is asked again for a text whose vector was kept. A process that dies inside the engine
has nothing to show for that call, so its unit is asked for again; the kills below land there, on purpose and for
certain, since the embedder holds its call until the process is dead. Then the journal must show each text finished
exactly once. (A kill in the moment between the engine's return and the rename of the part costs one unit once more,
as with any engine; no test relies on never hitting that moment.)
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.schema import chunks, claims, documents, vectors
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.records import DocumentKey, RawDocument
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.settings import Settings
from ray_apps.jobs.embed_corpus import EmbedCorpus, run
from tests.chaos.journal import SPEC, Journal, JournalEmbedder, wait_until
from tests.chaos.ray_cluster import RayCluster

pytestmark = pytest.mark.chaos
_DOCUMENTS = 50
_SECTIONS = 40
_MORNING = datetime(2026, 1, 1, 8, tzinfo=UTC)
_UNITS_BEFORE_THE_KILL = 3


@dataclass(slots=True)
class Backfill:
    """One installation with texts to embed, its drivers, and what must be true at the end."""

    home: Path
    cluster: RayCluster
    drivers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def journal(self) -> Journal:
        return Journal(self.home)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    def start(self, **job: object) -> subprocess.Popen[bytes]:
        """A driver in a process of its own."""
        command = (sys.executable, "-m", "tests.chaos.backfill_driver", str(self.home), json.dumps(job))
        with (self.home / "driver.log").open("ab") as log:
            driver = subprocess.Popen(command, env=self.cluster.environment, stdout=log, stderr=log)
        self.drivers.append(driver)
        return driver

    def hold_when(self, ready: Callable[[], bool], driver: subprocess.Popen[bytes], actors: int = 1) -> None:
        """Let the run get going, then keep `actors` engines inside a call."""
        self._await(ready, "the run to get going", driver)
        self.journal.hold()
        self._await(lambda: len(self.journal.pids("held")) >= actors, "the engines to hold", driver)

    def finish(self, driver: subprocess.Popen[bytes]) -> None:
        """Let the engines go and wait for the driver's good end."""
        self.journal.let_go()
        assert driver.wait(120) == 0, self.log()

    def log(self) -> str:
        return (self.home / "driver.log").read_text()

    def check(self) -> None:
        """Every text is embedded, none twice, and an index can be built from it."""
        wanted = self.texts()
        finished = self.journal.embedded()
        assert set(finished) == wanted
        assert set(finished.values()) == {1}, "the engine finished a text twice"
        assert sorted(self._rows()) == sorted(wanted)
        assert sorted(self._in_parts()) == sorted(wanted)
        assert run(EmbedCorpus(), self.settings, SPEC, lambda: JournalEmbedder(self.home, 0)) == 0
        assert sum(self.journal.embedded().values()) == sum(finished.values())
        built = build_version("v1", "main", SPEC, self.settings)
        proof = check_completeness("v1", self.settings)
        assert proof["digest"] == proof["log_digest"]
        assert proof["chunks"] == built["chunks"] == self._count(chunks)
        assert self._count(claims) == 0

    def texts(self) -> set[str]:
        return set(self._column(chunks.c.text_hash))

    def _rows(self) -> list[str]:
        return self._column(vectors.c.text_hash)

    def _in_parts(self) -> list[str]:
        parts = (self.home / "lake" / SPEC.embedding.fingerprint).glob("*.parquet")
        return [text for part in parts for text in pq.read_table(part, columns=["text_hash"])["text_hash"].to_pylist()]

    def _count(self, table: sa.Table) -> int:
        return len(self._column(next(iter(table.columns))))

    def _column(self, column: sa.Column[str]) -> list[str]:
        database = Database(self.settings.catalog_url)
        with database.read() as connection:
            values = list(connection.scalars(sa.select(column)))
        database.close()
        return values

    def _await(self, ready: Callable[[], bool], what: str, driver: subprocess.Popen[bytes]) -> None:
        def ready_or_dead() -> bool:
            assert driver.poll() is None, f"the driver ended before {what}: {self.log()}"
            return ready()

        wait_until(ready_or_dead, what)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    cluster = RayCluster()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with 50 documents of 40 sections, some of them in more than one document: 2,000 chunks, fewer texts."""
    home = tmp_path_factory.mktemp("ingested")
    settings = Settings(home=home)
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    ingestor = Ingestor(database, make_chunker, 10**7)
    for number in range(_DOCUMENTS):
        key = DocumentKey("main", "default", f"minutes-{number:03}")
        raw = RawDocument(key, f"file:///{key.doc_id}", _minutes(number).encode(), "text/markdown", title="Minutes")
        ingestor.upsert(raw, "folder:test")
        with database.write() as connection:  # one document an hour, for the windows
            at = _MORNING + timedelta(hours=number)
            connection.execute(sa.update(documents).where(documents.c.doc_id == key.doc_id).values(accepted_at=at))
    database.close()
    return home


@pytest.fixture
def backfill(ingested: Path, cluster: RayCluster, tmp_path: Path) -> Iterator[Backfill]:
    home = tmp_path / "home"
    shutil.copytree(ingested, home)
    backfill = Backfill(home, cluster)
    yield backfill
    backfill.journal.let_go()
    for driver in backfill.drivers:
        if driver.poll() is None:
            driver.kill()
        driver.wait()


def test_a_backfill_that_loses_its_driver_an_actor_and_a_node_embeds_everything_once(backfill: Backfill) -> None:
    journal, raylet = backfill.journal, backfill.cluster.spot_raylet()
    first = backfill.start()
    backfill.hold_when(lambda: journal.count("done") >= _UNITS_BEFORE_THE_KILL, first)
    first.kill()
    first.wait()
    kept = journal.count("done")

    second = backfill.start(min_actors=2, max_actors=2)
    journal.let_go()
    backfill.hold_when(lambda: journal.count("done") > kept and len(_alive(journal)) == 2, second, actors=2)
    assert "continuing the plan" in backfill.log()
    (at_home,) = [actor for actor in _alive(journal) if actor.ppid() != raylet.pid]
    at_home.kill()
    wait_until(lambda: len(set(_alive(journal)) - {at_home}) == 2, "a new actor in place of the killed one")

    (on_spot,) = [actor for actor in _alive(journal) if actor.ppid() == raylet.pid]
    raylet.kill()
    wait_until(lambda: on_spot not in _alive(journal), "the node's actor to die with it, inside the engine")
    backfill.finish(second)
    backfill.check()


def test_two_backfills_with_overlapping_windows_at_once_embed_nothing_twice(backfill: Backfill) -> None:
    backfill.cluster.spot_raylet()
    early, late = _MORNING + timedelta(hours=_DOCUMENTS * 0.7), _MORNING + timedelta(hours=_DOCUMENTS * 0.3)
    backfill.journal.hold()
    drivers = [backfill.start(to=early.isoformat()), backfill.start(**{"from": late.isoformat()})]
    wait_until(lambda: len(backfill.journal.pids("held")) == 2, "both runs to be inside their engine")
    for driver in drivers:
        backfill.finish(driver)
    backfill.check()


def _minutes(number: int) -> str:
    """Sections of about 40 words; every tenth document repeats the sections of the one before."""
    source = number - 1 if number % 10 == 9 else number
    return "\n\n".join(f"## Item {item} of meeting {source}\n\n{_words(source, item)}" for item in range(_SECTIONS))


def _words(source: int, item: int) -> str:
    topics = ("bridge", "harbour", "orchard", "library", "tramway", "granary", "aqueduct", "foundry")
    return " ".join(
        f"The {topics[(source + item + step) % 8]} committee heard case {source}-{item}-{step}." for step in range(6)
    )


def _alive(journal: Journal) -> list[psutil.Process]:
    """The actors that wrote to the journal and still live."""
    pids = journal.pids("begin")
    return [process for process in psutil.process_iter() if process.pid in pids]
