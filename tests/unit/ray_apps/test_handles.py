"""A shard behind a handle: asked from threads, answered on the loop, and left in peace when it is silent."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError

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


def test_each_verb_reaches_the_shard_by_its_address(loop: asyncio.AbstractEventLoop) -> None:
    shard = shard_of(Handle(echo), loop)
    assert shard.chunks(("c1", "c2")) == ("chunks", ADDRESS, ["c1", "c2"])
    assert shard.counts(["wing"]) == ("counts", ADDRESS, ["wing"])
    vectors: Any = object()
    scope: Any = object()
    assert shard.propose(["wing"], vectors, 5, scope) == ("propose", ADDRESS, ["wing"], vectors, 5, scope, None)


def test_a_shard_whose_replica_died_is_unavailable_and_asked_again(loop: asyncio.AbstractEventLoop) -> None:
    handle = Handle(death)
    shard = shard_of(handle, loop)
    for _ in range(2):
        with pytest.raises(Unavailable):
            shard.standing()
    assert handle.asked == 2


def test_a_silent_shard_is_waited_for_once_and_then_rests(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = Handle(silence)
    shard = shard_of(handle, loop, timeout_s=0.01)
    monkeypatch.setattr(handles, "_REST_S", 3600.0)
    with pytest.raises(Unavailable, match=r"shard 2 of index version v1 did not answer within 0\.01 s"):
        shard.standing()
    with pytest.raises(Unavailable, match="silent a moment ago"):
        shard.standing()
    assert handle.asked == 1


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
