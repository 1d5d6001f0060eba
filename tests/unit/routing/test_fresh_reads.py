"""Read your writes: a query that names a change is answered by an index that has applied it, or not at all."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from include.quarry.cache.counts import Counts
from include.quarry.cache.layers import Layers
from include.quarry.cache.memory import MemoryCache
from include.quarry.cache.results import CachedRetrieval
from include.quarry.errors import InvalidInput, Unavailable
from include.quarry.records import Scope
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.routing.building import build_version
from include.quarry.routing.fresh_reads import FreshReads
from include.quarry.routing.promotion import promote
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.routing.shadow import Comparisons
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus, HashEncoder


class Reader:
    """A replica that is asked with `min_seq`, the cache before it."""

    def __init__(self, corpus: Corpus, indexes: ResidentIndexes) -> None:
        self.indexes = indexes
        self._reads = FreshReads(corpus.database, indexes)
        comparisons = Comparisons(corpus.database, patience_s=5)
        self._cached = CachedRetrieval(comparisons, Layers(MemoryCache(10**6, 600)), Counts())
        self.asked = 0

    async def read(self, query: str, min_seq: int, left_s: float = 30.0) -> Retrieval:
        resident = self.indexes.load("main")

        async def ask() -> Retrieval:
            self.asked += 1
            return await self._cached.retrieve(self.indexes.load("main"), query, 5, Scope("default"))

        return await self._reads.read(ask, resident, resident.route.live_version, min_seq, lambda: left_s)

    async def found(self, query: str, min_seq: int) -> set[str]:
        return {hit.chunk.key.doc_id for hit in (await self.read(query, min_seq)).hits}


@pytest.fixture
def reader(corpus: Corpus, routing_settings: Settings, tmp_path: Path) -> Iterator[Reader]:
    corpus.put("a", "Granite.")
    corpus.embed()
    build_version("v1", "main", SPEC, routing_settings)
    promote("v1", routing_settings)
    indexes = ResidentIndexes(
        corpus.database, corpus.lake, tmp_path / "scratch", lambda _spec: HashEncoder(), interval_s=0.02
    )
    indexes.start()
    yield Reader(corpus, indexes)
    indexes.stop()


async def test_a_write_is_read_and_a_delete_is_obeyed_by_who_knows_its_seq(reader: Reader, corpus: Corpus) -> None:
    for round_ in range(10):
        doc_id = f"b{round_}"
        seq = corpus.put(doc_id, "Basalt.")
        corpus.embed()
        assert doc_id in await reader.found("basalt", seq)
        assert doc_id in await reader.found("basalt", seq)  # out of the cache
        corpus.delete(doc_id)
        assert doc_id not in await reader.found("basalt", seq + 1)
    assert reader.asked == 30


async def test_the_wait_is_over_when_the_vectors_are_there(reader: Reader, corpus: Corpus) -> None:
    seq = corpus.put("b", "Basalt.")
    reading = asyncio.create_task(reader.found("basalt", seq))
    done, _ = await asyncio.wait([reading], timeout=0.2)
    assert not done
    assert reader.asked == 0
    corpus.embed()
    assert "b" in await reading


async def test_who_has_no_time_left_is_told_to_come_back(reader: Reader, corpus: Corpus) -> None:
    seq = corpus.put("b", "Basalt.")
    with pytest.raises(Unavailable, match=f"has not applied change {seq}") as refused:
        await reader.read("basalt", seq, left_s=0.1)
    assert "Retry-After" in refused.value.headers
    assert reader.asked == 0


async def test_a_change_that_the_log_does_not_have_is_refused(reader: Reader, corpus: Corpus) -> None:
    with pytest.raises(InvalidInput, match="newest change of corpus 'main' is 1; send the seq"):
        await reader.read("basalt", 2)


async def test_a_stand_in_that_is_behind_is_waited_for_before_it_is_believed(reader: Reader, corpus: Corpus) -> None:
    """As when a canary fails, and the live version that answers in its place is further back."""
    seq = corpus.put("b", "Basalt.")
    corpus.embed()
    found = await reader.read("basalt", seq)
    answers = iter([replace(found, watermark=seq - 1), found])

    async def ask() -> Retrieval:
        return next(answers)

    resident = reader.indexes.load("main")
    read = await FreshReads(corpus.database, reader.indexes).read(ask, resident, "canary", seq, lambda: 30.0)
    assert read is found


async def test_a_holder_that_lags_is_asked_again_after_a_pause_and_not_for_ever(reader: Reader, corpus: Corpus) -> None:
    """As when two processes hold a shard, and the one that answers is not the one that said how far it is."""
    found, asked = await reader.read("granite", 1), 0
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + 1.0

    async def ask() -> Retrieval:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return replace(found, watermark=0)

    resident, reads = reader.indexes.load("main"), FreshReads(corpus.database, reader.indexes)
    async with asyncio.timeout(20):
        with pytest.raises(Unavailable, match="has not applied change 1"):
            await reads.read(ask, resident, "v1", 1, lambda: ends_at - loop.time())
    assert 1 < asked < 30
