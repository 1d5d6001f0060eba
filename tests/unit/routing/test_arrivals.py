"""Waiting for what another thread does: woken when it is there, before it, and never by asking in a loop."""

import asyncio
import threading

import pytest

from include.quarry.routing.arrivals import Arrivals


async def test_what_is_there_already_is_not_waited_for() -> None:
    await asyncio.wait_for(Arrivals().wait(lambda: True), 5)


async def test_each_is_woken_by_what_it_waits_for_and_asked_once_a_step() -> None:
    arrivals, at, asked = Arrivals(), [0], [0]

    def arrived(goal: int) -> bool:
        asked[0] += 1
        return at[0] >= goal

    waits = [asyncio.create_task(arrivals.wait(lambda goal=goal: arrived(goal))) for goal in (1, 2)]  # type: ignore[misc]
    await asyncio.sleep(0)
    begun = asked[0]

    def step() -> None:
        at[0] += 1
        arrivals.tell()

    threading.Thread(target=step).start()
    await waits[0]
    assert not waits[1].done()
    assert asked[0] - begun == 2
    threading.Thread(target=step).start()
    await waits[1]


async def test_who_gives_up_is_not_asked_for_again() -> None:
    arrivals, asked = Arrivals(), [0]

    def never() -> bool:
        asked[0] += 1
        return False

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(arrivals.wait(never), 0.01)
    before = asked[0]
    arrivals.tell()
    assert asked[0] == before


async def test_what_comes_between_the_first_look_and_the_wait_is_not_missed() -> None:
    looks = iter([False, True])
    await asyncio.wait_for(Arrivals().wait(lambda: next(looks)), 5)


def test_a_loop_that_has_ended_does_not_hurt_the_teller() -> None:
    arrivals, answers = Arrivals(), iter([False, False, True])
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(arrivals.wait(lambda: next(answers)))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    arrivals.tell()
    assert not waiting.done()
    waiting.get_coro().close()  # type: ignore[union-attr]
