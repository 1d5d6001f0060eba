"""What limits need of counts, whoever keeps them."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from include.quarry.limits.memory import MemoryCounters
from include.quarry.limits.protocol import Counters
from include.quarry.limits.redis import RedisCounters
from tests.servers.redis import RedisServer, redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", "redis"])
async def counters(request: pytest.FixtureRequest) -> AsyncIterator[Counters]:
    if request.param == "memory":
        yield MemoryCounters()
        return
    counters = RedisCounters(request.getfixturevalue("server").url)
    yield counters
    await counters.close()


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


async def test_a_count_begins_at_nothing_and_adds_up(counters: Counters, key: str) -> None:
    assert [await counters.add(key, amount, 60) for amount in (1, 5, 0, 10**12)] == [1, 6, 6, 10**12 + 6]


async def test_keys_are_counted_apart(counters: Counters, key: str) -> None:
    assert await counters.add(f"{key}/a", 3, 60) == 3
    assert await counters.add(f"{key}/b", 4, 60) == 4


async def test_of_additions_at_once_each_sees_a_count_of_its_own(counters: Counters, key: str) -> None:
    seen: list[int] = []
    for _ in range(5):
        seen += await asyncio.gather(*(counters.add(key, 2, 60) for _ in range(40)))
    assert sorted(seen) == list(range(2, 402, 2))


async def test_a_count_is_forgotten_after_its_time_and_not_before(counters: Counters, key: str) -> None:
    assert await counters.add(f"{key}/long", 1, 60) == 1
    assert await counters.add(f"{key}/short", 1, 1) == 1
    for _ in range(600):
        if await counters.add(f"{key}/short", 0, 1) == 0:
            break
        await asyncio.sleep(0.05)
    assert await counters.add(f"{key}/short", 1, 60) == 1
    assert await counters.add(f"{key}/long", 1, 60) == 2
