"""Counts in Redis, through the `limits` library: an addition and its expiry are one script there."""

from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool
from redis.exceptions import RedisError

from include.quarry.errors import Misconfigured, Unavailable

_CONNECTIONS = 4
"""Additions under way at once; others wait for a connection."""
_TIMEOUT_S = 0.5
"""Of a connection and of a reply; far more than either takes on a busy machine. No request waits as long as this."""


class RedisCounters:
    """Counts that every process with this URL shares. Use it from one event loop."""

    def __init__(self, url: str) -> None:
        """Connects at the first addition. Raises `Misconfigured` for a URL that is none."""
        try:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=_TIMEOUT_S,
                socket_timeout=_TIMEOUT_S,
                socket_connect_timeout=_TIMEOUT_S,
            )
        except ValueError as error:  # the URL may hold a password, so it is not shown
            raise Misconfigured(f"QUARRY_REDIS_URL cannot be read ({error}); write redis://HOST:PORT/NUMBER") from error
        self._storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix="quarry-limits",
            connection_pool=pool,  # type: ignore[arg-type] # with the pool's settings nothing is tried again
        )
        self._pool = pool

    async def add(self, key: str, amount: int, expiry_s: int) -> int:
        try:
            return await self._storage.incr(key, expiry_s, amount)
        except (RedisError, OSError) as error:
            raise Unavailable(f"Redis does not count now ({type(error).__name__}); look at QUARRY_REDIS_URL") from error

    async def close(self) -> None:
        """Give the connections back."""
        await self._pool.disconnect()
