"""Equal misses at once are computed once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

_Got = TypeVar("_Got")


class Landed(NamedTuple, Generic[_Got]):
    """What was computed, and whether this caller was the one for whom that began."""

    value: _Got
    first: bool


@dataclass(slots=True)
class _Flight(Generic[_Got]):
    task: asyncio.Task[_Got]
    waiting: int = 0


class Flights(Generic[_Got]):
    """The computations that are under way. To be used on one event loop.

    A computation belongs to all who wait for it: one who leaves, the first one too, leaves it to the others; it ends
    when nobody waits any more. An error reaches all of them, and whoever asks after it begins anew.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight[_Got]] = {}

    async def join(self, key: Hashable, compute: Callable[[], Awaitable[_Got]]) -> Landed[_Got]:
        """What the computation of this key gives, begun here unless it is under way. Raises what it raises."""
        flight = self._flights.get(key)
        first = flight is None
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(_run(compute)))
            flight.task.add_done_callback(lambda task: self._land(key, task))
        flight.waiting += 1
        try:
            return Landed(await asyncio.shield(flight.task), first)
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._flights.pop(key, None)
                flight.task.cancel()

    def _land(self, key: Hashable, task: asyncio.Task[_Got]) -> None:
        if (flight := self._flights.get(key)) is not None and flight.task is task:
            del self._flights[key]
        if not task.cancelled():
            task.exception()  # it was raised to those who waited, if any did


async def _run(compute: Callable[[], Awaitable[_Got]]) -> _Got:
    return await compute()
