"""Equal misses at once are computed once, whoever leaves."""

import asyncio

import pytest

from include.quarry.cache.flights import Flights


class Work:
    """Counts how often it is done; ends when it is let."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.may_end = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        mine = self.begun
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        return mine


@pytest.fixture
async def work() -> Work:
    return Work()


@pytest.fixture
def flights() -> Flights[int]:
    return Flights()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_hundred_equal_misses_compute_once(flights: Flights[int], work: Work) -> None:
    asked = [asyncio.create_task(flights.join("k", work)) for _ in range(100)]
    await turns()
    work.may_end.set()
    landed = await asyncio.gather(*asked)
    assert {each.value for each in landed} == {1}
    assert sum(each.first for each in landed) == 1


async def test_other_keys_are_computed_beside(flights: Flights[int], work: Work) -> None:
    work.may_end.set()
    landed = await asyncio.gather(*(flights.join(key, work) for key in "abc"))
    assert sorted(each.value for each in landed) == [1, 2, 3]


async def test_the_next_miss_after_it_landed_is_computed_anew(flights: Flights[int], work: Work) -> None:
    work.may_end.set()
    assert [(await flights.join("k", work)).value for _ in range(2)] == [1, 2]


async def test_a_first_caller_that_leaves_does_not_fail_the_others(flights: Flights[int], work: Work) -> None:
    first, *others = (asyncio.create_task(flights.join("k", work)) for _ in range(5))
    await turns()
    first.cancel()
    await turns()
    work.may_end.set()
    assert [(await each).value for each in others] == [1] * 4
    assert (first.cancelled(), work.begun, work.cancelled) == (True, 1, 0)


async def test_it_ends_when_nobody_waits_any_more_and_is_begun_anew(flights: Flights[int], work: Work) -> None:
    asked = [asyncio.create_task(flights.join("k", work)) for _ in range(3)]
    await turns()
    for each in asked:
        each.cancel()
    late = asyncio.create_task(flights.join("k", work))
    await turns()
    assert work.cancelled <= 1
    work.may_end.set()
    assert (await late).value == work.begun


async def test_an_error_reaches_all_and_is_not_kept(flights: Flights[int], work: Work) -> None:
    work.error = ValueError("no")
    asked = [asyncio.create_task(flights.join("k", work)) for _ in range(3)]
    await turns()
    work.may_end.set()
    assert [type(each) for each in await asyncio.gather(*asked, return_exceptions=True)] == [ValueError] * 3
    work.error = None
    assert (await flights.join("k", work)).value == 2
