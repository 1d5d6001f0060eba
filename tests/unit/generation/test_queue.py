"""The queue of a tier: classes, ageing, bounds, and slots that come back whatever happens to those who wait."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.errors import DeadlinePassed, Full
from include.quarry.gateway.caller import PRIORITIES, Priority
from include.quarry.generation.queue import PATIENCE, Standing, TierQueue

FAR_S = 1e9


class Room:
    """A queue whose slots are held until the test lets go."""

    def __init__(self, slots: int = 1, places: int = 8) -> None:
        self.queue = TierQueue(slots=slots, places=places)
        self.served: list[str] = []
        self._holding: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def send(
        self, name: str, priority: Priority = "normal", *, tenant: str = "acme", due_s: float = FAR_S
    ) -> asyncio.Task[None]:
        """A request that has joined the queue, or been served or refused, when this returns."""
        self._holding[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._ask(name, priority, tenant, due_s))
        await settle()
        return self.tasks[name]

    async def _ask(self, name: str, priority: Priority, tenant: str, due_s: float) -> None:
        async with self.queue.turn(tenant, priority, due_s):
            self.served.append(name)
            await self._holding[name].wait()

    async def let_go(self, name: str) -> None:
        self._holding[name].set()
        await settle()

    async def drain(self) -> list[str]:
        for name in self.served:
            await self.let_go(name)
        return self.served


async def settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_as_many_are_served_at_once_as_there_are_slots() -> None:
    room = Room(slots=2)
    for name in "abc":
        await room.send(name)
    assert room.served == ["a", "b"]
    await room.let_go("b")
    assert room.served == ["a", "b", "c"]


async def test_a_higher_class_goes_first() -> None:
    room = Room()
    for name, priority in (("first", "normal"), ("b", "batch"), ("n", "normal"), ("u", "urgent")):
        await room.send(name, priority)  # type: ignore[arg-type]
    assert await room.drain() == ["first", "u", "n", "b"]


async def test_a_class_is_passed_over_so_many_times_and_no_more() -> None:
    room = Room(places=50)
    await room.send("first")
    await room.send("batch", "batch")
    for number in range(20):
        await room.send(f"u{number}", "urgent")
    assert (await room.drain()).index("batch") == 1 + PATIENCE


async def test_a_flood_of_batch_work_does_not_age_into_urgency() -> None:
    """However long it has waited: an urgent request waits for the one in service, and for no other."""
    room = Room(places=50)
    for number in range(30):
        await room.send(f"b{number}", "batch")
    for number in range(25):
        await room.send(f"u{number}", "urgent")
        await room.let_go(room.served[-1])
        assert room.served[-1] == f"u{number}"
        await room.let_go(room.served[-1])
        assert room.served[-1].startswith("b")


@given(st.lists(st.sampled_from(PRIORITIES), min_size=1, max_size=80), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
async def test_every_class_that_waits_has_a_turn_before_long(arrivals: list[Priority], seed: int) -> None:
    dice, room = random.Random(seed), Room(places=200)
    await room.send("first")
    passed = dict.fromkeys(PRIORITIES, 0)
    for number, priority in enumerate(arrivals):
        await room.send(f"{priority} {number}", priority)
        if dice.random() < 0.5:
            waiting = room.queue.standing.waiting
            await room.let_go(room.served[-1])
            served = room.served[-1].split()[0]
            for each in PRIORITIES:
                passed[each] = 0 if each == served or not waiting[each] else passed[each] + 1
                assert passed[each] <= PATIENCE + 2
    assert len(await room.drain()) == len(arrivals) + 1


async def test_a_full_class_refuses_and_says_when_to_come_back() -> None:
    room = Room(places=2)
    for name in "abc":
        await room.send(name)
    refused = await room.send("d")
    with pytest.raises(Full, match="places of this class") as caught:
        await refused
    assert caught.value.retry_after_s >= 1
    await room.send("u", "urgent")
    assert await room.drain() == ["a", "u", "b", "c"]


async def test_a_flooding_tenant_gives_a_place_up_to_another_tenant() -> None:
    room = Room(places=2)
    for name in "abc":
        await room.send(name, tenant="flood")
    await room.send("other", tenant="acme")
    with pytest.raises(Full, match="fewer requests"):
        await room.tasks["c"]
    assert await room.drain() == ["a", "other", "b"]


async def test_a_request_whose_turn_does_not_come_in_time_is_not_served() -> None:
    room = Room()
    await room.send("a")
    late = await room.send("late", due_s=time.monotonic() + 0.01)
    with pytest.raises(DeadlinePassed):
        await late
    assert room.queue.standing.waiting["normal"] == 0
    assert await room.drain() == ["a"]


async def test_one_who_leaves_the_line_frees_the_place() -> None:
    room = Room(places=1)
    await room.send("a")
    gone = await room.send("gone")
    gone.cancel()
    await settle()
    await room.send("b")
    assert await room.drain() == ["a", "b"]


async def test_one_who_leaves_in_service_frees_the_slot_at_once() -> None:
    room = Room()
    gone = await room.send("gone")
    await room.send("next")
    gone.cancel()
    await settle()
    assert room.served == ["gone", "next"]


async def test_one_who_leaves_just_when_the_turn_comes_gives_it_on() -> None:
    room = Room()
    first = await room.send("first")
    gone = await room.send("gone")
    await room.send("next")
    room._holding["first"].set()
    while not first.done():  # noqa: ASYNC110 (the slot was given to `gone`, which has not run since)
        await asyncio.sleep(0)
    gone.cancel()
    await settle()
    assert room.served == ["first", "next"]


Step = Callable[[Room, random.Random, int], Awaitable[object]]


@given(st.integers(0, 10**6))
@settings(max_examples=80, deadline=None)
async def test_slots_and_places_come_back_after_any_confusion(seed: int) -> None:
    dice = random.Random(seed)
    room = Room(slots=dice.randint(1, 3), places=3)
    for number in range(40):
        name = f"r{number}"
        due_s = time.monotonic() + dice.choice((0.0, 0.001, 50.0))
        await room.send(name, dice.choice(PRIORITIES), tenant=dice.choice("abc"), due_s=due_s)
        if dice.random() < 0.4:
            room.tasks[dice.choice(list(room.tasks))].cancel()
        if dice.random() < 0.5:
            room._holding[dice.choice(room.served or [name])].set()
        assert room.queue.standing.busy <= room.queue.standing.slots
    for event in room._holding.values():
        event.set()
    for task in room.tasks.values():
        with suppress(asyncio.CancelledError, Full, DeadlinePassed):
            await task
    assert room.queue.standing.busy == 0
    assert not any(room.queue.standing.waiting.values())
    await room.send("after")
    assert room.served[-1] == "after"


def test_the_expected_wait_counts_the_classes_that_go_first() -> None:
    standing = Standing(2, 2, {"urgent": 1, "normal": 3, "batch": 9}, turn_s=4.0)
    assert [standing.wait_s(each) for each in PRIORITIES] == [4.0, 10.0, 28.0]
    assert Standing(2, 1, {}, 4.0).wait_s("normal") == 0
