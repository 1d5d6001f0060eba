"""The port of limits: counts that all replicas share."""

from typing import Protocol


class Counters(Protocol):
    """Counts by key, each forgotten some time after it began."""

    async def add(self, key: str, amount: int, expiry_s: int) -> int:
        """Add to a count, which begins at 0, and give what it is then.

        Atomic among all who share the counts: of two additions, one sees the other. The count lives at least
        `expiry_s` after its first addition. Raises `Unavailable` when the counts cannot be reached; whether the
        amount was added is not known then.
        """
        ...
