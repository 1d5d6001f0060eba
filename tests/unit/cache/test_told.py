"""What is made once is heard by all who listen, and made no longer than somebody does."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from include.quarry.cache.told import Told
from include.quarry.errors import Unavailable


class Story:
    """Tells 1, then waits for `more`, then tells 2; or breaks off there."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.more = asyncio.Event()
        self.begun = self.closed = 0
        self._fails = fails

    async def tell(self) -> AsyncGenerator[int]:
        self.begun += 1
        try:
            yield 1
            await self.more.wait()
            if self._fails:
                raise self._fails
            yield 2
        finally:
            self.closed += 1


async def heard(told: Told[int]) -> list[int]:
    return [event async for event in told.listen()]


async def test_all_hear_all_of_it_and_it_is_made_once() -> None:
    story = Story()
    told = Told(story.tell())
    early = asyncio.create_task(heard(told))
    late = told.listen()
    assert await anext(late) == 1
    story.more.set()
    assert await anext(late) == 2
    assert await early == await heard(told) == [1, 2]
    assert (story.begun, story.closed, told.is_over) == (1, 1, True)


async def test_nothing_is_made_before_somebody_listens() -> None:
    story = Story()
    told = Told(story.tell())
    await told.listen().aclose()
    await asyncio.sleep(0)
    assert (story.begun, told.is_over) == (0, False)


async def test_one_who_leaves_leaves_it_to_the_others_and_the_last_one_ends_it() -> None:
    story = Story()
    told = Told(story.tell())
    first, second = told.listen(), told.listen()
    assert [await anext(first), await anext(second)] == [1, 1]
    await first.aclose()
    assert (story.closed, told.is_over) == (0, False)
    await second.aclose()
    assert (story.closed, told.is_over) == (1, True)


async def test_an_error_reaches_all_after_what_was_told_before_it() -> None:
    story = Story(Unavailable("the engine is gone"))
    told = Told(story.tell())
    listening = [told.listen() for _ in range(2)]
    assert [await anext(each) for each in listening] == [1, 1]
    story.more.set()
    for each in listening:
        with pytest.raises(Unavailable):
            await anext(each)
    assert told.is_over
