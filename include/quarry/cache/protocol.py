"""The port to a cache: bytes by key, kept for a while, in this process or on a server that replicas share."""

from typing import Literal, Protocol

CacheKind = Literal["off", "memory", "redis", "memcached"]
"""Where results are kept: nowhere, in each process, or in each process and on a server behind them all."""


class Cache(Protocol):
    """Keeps what it is given for `ttl_s` at most, and less when there is no room. To be used on one event loop.

    A key names its value for good: what is put twice is the same twice, so nothing is ever replaced or withdrawn. Keys
    are 64 hex digits. A value too large for the cache is not kept, and that is no error.
    """

    async def get(self, key: str) -> bytes | None:
        """The value, or None. Raises `Unavailable` when the cache cannot be asked."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Keep a value. Raises `Unavailable` when the cache cannot be asked."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
