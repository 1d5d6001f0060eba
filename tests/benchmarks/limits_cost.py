"""What a limit costs a request: a ticket from this process's lease, against a hit of the `limits` library each time.

One tenant asks again and again, without HTTP. Product and floor answer in turns over the same Redis, or in process;
processor time is this process's own, and how often Redis was asked is counted.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter

from include.quarry.limits.leases import Leases
from include.quarry.limits.memory import MemoryCounters
from include.quarry.limits.protocol import Counters
from include.quarry.limits.redis import RedisCounters
from include.quarry.limits.standing import Limit
from tests.benchmarks.report import Report, Row, median
from tests.servers.redis import redis_server

NAME = "limits_cost"
MAX_RATIO_REDIS, MAX_RATIO_PROCESS = 0.2, 1.0
_ROUNDS, _REQUESTS = 20, 2000
_LIMIT = Limit("requests", 1_000_000, 2)
_ITEM = RateLimitItemPerSecond(1_000_000, 2)
Ask = Callable[[], Awaitable[object]]


class Watched:
    """Passes additions on and counts them."""

    def __init__(self, counters: Counters) -> None:
        self.additions = 0
        self._counters = counters

    async def add(self, key: str, amount: int, expiry_s: int) -> int:
        self.additions += 1
        return await self._counters.add(key, amount, expiry_s)


def run() -> Report:
    """Rounds of tickets and of hits in turns."""
    if shutil.which("redis-server") is None:
        return Report(NAME, skipped="redis-server is not installed")
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        return uvloop.run(_compare(server.url))


async def _compare(url: str) -> Report:
    redis = RedisCounters(url)
    rows, notes = [], []
    storages: dict[str, tuple[Counters, Storage, float]] = {
        "in Redis": (redis, RedisStorage(f"async+{url}", implementation="redispy"), MAX_RATIO_REDIS),
        "in process": (MemoryCounters(), MemoryStorage(), MAX_RATIO_PROCESS),
    }
    for name, (counters, storage, bar) in storages.items():
        watched = Watched(counters)
        leases, floor = Leases(watched), FixedWindowRateLimiter(storage)
        hits, tickets, waits, round_trips = [], [], [], []
        for number in range(_ROUNDS + 1):
            hit, trip = await _microseconds(lambda floor=floor: floor.hit(_ITEM, "acme"))  # type: ignore[misc]
            ticket, wait = await _microseconds(lambda leases=leases: leases.take("acme", _LIMIT))  # type: ignore[misc]
            if number:  # the first round warms up
                hits.append(hit)
                tickets.append(ticket)
                round_trips.append(trip)
                waits.append(wait)
        ratio = median([ours / theirs for ours, theirs in zip(tickets, hits, strict=True)])
        rows.append(Row(f"{name}: CPU µs a request", hits, tickets, ratio, at_most=bar))
        elapsed = median([ours / theirs for ours, theirs in zip(waits, round_trips, strict=True)])
        rows.append(Row(f"{name}: µs a request", round_trips, waits, elapsed))
        asked = watched.additions / ((_ROUNDS + 1) * _REQUESTS)
        notes.append(f"{name}: the shared count is asked at {asked:.1%} of the requests")
    await redis.close()
    return Report(NAME, rows, notes)


async def _microseconds(ask: Ask) -> tuple[float, float]:
    """Processor time and elapsed time of one request."""
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(_REQUESTS):
        await ask()
        await asyncio.sleep(0)  # fetches ahead of need run meanwhile, and are paid for here
    return (time.process_time() - cpu) / _REQUESTS * 1e6, (time.perf_counter() - began) / _REQUESTS * 1e6
