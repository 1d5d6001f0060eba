"""Counts of one process: what limits use where there is no Redis.

The in-process storage of the `limits` library looks through all its keys at every hit, which takes 2 ms with 10,000
tenants; here, expired counts are dropped now and then.
"""

import time
from collections.abc import Callable

_SWEEP_EVERY_S = 30.0


class MemoryCounters:
    """Counts in a dictionary. Use it from one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[str, tuple[int, float]] = {}
        self._sweep_at = clock() + _SWEEP_EVERY_S

    async def add(self, key: str, amount: int, expiry_s: int) -> int:
        now = self._clock()
        if now >= self._sweep_at:
            self._counts = {key: count for key, count in self._counts.items() if count[1] > now}
            self._sweep_at = now + _SWEEP_EVERY_S
        count, expires_at = self._counts.get(key, (0, 0.0))
        if expires_at <= now:
            count, expires_at = 0, now + expiry_s
        self._counts[key] = (count + amount, expires_at)
        return count + amount
