"""Who may use a tier's engine now, and in which order the others wait. Plain asyncio; one event loop.

Three classes, each a `Line` of its own: a class higher up goes first. Ageing is counted in turns: a class that was
passed over `PATIENCE` times in a row while it waited has the next turn. So a flood of one class cannot starve another,
and a flood of batch work does not turn into urgent work by having waited long, as it would if ageing were by the clock.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from include.quarry.errors import DeadlinePassed, Full, Unavailable
from include.quarry.gateway.caller import PRIORITIES, Priority
from include.quarry.generation.line import Line

PATIENCE = 8
"""Turns that a class lets others go first in a row."""
_FORGETS = 0.8
"""Weight of the past in the mean of how long a turn takes."""
_RETRY_MAX_S = 60


@dataclass(frozen=True, slots=True)
class Standing:
    """How busy a tier is: requests in service of the `slots` there are, those waiting by class, seconds of a turn."""

    slots: int
    busy: int
    waiting: Mapping[Priority, int]
    turn_s: float

    def wait_s(self, priority: Priority) -> float:
        """How long a request of this class would wait about, if no more of a higher class came."""
        if self.busy < self.slots:
            return 0.0
        ahead = sum(self.waiting[each] for each in PRIORITIES[: PRIORITIES.index(priority) + 1])
        return (ahead + 1) * self.turn_s / self.slots


@dataclass(eq=False, slots=True)
class _Waiter:
    """A request in line; the result of `turn` says that it is its turn now."""

    tenant: str
    due_s: float
    turn: asyncio.Future[None]


class TierQueue:
    """Gives out the `slots` of one engine: as many as it generates at once. At most `places` of each class wait."""

    def __init__(self, *, slots: int, places: int, turn_s: float = 0.0) -> None:
        """`turn_s` is what a turn is expected to take before one was seen."""
        self._slots = slots
        self._busy = 0
        self._lines: dict[Priority, Line[_Waiter]] = {priority: Line(places) for priority in PRIORITIES}
        self._passed_over = dict.fromkeys(PRIORITIES, 0)
        self._turn_s = turn_s

    @property
    def standing(self) -> Standing:
        """How busy the tier is now."""
        waiting = {priority: len(line) for priority, line in self._lines.items()}
        return Standing(self._slots, self._busy, waiting, self._turn_s)

    @asynccontextmanager
    async def turn(self, tenant: str, priority: Priority, due_s: float) -> AsyncIterator[None]:
        """Hold a slot inside. Whoever is cancelled frees the place or the slot at once.

        Raises `Full` when no place is left for this class and tenant, or a tenant with fewer requests took it over, and
        `DeadlinePassed` when the turn did not come before `due_s` of the monotonic clock.
        """
        await self._enter(tenant, priority, due_s)
        started = time.monotonic()
        try:
            yield
        finally:
            took_s = time.monotonic() - started
            self._turn_s = _FORGETS * self._turn_s + (1 - _FORGETS) * took_s if self._turn_s else took_s
            self._leave()

    async def _enter(self, tenant: str, priority: Priority, due_s: float) -> None:
        line = self._lines[priority]
        if self._busy < self._slots:  # then nobody waits
            line.serve(tenant)
            self._busy += 1
            return
        if not line:
            self._passed_over[priority] = 0
        waiter = _Waiter(tenant, due_s, asyncio.get_running_loop().create_future())
        try:
            loser = line.add(waiter)
        except Full as error:
            raise self._full(str(error), priority) from None
        if loser is not None and not loser.turn.done():
            lost = f"a tenant with fewer requests took the place over: all of class {priority} are taken; try again"
            loser.turn.set_exception(self._full(lost, priority))
        try:
            async with asyncio.timeout_at(due_s):
                await waiter.turn
        except BaseException as error:
            line.remove(waiter)
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self._leave()  # the turn came in the same moment
            if isinstance(error, TimeoutError):
                raise DeadlinePassed(
                    f"a request of class {priority} waited in vain for its turn; ask again, or give it more time"
                ) from None
            raise

    def _leave(self) -> None:
        """Give the slot to whose turn it is."""
        self._busy -= 1
        while (priority := self._next_class()) is not None:
            line = self._lines[priority]
            waiter = line.first()
            line.remove(waiter)
            if waiter.turn.done():  # cancelled in this very moment
                continue
            line.serve(waiter.tenant)
            self._busy += 1
            waiter.turn.set_result(None)
            for lower in PRIORITIES[PRIORITIES.index(priority) + 1 :]:
                self._passed_over[lower] += len(self._lines[lower]) > 0
            self._passed_over[priority] = 0
            return

    def _next_class(self) -> Priority | None:
        """The class that was passed over too often, the lowest first, or else the highest in which somebody waits."""
        waiting = [priority for priority in PRIORITIES if self._lines[priority]]
        for priority in reversed(waiting):
            if self._passed_over[priority] >= PATIENCE:
                return priority
        return waiting[0] if waiting else None

    def _full(self, message: str, priority: Priority) -> Unavailable:
        wait_s = min(max(1, round(self.standing.wait_s(priority))), _RETRY_MAX_S)
        return Full(message, retry_after_s=wait_s)
