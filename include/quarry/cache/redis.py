"""A cache on a Redis server. Its `maxmemory` and `maxmemory-policy` bound what it holds in all; set `allkeys-lru`."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from include.quarry.errors import Unavailable

_PREFIX = "quarry:cache:"
_CONNECTIONS = 32


class RedisCache:
    """See `Cache`. Whoever waits for it decides how long; a command that is given up closes its connection, so that no
    later one can be given its answer."""

    def __init__(self, url: str, ttl_s: float, max_value_bytes: int, *, timeout_s: float) -> None:
        self._address = urlsplit(url).netloc.rpartition("@")[2]
        self._ttl_ms = max(1, round(ttl_s * 1000))
        self._max_value_bytes = max_value_bytes
        # a library that tries again would only make the caller wait; whoever asks decides when it is worth it
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self._client = Redis.from_pool(pool)

    async def get(self, key: str) -> bytes | None:
        with self._speaking():
            found = await self._client.get(_PREFIX + key)
        return found if isinstance(found, bytes) else None

    async def put(self, key: str, value: bytes) -> None:
        if len(value) <= self._max_value_bytes:
            with self._speaking():
                await self._client.set(_PREFIX + key, value, px=self._ttl_ms)

    async def close(self) -> None:
        with self._speaking():
            await self._client.aclose()

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        try:
            yield
        except (RedisError, OSError) as error:
            raise Unavailable(f"the cache on Redis at {self._address} does not answer: {error}") from error
