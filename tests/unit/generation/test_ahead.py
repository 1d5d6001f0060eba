"""Events are made at their own pace, and end when nobody wants them."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from include.quarry.generation.ahead import read_ahead


class Maker:
    """Makes 1, 2, 3, … up to `until`; at `waits_at` not before `go`."""

    def __init__(self, until: int, waits_at: int = 0) -> None:
        self.made: list[int] = []
        self.go = asyncio.Event()
        self.closed = False
        self._until = until
        self._waits_at = waits_at

    async def events(self) -> AsyncGenerator[int]:
        try:
            for number in range(1, self._until + 1):
                if number == self._waits_at:
                    await self.go.wait()
                self.made.append(number)
                yield number
        finally:
            self.closed = True


async def test_everything_comes_in_order() -> None:
    assert [event async for event in read_ahead(Maker(4).events())] == [1, 2, 3, 4]


async def test_the_maker_does_not_wait_for_the_reader() -> None:
    maker = Maker(4)
    events = read_ahead(maker.events())
    assert await anext(events) == 1
    await asyncio.sleep(0)
    assert maker.made == [1, 2, 3, 4]
    assert maker.closed
    assert [event async for event in events] == [2, 3, 4]


async def test_closing_stops_the_maker_where_it_is() -> None:
    maker = Maker(4, waits_at=2)
    events = read_ahead(maker.events())
    assert await anext(events) == 1
    await events.aclose()
    assert (maker.made, maker.closed) == ([1], True)


async def test_a_cancelled_reader_stops_the_maker() -> None:
    maker = Maker(4, waits_at=2)

    async def read() -> None:
        async for _ in read_ahead(maker.events()):
            pass

    reader = asyncio.create_task(read())
    while not maker.made:  # noqa: ASYNC110
        await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert maker.closed


async def test_while_nothing_comes_the_reader_hears_that() -> None:
    maker = Maker(2, waits_at=2)
    events = read_ahead(maker.events(), idle=lambda: 0, idle_s=0.001)
    while not (made := await anext(events)):  # it may be slow to begin
        pass
    assert [made, await anext(events), await anext(events)] == [1, 0, 0]
    maker.go.set()
    assert 2 in [event async for event in events]


async def test_a_failure_comes_after_what_was_made_before_it() -> None:
    async def fail() -> AsyncGenerator[int]:
        yield 1
        raise ZeroDivisionError

    events = read_ahead(fail())
    assert await anext(events) == 1
    with pytest.raises(ZeroDivisionError):
        await anext(events)
