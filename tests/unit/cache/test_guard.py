"""The guard: a shared cache that is down or slow costs nobody more than a moment, and is found again by itself."""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from include.quarry.cache.counts import Counts
from include.quarry.cache.guard import Guard
from include.quarry.errors import Unavailable


class Server:
    """A cache that answers, refuses, or never answers, as told."""

    def __init__(self) -> None:
        self.mood: str = "well"
        self.asked = 0
        self.held: dict[str, bytes] = {}
        self.let_go = asyncio.Event()

    async def get(self, key: str) -> bytes | None:
        await self._answer()
        return self.held.get(key)

    async def put(self, key: str, value: bytes) -> None:
        await self._answer()
        self.held[key] = value

    async def close(self) -> None:
        """Nothing is open."""

    async def _answer(self) -> None:
        self.asked += 1
        if self.mood == "silent":
            await self.let_go.wait()
        if self.mood == "down":
            raise Unavailable("it is down")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def server() -> Server:
    server = Server()
    server.held["k"] = b"v"
    return server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def guard(server: Server, counts: Counts, clock: Callable[[], float]) -> Guard:
    return Guard(server, counts, clock=clock)


async def fail(guard: Guard, server: Server, mood: str = "down", times: int = 3) -> None:
    server.mood = mood
    for _ in range(times):
        assert await guard.get("k") is None


async def test_what_answers_is_passed_on(guard: Guard, server: Server, counts: Counts) -> None:
    guard.put_later("new", b"w")
    await guard.close()
    assert (await guard.get("k"), await guard.get("new"), await guard.get("other")) == (b"v", b"w", None)
    assert (counts.failures, counts.rests) == (0, 0)


async def test_a_cache_that_does_not_answer_is_a_miss(guard: Guard, server: Server, counts: Counts) -> None:
    await fail(guard, server, "silent", times=1)
    await fail(guard, server, "down", times=1)
    assert counts.failures == 2


async def test_an_answer_that_comes_late_costs_no_more_than_the_patience(guard: Guard, server: Server) -> None:
    """The request goes on, and what it asked ends by itself: a connection that takes long to open is open then."""
    server.mood = "silent"
    assert await guard.get("k") is None
    server.let_go.set()
    await guard.close()
    server.mood = "well"
    assert await guard.get("k") == b"v"


async def test_after_three_failures_it_is_left_alone_for_a_while(
    guard: Guard, server: Server, counts: Counts, clock: Clock
) -> None:
    await fail(guard, server)
    server.mood = "well"
    clock.now = 0.4
    for _ in range(5):
        assert await guard.get("k") is None
    assert (server.asked, counts.rests) == (3, 5)
    clock.now = 0.6
    assert await guard.get("k") == b"v"


async def test_one_request_finds_out_whether_it_is_back(guard: Guard, server: Server, clock: Clock) -> None:
    await fail(guard, server)
    server.mood, clock.now = "silent", 1.0
    asked = [asyncio.create_task(guard.get("k")) for _ in range(10)]
    await asyncio.sleep(0)
    server.mood = "well"
    server.let_go.set()
    assert sorted(await asyncio.gather(*asked), key=str) == [None] * 9 + [b"v"]
    assert server.asked == 4
    assert await guard.get("k") == b"v"


async def test_rests_grow_but_never_beyond_ten_seconds(guard: Guard, server: Server, clock: Clock) -> None:
    await fail(guard, server)
    asked_at = []
    while clock.now < 60:
        clock.now += 0.1
        before = server.asked
        await guard.get("k")
        if server.asked > before:
            asked_at.append(clock.now)
    pauses = [round(later - earlier) for earlier, later in pairwise(asked_at)]
    assert pauses == sorted(pauses)
    assert 3 < pauses[-1] < 10


async def test_many_failures_at_once_are_one_reason_to_rest(guard: Guard, server: Server, clock: Clock) -> None:
    server.mood = "down"
    await asyncio.gather(*(guard.get("k") for _ in range(50)))
    server.mood, clock.now = "well", 0.6
    assert await guard.get("k") == b"v"


async def test_values_are_kept_off_the_path_and_never_pile_up(guard: Guard, server: Server) -> None:
    server.mood = "silent"
    for number in range(100):
        guard.put_later(f"n{number}", b"w")
    await asyncio.sleep(0)
    assert server.asked == 64
    server.let_go.set()
    server.mood = "well"
    await guard.close()
    assert len(server.held) == 65
