"""The shared cache is killed while it is asked: no wrong answer, no failed request, and it is found again by itself."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.quarry.cache.counts import Counts
from include.quarry.cache.guard import Guard
from include.quarry.cache.layers import Layers
from include.quarry.cache.memcached import MemcachedCache
from include.quarry.cache.memory import MemoryCache
from include.quarry.cache.protocol import Cache
from include.quarry.cache.redis import RedisCache
from include.quarry.catalog.database import Database, migrate
from tests.servers.memcached import MemcachedServer, memcached_server
from tests.servers.redis import RedisServer, redis_server
from tests.unit.cache.conftest import Replica, update

pytestmark = pytest.mark.chaos
Server = RedisServer | MemcachedServer
_NOTHING_BYTES = 100  # room for no value, so that every one is asked for at the server
_PATIENCE_S = 60.0


@pytest.fixture(params=["redis", "memcached"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with redis_server(tmp_path) if request.param == "redis" else memcached_server() as server:
        yield server


def client_of(server: Server) -> Cache:
    if isinstance(server, RedisServer):
        return RedisCache(server.url, 60, 10**6, timeout_s=1)
    return MemcachedCache(server.address, 60, 10**6, timeout_s=1)


async def test_a_killed_cache_costs_no_request_and_comes_back(server: Server, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrate(url)
    shared = Counts()
    layers = Layers(MemoryCache(_NOTHING_BYTES, 60), Guard(client_of(server), shared))
    replica = Replica(Database(url), tmp_path / "one", layers)
    replica.apply(update("a", 1, "Granite."), update("b", 2, "Chalk."))
    seq = 2

    async def ask_until_hit() -> None:
        """Ask, change, ask; every answer is the present one, whatever the server does."""
        nonlocal seq
        before = replica.counts.hits
        async with asyncio.timeout(_PATIENCE_S):
            while replica.counts.hits == before:
                seq += 1
                replica.apply(update("a", seq, f"Granite {seq}."))
                for _ in range(4):
                    found = await asyncio.gather(*(replica.found() for _ in range(4)))
                    assert found == [{f"red/a/{seq}", "red/b/2"}] * 4

    await ask_until_hit()
    for harm in (signal.SIGKILL, signal.SIGSTOP):
        asking = asyncio.gather(*(replica.found() for _ in range(8)))
        server.send(harm)
        assert await asking == [{f"red/a/{seq}", "red/b/2"}] * 8
        for _ in range(6):
            seq += 1
            replica.apply(update("a", seq, f"Granite {seq}."))
            assert await replica.found() == {f"red/a/{seq}", "red/b/2"}
        if harm == signal.SIGKILL:
            await asyncio.to_thread(server.start)
        else:
            server.send(signal.SIGCONT)
        await ask_until_hit()
    assert shared.failures > 0
