"""Which cache there is, as a setting names it."""

from include.quarry.cache.counts import Counts
from include.quarry.cache.guard import Guard
from include.quarry.cache.layers import Layers
from include.quarry.cache.memcached import MemcachedCache
from include.quarry.cache.memory import MemoryCache
from include.quarry.cache.protocol import Cache
from include.quarry.cache.redis import RedisCache
from include.quarry.errors import Misconfigured
from include.quarry.settings import Settings

_MAX_VALUE_BYTES = 1_000_000  # what Memcached takes unless told otherwise, and a hundred times a usual answer
_TIMEOUT_S = 1.0  # nobody waits that long, see `guard.py`; it ends what nobody waits for


def open_layers(settings: Settings, counts: Counts) -> Layers | None:
    """The cache of one process, with the one that replicas share behind it; None when it is off.

    Nothing is connected yet. Raises `Misconfigured` when the shared one has no address.
    """
    kind, ttl_s = settings.cache, settings.cache_ttl_s
    if kind == "off":
        return None
    memory = MemoryCache(settings.cache_bytes, ttl_s)
    if kind == "memory":
        return Layers(memory)
    shared: Cache
    if kind == "redis":
        shared = RedisCache(_address(kind, settings.redis_url), ttl_s, _MAX_VALUE_BYTES, timeout_s=_TIMEOUT_S)
    else:
        shared = MemcachedCache(_address(kind, settings.memcached_url), ttl_s, _MAX_VALUE_BYTES, timeout_s=_TIMEOUT_S)
    return Layers(memory, Guard(shared, counts))


def _address(kind: str, url: str) -> str:
    if not url:
        raise Misconfigured(
            f"the cache is {kind!r} and has no address; set QUARRY_{kind.upper()}_URL, or another cache"
        )
    return url
