"""One replica that is asked as fast as it answers: `python -m tests.integration.limits_driver URL AMOUNT WHEN_DOWN`.

It says that it is ready, begins at a first line of input and ends at a second. Then it prints what it admitted in each
window of a second, and how its requests ended, as JSON.
"""

import argparse
import asyncio
import json
import sys
import time
from collections import Counter

from include.quarry.errors import TooManyRequests, Unavailable
from include.quarry.limits.leases import Leases
from include.quarry.limits.redis import RedisCounters
from include.quarry.limits.standing import Limit

ASKERS = 8
TENANT = "acme"


class Clock:
    """Remembers what it said last, which is when the last request was admitted."""

    last = 0.0

    def __call__(self) -> float:
        self.last = time.time()
        return self.last


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("amount", type=int)
    parser.add_argument("when_down", choices=["open", "closed"])
    given = parser.parse_args()
    counters, limit = RedisCounters(given.url), Limit("requests", given.amount, 1)
    clock = Clock()
    leases = Leases(counters, when_down=given.when_down, clock=clock)
    windows: Counter[int] = Counter()
    outcomes: Counter[str] = Counter()
    waits_ms: list[float] = []
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    told_to_end = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))

    async def ask() -> None:
        while not told_to_end.done():
            asked = time.monotonic()
            try:
                await leases.take(TENANT, limit)
                windows[int(clock.last)] += 1
            except (TooManyRequests, Unavailable) as error:
                outcomes[type(error).__name__] += 1
                await asyncio.sleep(0.002)
                continue
            finally:
                waits_ms.append((time.monotonic() - asked) * 1000)
            outcomes["admitted"] += 1

    await asyncio.gather(*(ask() for _ in range(ASKERS)))
    await counters.close()
    waits_ms.sort()
    print(
        json.dumps(
            {
                "windows": windows,
                "outcomes": outcomes,
                "p50_ms": waits_ms[len(waits_ms) // 2],
                "p99_ms": waits_ms[len(waits_ms) * 99 // 100],
                "slowest_ms": waits_ms[-1],
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
