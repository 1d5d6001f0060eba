"""Random changes through Kafka and through PostgreSQL while readers, embedder and index are killed, the broker stalls
and database sessions are cut off: in the end everything holds the same, and each change is in the log exactly once.

`make chaos MINUTES=10` runs it for longer. The changes and the order of the blows come from a seed, which is printed;
`CHAOS_SEED=…` repeats them.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.offsets import load_offset
from include.quarry.catalog.schema import changes, documents
from include.quarry.catalog.versions import create_version
from include.quarry.feeds.feed_specs import load_feed_specs
from include.quarry.settings import Settings
from include.quarry.verification.sources import open_source
from include.quarry.verification.verify import verify
from tests.chaos.forked import forking
from tests.chaos.ingestion_processes import VERSION, embed, follow
from tests.chaos.journal import SPEC, wait_until
from tests.chaos.stream_processes import POINTS, read_table, read_topic
from tests.chaos.stream_source import TABLE, Name, TableSource, TopicSource
from tests.conftest import free_port, postgres_server
from tests.servers.kafka import make_topic, start

pytestmark = pytest.mark.chaos
_MINUTES = float(os.environ.get("CHAOS_MINUTES", "0.3"))
_LEAST_BLOWS = 16
_BURST = 12
_PATIENCE_S = 240.0
_TOPIC = "documents"
ROLES: dict[str, Callable[[Path], None]] = {"topic": read_topic, "table": read_table, "embed": embed, "follow": follow}


class World:
    """The servers, the sources and our processes."""

    def __init__(self, home: Path, broker: subprocess.Popen[bytes], topic: TopicSource, table: TableSource) -> None:
        self._home = home
        self._context = forking()
        self._broker = broker
        self.topic = topic
        self.table = table
        self.running: dict[str, BaseProcess] = {}
        self.blows: Counter[str] = Counter()

    def start(self, role: str) -> None:
        self.running[role] = self._context.Process(target=ROLES[role], args=(self._home,), daemon=True)
        self.running[role].start()

    def kill(self, role: str) -> None:
        """SIGKILL now, wherever it is, and start it again."""
        self.running[role].kill()
        self._again(role)
        self.blows[f"{role} killed"] += 1

    def kill_at(self, role: str, point: str) -> None:
        """Start it anew with a point at which it kills itself, unless it never gets there."""
        (self._home / f"point-{'kafka' if role == 'topic' else 'postgres'}").write_text(point)
        self.running[role].kill()
        self._again(role)
        self.change(_BURST)
        self.running[role].join(3.0)
        if self.running[role].exitcode is not None:
            self._again(role)
            self.blows[f"{role} killed {point}"] += 1

    def _again(self, role: str) -> None:
        self.running[role].join()
        self.start(role)

    def stall(self, seconds: float) -> None:
        """The broker says nothing for a while."""
        self._broker.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._broker.send_signal(signal.SIGCONT)
        self.blows["broker stalled"] += 1

    def cut_off(self) -> None:
        """All sessions at the database end."""
        self.table.cut_off()
        self.blows["sessions cut off"] += 1

    def revive(self) -> None:
        """Start whoever has died of a point that it reached late."""
        for role, process in self.running.items():
            if not process.is_alive():
                self.start(role)

    def change(self, count: int) -> None:
        for _ in range(count):
            self.topic.change()
            self.table.change()

    def strike(self, dice: random.Random) -> None:
        """One blow, after a random while."""
        time.sleep(dice.uniform(0.02, 0.4))
        match dice.randrange(10):
            case 0:
                self.stall(dice.uniform(0.1, 0.6))
            case 1:
                self.cut_off()
            case 2 | 3 | 4:
                self.kill_at(dice.choice(("topic", "table")), dice.choice(POINTS))
            case _:
                self.kill(dice.choice(tuple(ROLES)))

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.join()


def test_whatever_is_killed_each_change_is_applied_once_and_everything_holds_the_same(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}: CHAOS_SEED={seed} repeats the changes and the blows")
    home = tmp_path / "home"
    with worlds(home, random.Random(seed)) as world:
        dice, ends_at = random.Random(seed + 1), time.monotonic() + _MINUTES * 60
        for role in ROLES:
            world.start(role)
        settings = Settings(home=home, feeds=str(home / "feeds.yaml"))
        database = Database(settings.catalog_url)
        wait_until(lambda: _is_read(database, settings), "the first reading of the table", _PATIENCE_S)
        while time.monotonic() < ends_at or world.blows.total() < _LEAST_BLOWS:
            world.change(dice.randint(1, _BURST))
            world.strike(dice)
        world.topic.flush()
        truths = {"kafka": world.topic.truth, "postgres": world.table.truth}
        sent = {kind: truth.changes.total() for kind, truth in truths.items()}
        print(f"changes {sent}, blows {dict(world.blows)}")
        for kind, truth in truths.items():
            wait_until(lambda kind=kind, truth=truth: _has(world, database, kind, truth.texts), kind, _PATIENCE_S)
        (home / "drain").touch()
        world.running["follow"].join(_PATIENCE_S)
        assert world.running["follow"].exitcode == 0
        for kind, truth in truths.items():
            assert _log(database, kind) == truth.changes
        _check_equal(settings)
        database.close()


@contextmanager
def worlds(home: Path, dice: random.Random) -> Iterator[World]:
    """Servers of our own, sources that begin empty, and a catalog with an index version."""
    home.mkdir()
    settings = Settings(home=home)
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    with database.write() as connection:
        create_version(connection, VERSION, "main", SPEC)
    database.close()
    address = f"127.0.0.1:{free_port()}"
    with (home / "broker.log").open("wb") as log, postgres_server("-c wal_level=logical") as dsn:
        broker = start(address, log)
        try:
            make_topic(address, _TOPIC, 3)
            table = TableSource(dsn, random.Random(dice.random()))
            (home / "feeds.yaml").write_text(json.dumps(_feeds(address, dsn)))
            world = World(home, broker, TopicSource(address, _TOPIC, random.Random(dice.random())), table)
            try:
                yield world
            finally:
                world.end()
                table.close()
        finally:
            broker.kill()
            broker.wait()


def _feeds(broker: str, dsn: str) -> dict[str, object]:
    quick = {"session.timeout.ms": "4000", "heartbeat.interval.ms": "500"}  # a killed reader's partitions are free soon
    rows = {"key": ["id"], "text": ["body"], "tenant_column": "shop", "prefix": "row/"}
    return {
        "feeds": [
            {"kind": "kafka", "servers": broker, "topic": _TOPIC, "options": quick},
            {"kind": "postgres", "dsn": dsn, "table": TABLE, "rows": rows},
        ]
    }


def _is_read(database: Database, settings: Settings) -> bool:
    """Whether the table's first reading is over, so that each change from here on is one of its own."""
    table = load_feed_specs(Path(settings.feeds))[1].feed
    with database.read() as connection:
        offset = load_offset(connection, table, f"public.{TABLE}")
    return offset is not None and not offset.startswith("snapshot/")


def _has(world: World, database: Database, kind: str, texts: dict[Name, str]) -> bool:
    """Whether all that a feed sent is there; its reader lives until then."""
    world.revive()
    return _texts(database, kind) == texts


def _texts(database: Database, kind: str) -> dict[Name, str]:
    d = documents.c
    query = sa.select(d.tenant, d.doc_id, d.text).where(~d.deleted, d.feed.contains(kind))
    with database.read() as connection:
        return {(tenant, doc_id.removeprefix("row/")): text for tenant, doc_id, text in connection.execute(query)}


def _log(database: Database, kind: str) -> Counter[Name]:
    """How many changes of each document are in the log."""
    c = changes.c
    with database.read() as connection:
        rows = connection.execute(sa.select(c.tenant, c.doc_id).where(c.feed.contains(kind)))
        return Counter((tenant, doc_id.removeprefix("row/")) for tenant, doc_id in rows)


def _check_equal(settings: Settings) -> None:
    """As `python -m include.quarry verify` does, against both sources."""
    specs = load_feed_specs(Path(settings.feeds))
    for named in (_TOPIC, TABLE):
        source = open_source(named, specs, corpus="main", tenant="default", max_bytes=10**6)
        findings = verify(settings, source, patience_s=30.0)
        print("\n".join(line for finding in findings for line in finding.lines))
        assert all(finding.equal for finding in findings)
        assert len(findings) == 5
