"""Until when an answer is of use. What comes later is not computed: the caller has gone on without it."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import TypeVar

from include.quarry.errors import DeadlinePassed

Item = TypeVar("Item")


class Deadline:
    """A moment after which nobody waits. Travels between machines as the seconds left, for their clocks differ."""

    __slots__ = ("_at_s", "_given_s")

    def __init__(self, seconds: float) -> None:
        """`seconds` from now."""
        self._given_s = seconds
        self._at_s = time.monotonic() + seconds

    def __reduce__(self) -> tuple[type["Deadline"], tuple[float]]:
        return Deadline, (self.remaining_s(),)

    def __repr__(self) -> str:
        return f"Deadline({self.remaining_s():.3f})"

    def remaining_s(self) -> float:
        """Seconds left; 0 once it has passed."""
        return max(0.0, self._at_s - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether nobody waits any more."""
        return time.monotonic() >= self._at_s

    def check(self) -> None:
        """Raise `DeadlinePassed` once it has passed."""
        if self.passed:
            raise self.error()

    def holds(self) -> "Bound":
        """Cancel what runs inside when the deadline passes, and raise `DeadlinePassed`; before it, start nothing."""
        return Bound(self)

    def error(self) -> DeadlinePassed:
        """What is raised once it has passed."""
        return DeadlinePassed(
            f"the answer was not there within {self._given_s * 1000:.0f} ms; give more in X-Request-Timeout-Ms, "
            "or ask for less"
        )


class Bound:
    """What `Deadline.holds` gives. A class, since a decorated generator costs as much again as the timer."""

    __slots__ = ("_deadline", "_timer")

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline

    async def __aenter__(self) -> None:
        self._deadline.check()
        self._timer = asyncio.timeout(self._deadline.remaining_s())
        await self._timer.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._timer.__aexit__(kind, error, trace)
        except TimeoutError:
            raise self._deadline.error() from None


async def until(deadline: Deadline, events: AsyncGenerator[Item]) -> AsyncGenerator[Item]:
    """The events up to the deadline, then `DeadlinePassed`. Whoever makes them is cancelled, also on closing this."""
    async with aclosing(events):
        while True:
            try:
                async with deadline.holds():
                    event = await anext(events)
            except StopAsyncIteration:
                return
            yield event
