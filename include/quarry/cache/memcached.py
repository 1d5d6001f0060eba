"""A cache on a Memcached server. Its `-m` bounds what it holds in all, its `-I` one value."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import ceil
from typing import TypeVar

from pymemcache.client.base import PooledClient
from pymemcache.exceptions import MemcacheError

from include.quarry.errors import Unavailable

_PREFIX = b"quarry:cache:"
_THREADS = 8  # its client waits for the network itself
_Got = TypeVar("_Got")


class MemcachedCache:
    """See `Cache`. Memcached counts whole seconds, so a value may stay one second longer."""

    def __init__(self, address: str, ttl_s: float, max_value_bytes: int, *, timeout_s: float) -> None:
        """`address` is `host:port`, or a path of a Unix socket."""
        self._address = address
        self._ttl_s = ceil(ttl_s)
        self._max_value_bytes = max_value_bytes
        self._client = PooledClient(
            address.removeprefix("memcached://"),
            connect_timeout=timeout_s,
            timeout=timeout_s,
            no_delay=True,
            max_pool_size=_THREADS,
            key_prefix=_PREFIX,
            default_noreply=False,
        )
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="memcached")

    async def get(self, key: str) -> bytes | None:
        found: bytes | None = await self._ask(partial(self._client.get, key))
        return found

    async def put(self, key: str, value: bytes) -> None:
        if len(value) <= self._max_value_bytes:
            await self._ask(partial(self._client.set, key, value, self._ttl_s))

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    async def _ask(self, question: Callable[[], _Got]) -> _Got:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, question)
        except (MemcacheError, OSError, ValueError) as error:  # its client reads nonsense as a wrong number
            raise Unavailable(f"the cache on Memcached at {self._address} does not answer: {error}") from error
