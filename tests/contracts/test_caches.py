"""What every cache promises. A new adapter joins by one line in ADAPTERS."""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress

import pytest

from include.quarry.cache.keys import key_of
from include.quarry.cache.memcached import MemcachedCache
from include.quarry.cache.memory import MemoryCache
from include.quarry.cache.protocol import Cache
from include.quarry.cache.redis import RedisCache
from include.quarry.errors import Unavailable
from tests.servers.memcached import memcached_server
from tests.servers.redis import redis_server

MAX_BYTES = 500_000
PATIENCE_S = 30.0
Make = Callable[[float], Cache]
"""Makes a cache that keeps values for so many seconds."""


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@pytest.fixture(scope="module")
def memcached_address() -> Iterator[str]:
    with memcached_server() as server:
        yield server.address


def in_redis(url: str, ttl_s: float = 60) -> Cache:
    return RedisCache(url, ttl_s, MAX_BYTES, timeout_s=5)


def in_memcached(address: str, ttl_s: float = 60) -> Cache:
    return MemcachedCache(address, ttl_s, MAX_BYTES, timeout_s=5)


ADAPTERS: dict[str, Callable[[pytest.FixtureRequest], Make]] = {
    "memory": lambda _: lambda ttl_s: MemoryCache(MAX_BYTES + 400, ttl_s),
    "redis": lambda request: lambda ttl_s: in_redis(request.getfixturevalue("redis_url"), ttl_s),
    "memcached": lambda request: lambda ttl_s: in_memcached(request.getfixturevalue("memcached_address"), ttl_s),
}
SERVERS = {
    "redis": lambda port: in_redis(f"redis://127.0.0.1:{port}/0"),
    "memcached": lambda port: in_memcached(f"127.0.0.1:{port}"),
}


@pytest.fixture(params=ADAPTERS)
def make(request: pytest.FixtureRequest) -> Make:
    return ADAPTERS[request.param](request)


@pytest.fixture
async def cache(make: Make) -> AsyncIterator[Cache]:
    cache = make(60)
    yield cache
    await cache.close()


@pytest.fixture
def key() -> str:
    return key_of(os.urandom(8).hex())


@pytest.mark.parametrize("value", [b"x", b"\r\nEND\r\n\x00\xff", bytes(range(256)) * 400, b""])
async def test_a_value_comes_back_as_it_was(cache: Cache, key: str, value: bytes) -> None:
    assert await cache.get(key) is None
    await cache.put(key, value)
    assert await cache.get(key) == value
    assert await cache.get(key_of("another")) is None


async def test_a_value_may_be_kept_twice(cache: Cache, key: str) -> None:
    for _ in range(2):
        await cache.put(key, b"the same")
    assert await cache.get(key) == b"the same"


async def test_a_value_is_forgotten_in_time(make: Make, key: str) -> None:
    cache, pause = make(2), asyncio.Event()  # memcached may forget a second sooner
    await cache.put(key, b"soon gone")
    assert await cache.get(key) == b"soon gone"
    async with asyncio.timeout(PATIENCE_S):
        while await cache.get(key) is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(pause.wait(), 0.05)
    await cache.close()


async def test_a_value_too_large_is_not_kept_and_is_no_error(cache: Cache, key: str) -> None:
    await cache.put(key, bytes(MAX_BYTES + 1))
    assert await cache.get(key) is None
    await cache.put(key, bytes(MAX_BYTES))
    assert await cache.get(key) == bytes(MAX_BYTES)


async def test_many_at_once_each_get_their_own(cache: Cache) -> None:
    keys = [key_of(str(number)) for number in range(200)]
    await asyncio.gather(*(cache.put(key, key.encode()) for key in keys))
    found = await asyncio.gather(*(cache.get(key) for key in keys))
    assert found == [key.encode() for key in keys]


async def test_who_stops_waiting_leaves_no_answer_to_others(cache: Cache) -> None:
    keys = [key_of("left", str(number)) for number in range(50)]
    await asyncio.gather(*(cache.put(key, key.encode()) for key in keys))
    for number, key in enumerate(keys * 4):
        asked = asyncio.create_task(cache.get(key))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        assert await cache.get(keys[-number % 50]) == keys[-number % 50].encode()


@pytest.mark.parametrize("adapter", SERVERS)
async def test_a_server_that_is_not_there_is_unavailable(adapter: str, key: str, free_port: int) -> None:
    cache = SERVERS[adapter](free_port)
    with pytest.raises(Unavailable, match="does not answer"):
        await cache.get(key)
    with pytest.raises(Unavailable, match="does not answer"):
        await cache.put(key, b"x")
    await cache.close()


@pytest.mark.parametrize("adapter", SERVERS)
@pytest.mark.parametrize(
    "nonsense", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"VALUE a b c\r\n", b"\x00" * 64 + b"\r\n", b""]
)
async def test_a_server_that_talks_nonsense_is_unavailable(adapter: str, key: str, nonsense: bytes) -> None:
    with babbling(nonsense) as port:
        cache = SERVERS[adapter](port)
        with pytest.raises(Unavailable, match="does not answer"):
            await cache.get(key)
        await cache.close()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class babbling:  # noqa: N801 - used like a function
    """A server that answers everything with the same bytes, and hangs up."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._socket = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> int:
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self._socket.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                connection.sendall(self._words)
