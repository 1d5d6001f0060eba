"""Random changes through Pub/Sub to two readers that are killed, while leases lapse and acknowledgements get lost: each
change is in the log exactly once, and each document ends as it was left.

`make chaos MINUTES=10` runs it for longer; `CHAOS_SEED=…` repeats the changes and the order of the blows.
"""

import json
import os
import random
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.schema import changes, documents
from include.quarry.settings import Settings
from tests.chaos.forked import forking
from tests.chaos.journal import wait_until
from tests.chaos.stream_processes import POINTS, read_subscription
from tests.chaos.stream_source import Name, Truth, next_event
from tests.servers.pubsub import PubSubServer, Topic, pubsub

pytestmark = pytest.mark.chaos
_MINUTES = float(os.environ.get("CHAOS_MINUTES", "0.3"))
_LEAST_BLOWS = 16
_BURST = 12
_PATIENCE_S = 240.0


class World:
    """The server, the source and two readers."""

    def __init__(self, home: Path, server: PubSubServer, dice: random.Random) -> None:
        self._home, self._server, self._dice = home, server, dice
        self._context = forking()
        self.topic = Topic()
        self.truth = Truth(random.Random(dice.random()))
        self.readers: list[BaseProcess] = []
        self.blows: Counter[str] = Counter()

    def change(self, count: int) -> None:
        for _ in range(count):
            key, value = next_event(self.truth)
            self.topic.publish(value, key)

    def start(self) -> None:
        reader = self._context.Process(target=read_subscription, args=(self._home, self._server.address), daemon=True)
        reader.start()
        self.readers.append(reader)

    def strike(self) -> None:
        """One blow, after a random while."""
        time.sleep(self._dice.uniform(0.02, 0.4))
        match self._dice.randrange(8):
            case 0:
                self._server.loses_acknowledgements = not self._server.loses_acknowledgements
                self.blows["acknowledgements lost, or kept again"] += 1
            case 1 | 2:
                self.blows["leases lapsed"] += 1
            case 3 | 4 | 5:
                point = self._dice.choice(POINTS)
                (self._home / "point-pubsub").write_text(point)
                self._kill()
                self.blows[f"killed, the next one to die {point}"] += 1
            case _:
                self._kill()
                self.blows["killed"] += 1
        self._server.lapse()  # also what a reader that lives has in hand

    def _kill(self) -> None:
        reader = self.readers.pop(0)
        reader.kill()
        reader.join()
        self.revive()

    def revive(self) -> None:
        """See to it that two are alive."""
        self.readers = [reader for reader in self.readers if reader.is_alive()]
        while len(self.readers) < 2:
            self.start()

    def end(self) -> None:
        for reader in self.readers:
            reader.kill()
            reader.join()
        self.topic.close()


def test_whatever_comes_again_to_whom_each_change_is_applied_once_and_in_its_turn(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
    print(f"seed {seed}: CHAOS_SEED={seed} repeats the changes and the blows")
    home, dice = tmp_path / "home", random.Random(seed)
    home.mkdir()
    settings = Settings(home=home, feeds=str(home / "feeds.yaml"))
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    with pubsub() as server:
        world = World(home, server, dice)
        feed = {"kind": "pubsub", "project": world.topic.project, "subscription": world.topic.subscription}
        (home / "feeds.yaml").write_text(json.dumps({"feeds": [feed]}))
        try:
            ends_at = time.monotonic() + _MINUTES * 60
            while time.monotonic() < ends_at or world.blows.total() < _LEAST_BLOWS:
                world.revive()
                world.change(dice.randint(1, _BURST))
                world.strike()
            server.loses_acknowledgements = False
            print(f"changes {world.truth.changes.total()}, blows {dict(world.blows)}")

            def done() -> bool:
                world.revive()
                return server.outstanding(world.topic.path) == 0 and _texts(database) == world.truth.texts

            wait_until(done, "all changes", _PATIENCE_S)
        finally:
            world.end()
    assert _log(database) == world.truth.changes
    database.close()


def _texts(database: Database) -> dict[Name, str]:
    d = documents.c
    with database.read() as connection:
        rows = connection.execute(sa.select(d.tenant, d.doc_id, d.text).where(~d.deleted))
        return {(tenant, doc_id): text for tenant, doc_id, text in rows}


def _log(database: Database) -> Counter[Name]:
    """How many changes of each document are in the log."""
    with database.read() as connection:
        return Counter(
            (row.tenant, row.doc_id) for row in connection.execute(sa.select(changes.c.tenant, changes.c.doc_id))
        )
