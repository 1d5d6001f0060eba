"""Events that are made once and told to all who listen."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, TypeVar

Event = TypeVar("Event")


class Told(Generic[Event]):
    """Events in the making. To be used on one event loop.

    They are made in a task of their own from when the first one listens; each listener hears all of them, at its own
    pace, and then the error that ended them, if one did. They belong to all who listen: one who leaves, the first one
    too, leaves them to the others; the making ends when nobody listens any more.
    """

    def __init__(self, events: AsyncGenerator[Event]) -> None:
        self._events = events
        self._told: list[Event] = []
        self._news = asyncio.Event()
        self._making: asyncio.Task[None] | None = None
        self._listeners = 0
        self.is_over = False
        """Whether nothing more will be told."""

    async def listen(self) -> AsyncGenerator[Event]:
        """All events. Raises what ended them."""
        if self._making is None:
            self._making = asyncio.create_task(self._make())
            self._making.add_done_callback(self._end)
        self._listeners += 1
        heard = 0
        try:
            while True:
                news = self._news
                while heard < len(self._told):
                    heard += 1
                    yield self._told[heard - 1]
                if self._making.done():
                    self._making.result()
                    return
                await news.wait()
        finally:
            self._listeners -= 1
            if not self._listeners and not self._making.done():
                self.is_over = True
                self._making.cancel()
                await asyncio.wait({self._making})  # so that an engine's slot, say, is free when this returns

    async def _make(self) -> None:
        async with aclosing(self._events) as events:
            async for event in events:
                self._told.append(event)
                self._tell()

    def _end(self, making: "asyncio.Task[None]") -> None:
        self.is_over = True
        if not making.cancelled():
            making.exception()  # it is raised to those who listen, if any do
        self._tell()

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
