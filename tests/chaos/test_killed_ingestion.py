"""Changes flow in while every process of the ingestion is killed in turn: nothing is lost, nothing is doubled."""

import json
import random
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.log import head
from include.quarry.catalog.offsets import load_offsets
from include.quarry.catalog.schema import changes, chunks, documents, vectors
from include.quarry.catalog.updates import Follow, expected_contents
from include.quarry.catalog.versions import create_version
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.retrieval.digest import digest
from include.quarry.settings import Settings
from tests.chaos.forked import forking
from tests.chaos.ingestion_processes import VERSION, Step, embed, feed, follow, stream, take, write_stream
from tests.chaos.journal import SPEC

pytestmark = pytest.mark.chaos
_STEPS = 640
_DOCUMENTS = 100
_LEAST_KILLS = 6
_LEAST_KILLS_OF_FEED = 2  # its stream ends: on a quick machine after few lives
_LIFE_S = (0.05, 0.5)
_LONGER = 0.05
"""By so much of itself a life grows with each kill of its role: a busy machine takes a while to get anything done."""


class Processes:
    """One process per role, forked from a server that has imported everything, so that a restart costs little."""

    def __init__(self, home: Path) -> None:
        self._context = forking()
        self._home = home
        self._roles: dict[str, Callable[[Path], None]] = {"feed": feed, "embed": embed, "follow": follow}
        self.running: dict[str, BaseProcess] = {}
        self.killed: Counter[str] = Counter()

    def start(self, role: str) -> None:
        self.running[role] = self._context.Process(target=self._roles[role], args=(self._home,), daemon=True)
        self.running[role].start()

    def kill(self, role: str, life_s: float) -> None:
        """SIGKILL a process that has not ended by itself after `life_s`, and a little more with every kill before."""
        process = self.running[role]
        process.join(life_s * (1 + _LONGER * self.killed[role]))
        if process.exitcode is None:
            process.kill()
            process.join()
            self.killed[role] += 1

    def least_killed(self, *roles: str) -> int:
        return min(self.killed[role] for role in roles)

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.join()


def test_killed_processes_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    dice, home = random.Random(seed), tmp_path / "home"
    steps = list(stream(dice, _STEPS, _DOCUMENTS))
    settings = _prepare(home, steps)
    processes = Processes(home)
    try:
        for role in ("feed", "embed", "follow"):
            processes.start(role)
        while processes.running["feed"].exitcode != 0 or processes.least_killed("embed", "follow") < _LEAST_KILLS:
            for role in ("feed", "embed", "follow"):
                processes.kill(role, dice.uniform(*_LIFE_S))
                if processes.running[role].exitcode != 0:
                    processes.start(role)
            assert all(process.exitcode in (None, 0) for process in processes.running.values())
        (home / "drain").touch()
        processes.running["follow"].join(90)
        assert processes.running["follow"].exitcode == 0
    finally:
        processes.end()
    print(f"kills {dict(processes.killed)}")
    assert processes.killed["feed"] >= _LEAST_KILLS_OF_FEED
    _check(home, settings, tmp_path / "unkilled", steps)


def _prepare(home: Path, steps: list[Step]) -> Settings:
    (home / "docs").mkdir(parents=True)
    settings = Settings(home=home)
    migrate(settings.catalog_url)
    write_stream(home, steps)
    database = Database(settings.catalog_url)
    with database.write() as connection:
        create_version(connection, VERSION, "main", SPEC)
    database.close()
    return settings


def _check(home: Path, settings: Settings, elsewhere: Path, steps: list[Step]) -> None:
    """The catalog is the one that a run without a kill makes, and the index and the offsets agree with it."""
    unkilled = _prepare(elsewhere, steps)
    calm, chaotic = Database(unkilled.catalog_url), Database(settings.catalog_url)
    ingestor = Ingestor(calm, make_chunker, 10**6)
    for step in steps:
        take(step, elsewhere / "docs", calm, ingestor)
    assert _state(chaotic) == _state(calm)
    feed_of = FolderFeed(home / "docs", "main", "default", 10**6)
    with chaotic.read() as connection:
        known = load_offsets(connection, feed_of.name)
        assert _aged(known) == _aged({item.doc_id: item.offset for item in feed_of.items()})
        expected = expected_contents(connection, Follow("main", SPEC.chunker.fingerprint, SPEC.embedding.fingerprint))
        newest = head(connection, "main")
        texts = set(connection.scalars(sa.select(chunks.c.text_hash)))
        embedded = list(connection.scalars(sa.select(vectors.c.text_hash)))
    result = json.loads((home / "result").read_text())
    print(f"log {newest}, {result}")
    assert result["loaded"] > 0, "no follower began from a snapshot: the stream is too short to tell"
    assert (result["watermark"], result["chunks"], result["digest"]) == (newest, len(expected), digest(expected))
    assert texts <= set(embedded)
    assert len(embedded) == len(set(embedded))


def _aged(offsets: dict[str, str]) -> dict[str, str]:
    """The offsets as they are once their files are no longer new."""
    return {doc_id: offset.removesuffix(":just now") for doc_id, offset in offsets.items()}


def _state(database: Database) -> tuple[list[object], ...]:
    """The log, the documents and the chunks, without times and places."""
    of_changes = sa.select(changes.c.seq, changes.c.kind, changes.c.doc_id, changes.c.doc_version)
    of_documents = sa.select(documents.c.doc_id, documents.c.seq, documents.c.version, documents.c.deleted)
    of_chunks = sa.select(chunks.c.chunk_id, chunks.c.doc_version, chunks.c.ordinal, chunks.c.text, chunks.c.start)
    with database.read() as connection:
        return (
            list(connection.execute(of_changes.order_by(changes.c.seq))),
            list(connection.execute(of_documents.add_columns(documents.c.text).order_by(documents.c.doc_id))),
            list(connection.execute(of_chunks.order_by(chunks.c.chunk_id))),
        )
