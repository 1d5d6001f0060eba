"""The retriever: encoder and index travel together."""

import asyncio
from pathlib import Path
from threading import Barrier, current_thread
from time import thread_time
from typing import Any

import pytest

from include.quarry.errors import ForeignVectors, InvalidInput
from include.quarry.records import Float32, Hit, Scope
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.protocol import Found
from include.quarry.retrieval.retriever import Retriever, Serving
from include.quarry.specs import EmbeddingSpec

T1 = Scope("t1")


class Encoder:
    """Embeds by the test's words; waits for `gate` when there is one."""

    def __init__(self, embed, spec: EmbeddingSpec, gate: asyncio.Event | None = None) -> None:
        self.spec = spec
        self._embed = embed
        self._gate = gate

    async def encode(self, text: str) -> Float32:
        if self._gate:
            await self._gate.wait()
        return self._embed([text]).values[0]


@pytest.fixture
def index(spec, update, tmp_path: Path) -> Index:
    index = Index.create(spec, "v1", tmp_path / "v1")
    index.apply([update("a", 1, ["wing"]), update("b", 2, ["tail"])], 2)
    return index


async def test_answers_with_version_watermark_and_timings(index: Index, vectors_of) -> None:
    retriever = Retriever(Serving(Encoder(vectors_of, index.spec.embedding), index))
    retrieval = await retriever.retrieve("wing", top_k=1, scope=T1)
    assert [hit.chunk.chunk_id for hit in retrieval.hits] == ["t1/a/0"]
    assert (retrieval.index_version, retrieval.watermark) == ("v1", 2)
    timings = retrieval.timings_ms
    assert set(timings) == {"encode", "search", "total"}
    assert timings["encode"] + timings["search"] == pytest.approx(timings["total"], abs=0.01)


def test_an_encoder_of_another_space_cannot_serve_an_index(index: Index, vectors_of) -> None:
    with pytest.raises(ForeignVectors, match="v1"):
        Serving(Encoder(vectors_of, EmbeddingSpec(model="another")), index)


async def test_refuses_empty_queries(index: Index, vectors_of) -> None:
    retriever = Retriever(Serving(Encoder(vectors_of, index.spec.embedding), index))
    with pytest.raises(InvalidInput, match="empty"):
        await retriever.retrieve(" \n", top_k=1, scope=T1)
    with pytest.raises(InvalidInput):
        await retriever.retrieve("wing", top_k=0, scope=T1)


async def test_slow_searches_leave_the_event_loop_and_quick_ones_stay(index: Index, vectors_of, monkeypatch) -> None:
    threads: list[str] = []
    cost_s = 0.0

    def search_all(*_: object) -> list[list[Hit]]:
        began = thread_time()
        while thread_time() - began < cost_s:
            pass
        threads.append(current_thread().name)
        return [[]]

    monkeypatch.setattr(index, "search_all", search_all)
    retriever = Retriever(Serving(Encoder(vectors_of, index.spec.embedding), index))
    for _ in range(3):
        await retriever.retrieve("wing", top_k=1, scope=T1)
    assert set(threads) == {current_thread().name}
    cost_s = 0.03
    for _ in range(4):
        await retriever.retrieve("wing", top_k=1, scope=T1)
    assert threads[-1].startswith("search")
    retriever.close()


async def test_searches_that_wait_for_a_server_leave_the_event_loop_and_go_side_by_side(
    index: Index, vectors_of, monkeypatch
) -> None:
    side_by_side = Barrier(2, timeout=20)
    monkeypatch.setattr(Index, "waits", True)
    monkeypatch.setattr(
        index, "find", lambda queries, *_: (side_by_side.wait(), Found([[] for _ in queries], 5, (2,)))[1]
    )
    retriever = Retriever(Serving(Encoder(vectors_of, index.spec.embedding), index))
    found = await asyncio.gather(*(retriever.retrieve("wing", top_k=k, scope=T1) for k in (1, 2)))
    assert [(each.watermark, each.shards_missing) for each in found] == [(5, (2,))] * 2
    retriever.close()


async def test_queries_that_come_together_are_searched_together_and_each_gets_its_own(
    index: Index, vectors_of, monkeypatch
) -> None:
    retriever = Retriever(Serving(Encoder(vectors_of, index.spec.embedding), index))
    asked = [("wing", 1), ("tail", 1), ("wing", 2), ("wing tail", 1)]
    alone = [(await retriever.retrieve(query, top_k=k, scope=T1)).hits for query, k in asked]
    sizes: list[int] = []
    search_all = index.search_all

    def counted(queries: list[str], *rest: Any) -> list[list[Hit]]:
        sizes.append(len(queries))
        return search_all(queries, *rest)

    monkeypatch.setattr(index, "search_all", counted)
    together = await asyncio.gather(*(retriever.retrieve(query, top_k=k, scope=T1) for query, k in asked))
    assert [retrieval.hits for retrieval in together] == alone
    assert sorted(sizes) == [1, 3]


async def test_a_caller_that_leaves_takes_no_other_along(index: Index, vectors_of) -> None:
    retriever = Retriever(Serving(Encoder(vectors_of, index.spec.embedding), index))
    asked = [asyncio.create_task(retriever.retrieve(query, top_k=1, scope=T1)) for query in ("wing", "tail")]
    await asyncio.sleep(0)
    asked[0].cancel()
    assert len((await asked[1]).hits) == 1
    assert asked[0].cancelled()
