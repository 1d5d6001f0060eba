"""What the audit costs a request: /v1/retrieve behind the door with and without a ledger, in one process, in turns.

The search costs nothing, so that nothing hides the difference. The ledger is the product's: journal, query log, and a
thread that ships into a catalog of its own meanwhile. Waiting for the disk is measured too, and not judged.
"""

import time
from pathlib import Path
from shutil import rmtree

import uvloop

from include.quarry.audit.opening import open_ledger
from include.quarry.catalog.database import migrate
from include.quarry.gateway.composition import bearer
from include.quarry.gateway.door import Door
from include.quarry.settings import Settings
from tests.benchmarks.front_door import Ask, asker, product
from tests.benchmarks.report import Report, Row, median
from tests.door import token, tokens

NAME = "audit_cost"
MAX_EXTRA_MS = 0.3
_ROUNDS, _REQUESTS, _FEWER = 30, 300, 20


def run(folder: Path) -> Report:
    """Rounds of requests to every side in turns."""
    home = folder / NAME
    rmtree(home, ignore_errors=True)
    return uvloop.run(_compare(home))


async def _compare(home: Path) -> Report:
    how = {
        "no audit": None,
        "audit": {"query_log_share": 0.0},
        "audit and query log": {},
        "the same, waiting for the disk": {"audit_sync": True},
    }
    shown, sides, ledgers = bearer(token("red")), {}, []
    for number, (name, options) in enumerate(how.items()):
        ledger = None
        if options is not None:
            settings = Settings(home=home / str(number), _env_file=None, **options)
            migrate(settings.catalog_url)
            ledger = open_ledger(settings, "bench")
            ledgers.append(ledger)
        sides[name] = asker(product(Door(tokens(), max_wait_s=60, ledger=ledger)), shown)
    p50_ms: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(_ROUNDS + 1):
        for name, ask in sides.items():
            middle = await _middle_ms(ask, _FEWER if "disk" in name else _REQUESTS)
            if number:  # the first round warms up
                p50_ms[name].append(middle)
    for ledger in ledgers:
        ledger.stop()
    floor = p50_ms.pop("no audit")
    rows = [
        Row(
            f"{name}, p50 ms",
            floor,
            took,
            median([ours - theirs for ours, theirs in zip(took, floor, strict=True)]),
            "ms more",
            at_most=None if "disk" in name else MAX_EXTRA_MS,
        )
        for name, took in p50_ms.items()
    ]
    kept = _ROUNDS * _REQUESTS
    return Report(NAME, rows, [f"{kept} records a side, shipped into SQLite meanwhile; ten passages a request"])


async def _middle_ms(ask: Ask, requests: int) -> float:
    took = []
    for _ in range(requests):
        began = time.perf_counter()
        await ask()
        took.append((time.perf_counter() - began) * 1000)
    return median(took)
