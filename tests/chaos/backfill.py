"""An installation with texts to embed, its backfills, and what must be true when they are done."""

import json
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pyarrow.parquet as pq
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
from tests.chaos.ray_cluster import RayCluster, RayNode

DOCUMENTS = 50
MORNING = datetime(2026, 1, 1, 8, tzinfo=UTC)
_SECTIONS = 40
Call = tuple[int, tuple[str, ...]]
"""Of the engine: by which process, and for which texts."""


@dataclass(slots=True)
class Backfill:
    """One installation with texts to embed, its drivers, and what must be true at the end."""

    home: Path
    cluster: RayCluster
    call_s: float = 0.15
    drivers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def journal(self) -> Journal:
        return Journal(self.home)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home)

    def start(self, environment: Mapping[str, str] | None = None, **job: object) -> subprocess.Popen[bytes]:
        """A driver in a process of its own."""
        variables = self.cluster.environment | dict(environment or {})
        command = (
            sys.executable,
            "-m",
            "tests.chaos.backfill_driver",
            str(self.home),
            json.dumps(job),
            str(self.call_s),
        )
        with (self.home / "driver.log").open("ab") as log:
            driver = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        self.drivers.append(driver)
        return driver

    def wait_until_held(self, driver: subprocess.Popen[bytes], actors: int = 1) -> None:
        """Return when `actors` engines are kept inside a call, with all that they had finished kept."""
        self.wait_until(lambda: self._stand_still(actors), "the engines to hold", driver)

    def let_one_pass(self, driver: subprocess.Popen[bytes], actors: int = 1) -> None:
        """Let what is held be finished and kept, and hold the engines inside what they do next: so the work waits for
        whoever watches, however long that takes."""
        in_hand = {text for _, texts in self._calls()["held"] for text in texts}
        self.journal.hold(self.texts() - in_hand)

        def passed() -> bool:
            return in_hand <= set(self._rows()) and self._stand_still(actors)

        self.wait_until(passed, "the engines to go on and hold", driver)

    def wait_until(self, true: Callable[[], bool], what: str, driver: subprocess.Popen[bytes]) -> None:
        """Poll a condition; fails with the driver's log when it ends before."""

        def true_or_dead() -> bool:
            assert driver.poll() is None, f"the driver ended before {what}: {self.log()}"
            return true()

        wait_until(true_or_dead, what)

    def finish(self, driver: subprocess.Popen[bytes]) -> None:
        """Let the engines go and wait for the driver's good end."""
        self.journal.let_go()
        wait_until(lambda: driver.poll() is not None, "the driver to end")
        assert driver.returncode == 0, self.log()

    def log(self) -> str:
        return (self.home / "driver.log").read_text()

    def actors(self) -> list[psutil.Process]:
        """The workers that wrote to the journal and still live."""
        pids = self.journal.pids("begin")
        return [process for process in psutil.process_iter() if process.pid in pids]

    def actors_on(self, node: RayNode) -> list[psutil.Process]:
        """Those of one node."""
        return [actor for actor in self.actors() if node.has(actor)]

    def _stand_still(self, actors: int) -> bool:
        """Whether so many engines are held, and every call of the living is held or kept: each has two at once."""
        calls = self._calls()
        finished = {text for _, texts in calls["done"] for text in texts}
        enough = len({pid for pid, _ in calls["held"]}) >= actors
        return enough and calls["begin"] - calls["done"] <= calls["held"] and finished <= set(self._rows())

    def _calls(self) -> Mapping[str, set[Call]]:
        """Those of the living, by event; under `held`, those that are so now."""
        living = {actor.pid for actor in self.actors()}
        calls = defaultdict[str, set[Call]](set)
        for entry in self.journal.entries():
            if entry.pid in living:
                calls[entry.event].add((entry.pid, entry.hashes))
        calls["held"] -= calls["freed"]
        return calls

    def check(self, killed: Collection[int] = ()) -> None:
        """Every text is embedded, none twice, and an index can be built from it.

        Workers that were `killed` at any moment may have finished a call without being able to keep it.
        """
        wanted = self.texts()
        finished = self.journal.embedded()
        assert set(finished) == wanted
        by_the_living = self.journal.embedded(but_by=killed)
        assert set(by_the_living.values()) <= {1}, "the engine finished a text twice"
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


def ingest(home: Path, count: int = DOCUMENTS) -> None:
    """Documents of 40 sections, some of them in more than one document: fewer texts than chunks."""
    settings = Settings(home=home)
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    ingestor = Ingestor(database, make_chunker, 10**7)
    for number in range(count):
        key = DocumentKey("main", "default", f"minutes-{number:03}")
        raw = RawDocument(key, f"file:///{key.doc_id}", _minutes(number).encode(), "text/markdown", title="Minutes")
        ingestor.upsert(raw, "folder:test")
        with database.write() as connection:  # one document an hour, for the windows
            at = MORNING + timedelta(hours=number)
            connection.execute(sa.update(documents).where(documents.c.doc_id == key.doc_id).values(accepted_at=at))
    database.close()


@contextmanager
def backfill_of(ingested: Path, home: Path, cluster: RayCluster) -> Iterator[Backfill]:
    """A copy of an ingested home; whatever driver still runs afterwards is ended."""
    shutil.copytree(ingested, home)
    backfill = Backfill(home, cluster)
    try:
        yield backfill
    finally:
        backfill.journal.let_go()
        for driver in backfill.drivers:
            if driver.poll() is None:
                driver.kill()
            driver.wait()


def _minutes(number: int) -> str:
    """Sections of about 40 words; every tenth document repeats the sections of the one before."""
    source = number - 1 if number % 10 == 9 else number
    return "\n\n".join(f"## Item {item} of meeting {source}\n\n{_words(source, item)}" for item in range(_SECTIONS))


def _words(source: int, item: int) -> str:
    topics = ("bridge", "harbour", "orchard", "library", "tramway", "granary", "aqueduct", "foundry")
    return " ".join(
        f"The {topics[(source + item + step) % 8]} committee heard case {source}-{item}-{step}." for step in range(6)
    )
