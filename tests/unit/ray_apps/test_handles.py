"""A shard behind a handle: asked from threads, answered on the loop, and left in peace when it is silent."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from include.quarry.errors import Unavailable
from ray_apps.retrieval import handles
from ray_apps.retrieval.addresses import Address
from ray_apps.retrieval.handles import HandleShard

ADDRESS = Address("main", "v1", 2)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


class Handle:
    """Stands for Serve's: every method gives what `answer` does with the arguments."""

    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer
        self.asked = 0

    def __getattr__(self, verb: str) -> SimpleNamespace:
        async def call(*arguments: object) -> object:
            self.asked += 1
            return await self.answer(verb, *arguments)

        return SimpleNamespace(remote=call)


def shard_of(handle: Handle, loop: asyncio.AbstractEventLoop, timeout_s: float = 20.0) -> HandleShard:
    return HandleShard(handle, loop, ADDRESS, timeout_s=timeout_s)  # type: ignore[arg-type]


async def echo(*arguments: object) -> object:
    return arguments


async def silence(*_: object) -> object:
    return await asyncio.Event().wait()


async def death(*_: object) -> object:
    raise ActorDiedError()


async def not_loaded(*_: object) -> object:
    raise RayTaskError("propose", "traceback", Unavailable("not loaded by this group of shards yet"))


def test_each_verb_reaches_the_shard_by_its_address(loop: asyncio.AbstractEventLoop) -> None:
    shard = shard_of(Handle(echo), loop)
    assert shard.chunks(("c1", "c2")) == ("chunks", ADDRESS, ["c1", "c2"])
    assert shard.counts(["wing"]) == ("counts", ADDRESS, ["wing"])
    vectors: Any = object()
    scope: Any = object()
    assert shard.propose(["wing"], vectors, 5, scope) == ("propose", ADDRESS, ["wing"], vectors, 5, scope, None)


def test_a_shard_whose_replicas_died_is_unavailable_and_asked_again(loop: asyncio.AbstractEventLoop) -> None:
    handle = Handle(death)
    shard = shard_of(handle, loop)
    for _ in range(2):
        with pytest.raises(Unavailable, match="ActorDiedError"):
            shard.standing()
    assert handle.asked == 2 * handles._ATTEMPTS


class Replicas(Handle):
    """Several replicas behind one handle; like Serve's, it asks the one with the fewest questions under way."""

    def __init__(self, *answers: Callable[..., Any]) -> None:
        super().__init__(self._least_busy)
        self.answers = answers
        self.under_way = [0] * len(answers)

    async def _least_busy(self, *arguments: object) -> object:
        chosen = self.under_way.index(min(self.under_way))
        self.under_way[chosen] += 1
        try:
            return await self.answers[chosen](*arguments)
        finally:
            self.under_way[chosen] -= 1


@pytest.mark.parametrize("bad", [silence, death, not_loaded])
def test_one_bad_replica_puts_no_shard_to_rest_while_another_answers(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, bad: Callable[..., Any]
) -> None:
    monkeypatch.setattr(handles, "_A_WHILE", 0.001)
    others = iter([bad, *[echo] * 99])  # one that refuses at once is not busier than others: Serve may ask it again

    async def once_bad(*asked: object) -> object:
        return await next(others)(*asked)

    replicas = Replicas(bad if bad is silence else once_bad, echo)
    shard = shard_of(replicas, loop, timeout_s=30.0)
    for number in range(5):
        assert shard.chunks([f"c{number}"]) == ("chunks", ADDRESS, [f"c{number}"])
    assert replicas.asked == 6


def test_an_answer_that_comes_late_but_first_counts(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handles, "_A_WHILE", 0.001)
    asked_again = asyncio.Event()

    async def slow(*_: object) -> int:
        await asked_again.wait()
        return 7

    async def silent_too(*_: object) -> object:
        asked_again.set()
        return await silence()

    assert shard_of(Replicas(slow, silent_too, silence), loop, timeout_s=30.0).standing() == 7


def test_a_shard_that_drowns_is_not_asked_more_often(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handles, "_EXTRA", 3)
    handle = Handle(silence)
    monkeypatch.setattr(handles, "_REST_S", 0.0)
    shard = shard_of(handle, loop, timeout_s=0.5)

    def ask(_: int) -> None:
        with pytest.raises(Unavailable):
            shard.standing()

    with ThreadPoolExecutor(10) as pool:
        list(pool.map(ask, range(10)))
    assert 10 <= handle.asked <= 13


def test_a_silent_shard_is_waited_for_once_and_then_rests(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = Handle(silence)
    shard = shard_of(handle, loop, timeout_s=0.01)
    monkeypatch.setattr(handles, "_REST_S", 3600.0)
    with pytest.raises(Unavailable, match=r"shard 2 of index version v1 did not answer within 0\.01 s"):
        shard.standing()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0.1), loop).result()  # what was under way has been asked
    asked = handle.asked
    with pytest.raises(Unavailable, match="silent a moment ago"):
        shard.standing()
    assert handle.asked == asked <= handles._ATTEMPTS


def test_a_silent_shard_is_asked_again_after_its_rest(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = Handle(silence)
    shard = shard_of(handle, loop, timeout_s=0.01)
    monkeypatch.setattr(handles, "_REST_S", 0.0)
    with pytest.raises(Unavailable):
        shard.standing()
    handle.answer = lambda *_: asyncio.sleep(0, 7)
    shard._timeout_s = 20.0
    assert shard.standing() == 7
