"""Kept answers under changes, deletes and late vectors, held against the log by a judge who knows nothing of caches."""

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from include.quarry.cache.counts import Counts
from include.quarry.cache.layers import Layers
from include.quarry.cache.memory import MemoryCache
from include.quarry.cache.results import CachedRetrieval
from include.quarry.catalog.database import Database
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Float32, Scope
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.routing.shadow import Comparisons
from include.quarry.settings import Settings
from tests.benchmarks.stones import QUESTIONS, STONES, TENANTS, Shown, Stones
from tests.unit.routing.corpus import SPEC, HashEmbedder, HashEncoder

READERS, READS = 8, 400


class SlowEncoder(HashEncoder):
    """Gives the follower time to apply something between a question and its search."""

    async def encode(self, text: str) -> Float32:
        await asyncio.sleep(0.002)
        return await super().encode(text)


class Replica:
    """A replica that follows the log on a thread of its own, with the cache before it."""

    def __init__(self, stones: Stones, number: int, folder: Path, layers: Layers) -> None:
        self._number = number
        self.indexes = ResidentIndexes(
            stones.database, stones.lake, folder, lambda _spec: SlowEncoder(), interval_s=0.01, always=("main",)
        )
        self.indexes.load("main")
        self.counts = Counts()
        self._cached = CachedRetrieval(Comparisons(stones.database, patience_s=5), layers, self.counts, check_every=20)

    async def read(self, stones: Stones, dice: random.Random) -> list[Shown]:
        """One question about one stone, or about all: what was shown of each stone that had to be."""
        tenant, stone = dice.choice(TENANTS), dice.choice(STONES)
        filters = {"doc_id": stone} if dice.random() < 0.5 else {}
        resident, began = self.indexes.find("main"), stones.tick()
        assert resident is not None
        found = await self._cached.retrieve(resident, dice.choice(QUESTIONS), 100, Scope(tenant, filters))
        texts = {hit.chunk.key.doc_id: hit.chunk.passage.text for hit in found.hits}
        return [
            stones.shown((tenant, each), found.watermark, texts.get(each, ""), began=began, replica=self._number)
            for each in ((stone,) if filters else STONES)
        ]


@contextmanager
def replicas(stones: Stones, folder: Path, count: int) -> Iterator[list[Replica]]:
    """Replicas that share what they keep."""
    layers = Layers(MemoryCache(10**7, 600))
    standing = [Replica(stones, number, folder / str(number), layers) for number in range(count)]
    for replica in standing:
        replica.indexes.start()
    try:
        yield standing
    finally:
        for replica in standing:
            replica.indexes.stop()


@contextmanager
def changing(stones: Stones) -> Iterator[None]:
    ended = threading.Event()
    writer = threading.Thread(target=stones.change_until, args=(ended, 0.002))
    writer.start()
    try:
        yield
    finally:
        ended.set()
        writer.join()


@pytest.fixture
def stones(database: Database, catalog_url: str, tmp_path: Path) -> Stones:
    settings = Settings(home=tmp_path / "home", database_url=catalog_url)
    stones = Stones(database, VectorLake(database, settings.lake_uri), SPEC, HashEmbedder())
    stones.fill()
    build_version("v1", "main", SPEC, settings, patience_s=0)
    promote("v1", settings)
    return stones


async def test_no_answer_is_staler_than_its_replica_while_everything_changes(stones: Stones, tmp_path: Path) -> None:
    seen: list[Shown] = []

    async def read(replica: Replica, seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(READS):
            seen.extend(await replica.read(stones, dice))
            await asyncio.sleep(0)

    with replicas(stones, tmp_path, 2) as both, changing(stones):
        await asyncio.gather(*(read(both[number % 2], number) for number in range(READERS)))
    hits, misses, stale = (sum(getattr(each.counts, name) for each in both) for name in ("hits", "misses", "stale"))
    print(f"{hits} hits, {misses} misses, {stones.changes} changes")
    assert stones.stale(seen) == []
    assert stale == 0
    assert hits > READERS
    assert stones.changes > 20
