"""A cache in this process, and behind it, where there is one, the one that replicas share.

Keys name the state that a value was read from, so a value found in either layer is right, and nothing has to be told
to anyone when a document changes.
"""

from include.quarry.cache.frames import framed, unframed
from include.quarry.cache.guard import Guard
from include.quarry.cache.memory import MemoryCache


class Layers:
    """Asks the process first. To be used on one event loop; never fails."""

    def __init__(self, memory: MemoryCache, shared: Guard | None = None) -> None:
        self._memory = memory
        self._shared = shared

    @property
    def memory(self) -> MemoryCache:
        """The layer in this process."""
        return self._memory

    def look(self, key: str) -> bytes | None:
        """The value, if this process has it."""
        return self._memory.look(key)

    async def get(self, key: str) -> bytes | None:
        """The value, wherever it is."""
        value = self._memory.look(key)
        if value is not None or self._shared is None:
            return value
        frame = await self._shared.get(key)
        value = None if frame is None else unframed(key, frame)
        if value is not None:
            self._memory.keep(key, value)
        return value

    def keep(self, key: str, value: bytes) -> None:
        """Keep a value here, and before long in the shared cache."""
        self._memory.keep(key, value)
        if self._shared is not None:
            self._shared.put_later(key, framed(key, value))

    async def close(self) -> None:
        """Let go of what is held."""
        await self._memory.close()
        if self._shared is not None:
            await self._shared.close()
