"""A cache in this process: the least recently used goes first when there is no room."""

from collections.abc import Callable
from time import monotonic

from cachetools import TTLCache

_OVERHEAD_BYTES = 400  # of a key, a value and their places in the two dictionaries and the list of uses


class MemoryCache:
    """See `Cache`. It never fails, and what it does takes no time, so that it can be asked without waiting too."""

    def __init__(self, max_bytes: int, ttl_s: float, *, clock: Callable[[], float] = monotonic) -> None:
        self._held: TTLCache[str, bytes] = TTLCache(max_bytes, ttl_s, timer=clock, getsizeof=_size)

    @property
    def entries(self) -> int:
        """How many values are held."""
        return len(self._held)

    @property
    def size_bytes(self) -> int:
        """What they take, with what holds them."""
        return int(self._held.currsize)

    def look(self, key: str) -> bytes | None:
        """What `get` gives, at once."""
        return self._held.get(key)

    def keep(self, key: str, value: bytes) -> None:
        """What `put` does, at once."""
        if _size(value) <= self._held.maxsize:
            self._held[key] = value

    async def get(self, key: str) -> bytes | None:
        return self.look(key)

    async def put(self, key: str, value: bytes) -> None:
        self.keep(key, value)

    async def close(self) -> None:
        self._held.clear()


def _size(value: bytes) -> int:
    return len(value) + _OVERHEAD_BYTES
