import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from include.quarry.embedding.micro_batch import MicroBatcher
from include.quarry.errors import Unavailable
from include.quarry.records import Vectors
from include.quarry.specs import EmbeddingSpec


class GatedEmbedder:
    """Records its batches and lets each through when the test opens the gate. A text's vector is its number."""

    spec = EmbeddingSpec()

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()
        self.entered = threading.Semaphore(0)
        self.gate = threading.Semaphore(0)

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.batches.append(list(texts))
        self.threads.add(threading.get_ident())
        self.entered.release()
        self.gate.acquire()
        if "broken" in texts:
            raise RuntimeError("the engine broke")
        return Vectors(self.spec.fingerprint, np.array([[float(text)] for text in texts], dtype=np.float32))

    async def reached(self) -> None:
        await asyncio.to_thread(self.entered.acquire)


@pytest.fixture
def engine() -> GatedEmbedder:
    return GatedEmbedder()


@pytest.fixture
async def batcher(engine: GatedEmbedder) -> AsyncIterator[MicroBatcher]:
    batcher = MicroBatcher(engine, max_batch=4)
    yield batcher
    engine.gate.release(100)
    await batcher.close()


async def ask(batcher: MicroBatcher, *texts: str) -> list[asyncio.Task[object]]:
    """Tasks that have all reached the batcher."""
    tasks: list[asyncio.Task[object]] = [asyncio.create_task(batcher.encode(text)) for text in texts]
    await asyncio.sleep(0)
    return tasks


async def test_what_arrives_while_the_engine_is_busy_is_the_next_batch(
    batcher: MicroBatcher, engine: GatedEmbedder
) -> None:
    first = await ask(batcher, "1")
    await engine.reached()
    rest = await ask(batcher, "2", "3", "4")
    engine.gate.release(2)
    values = await asyncio.gather(*first, *rest)
    assert [float(value[0]) for value in values] == [1, 2, 3, 4]
    assert engine.batches == [["1"], ["2", "3", "4"]]


async def test_a_lone_request_waits_for_nobody(batcher: MicroBatcher, engine: GatedEmbedder) -> None:
    engine.gate.release()
    assert await batcher.encode("7") == np.float32(7)
    assert engine.batches == [["7"]]


async def test_no_batch_is_larger_than_allowed(batcher: MicroBatcher, engine: GatedEmbedder) -> None:
    engine.gate.release(100)
    values = await asyncio.gather(*(batcher.encode(str(i)) for i in range(11)))
    assert [float(value[0]) for value in values] == list(range(11))
    assert [len(batch) for batch in engine.batches] == [4, 4, 3]


async def test_equal_texts_of_a_batch_are_encoded_once(batcher: MicroBatcher, engine: GatedEmbedder) -> None:
    engine.gate.release(100)
    values = await asyncio.gather(*(batcher.encode(text) for text in ("5", "6", "5", "5")))
    assert [float(value[0]) for value in values] == [5, 6, 5, 5]
    assert engine.batches == [["5", "6"]]


async def test_an_engine_error_reaches_every_waiter_of_its_batch_and_no_other(
    batcher: MicroBatcher, engine: GatedEmbedder
) -> None:
    doomed = await ask(batcher, "1", "broken", "2")
    await engine.reached()
    lucky = await ask(batcher, "3")
    engine.gate.release(2)
    outcomes = await asyncio.gather(*doomed, *lucky, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes[:3]] == ["the engine broke"] * 3
    assert outcomes[3] == np.float32(3)


async def test_a_cancelled_waiter_harms_nobody_and_is_not_encoded(batcher: MicroBatcher, engine: GatedEmbedder) -> None:
    flying = await ask(batcher, "1", "2")
    await engine.reached()
    waiting = await ask(batcher, "3", "4")
    for task in (flying[0], waiting[0]):
        task.cancel()
    await asyncio.sleep(0)
    engine.gate.release(2)
    assert await flying[1] == np.float32(2)
    assert await waiting[1] == np.float32(4)
    assert engine.batches == [["1", "2"], ["4"]]


async def test_when_all_waiters_left_nothing_is_encoded_and_the_next_one_is_served(
    batcher: MicroBatcher, engine: GatedEmbedder
) -> None:
    flying = await ask(batcher, "1")
    await engine.reached()
    waiting = await ask(batcher, "2")
    waiting[0].cancel()
    engine.gate.release(2)
    assert await flying[0] == np.float32(1)
    assert await batcher.encode("3") == np.float32(3)
    assert engine.batches == [["1"], ["3"]]


async def test_the_event_loop_runs_on_while_the_engine_works(batcher: MicroBatcher, engine: GatedEmbedder) -> None:
    task = (await ask(batcher, "1"))[0]
    await engine.reached()
    assert not task.done()
    engine.gate.release()
    await task
    assert engine.threads and threading.get_ident() not in engine.threads


async def test_the_engine_is_only_ever_used_by_one_thread(batcher: MicroBatcher, engine: GatedEmbedder) -> None:
    engine.gate.release(100)
    for _ in range(3):
        await asyncio.gather(*(batcher.encode(str(i)) for i in range(9)))
    assert len(engine.threads) == 1


async def test_closing_finishes_the_running_batch_and_refuses_the_rest(
    batcher: MicroBatcher, engine: GatedEmbedder
) -> None:
    flying = await ask(batcher, "1")
    await engine.reached()
    waiting = await ask(batcher, "2")
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    engine.gate.release(2)
    await closing
    assert await flying[0] == np.float32(1)
    with pytest.raises(Unavailable):
        await waiting[0]
    with pytest.raises(Unavailable):
        await batcher.encode("3")
    assert engine.batches == [["1"]]
