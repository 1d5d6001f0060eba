"""What the whole front door costs: /v1/retrieve with tokens, limits in Redis and the audit, against the same without.

Both are the product's own retrieval deployment, two applications of one Ray Serve behind one HAProxy over one index,
and one client process asks them in turns. The floor's application leaves out the door and nothing else. The judged
numbers are medians over pairs of neighbouring rounds. A query's embedding takes longer than the whole door, and varies
by more: so what the door adds to p50 is judged on queries that both sides' caches know, where it can be seen.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import redis
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_records
from include.quarry.gateway.composition import make_token
from include.quarry.operations.health import wait_until
from include.quarry.operations.processes import processes_of
from include.quarry.settings import Settings
from tests.benchmarks.client import Client
from tests.benchmarks.cluster import bench_settings, serving
from tests.benchmarks.corpus import prepare
from tests.benchmarks.open_retrieval import PREFIX
from tests.benchmarks.report import Report, Row, median
from tests.benchmarks.retrieval_http import CONNECTIONS, TOP_K, Side, agreement
from tests.servers.redis import RedisServer, redis_server

NAME = "gateway"
MAX_EXTRA_MS, MIN_RATE, MIN_AGREEMENT = 1.0, 0.8, 0.99
_OPEN = {"name": "open", "route_prefix": PREFIX, "import_path": "tests.benchmarks.open_retrieval:build_app"}
_SHIPPED_S = 60.0


def run(home: Path, corpus: Path, rounds: int, seconds: float) -> Report:
    """`rounds` rounds of `seconds` for each side."""
    if not (corpus / "corpus.jsonl").is_file():
        return Report(NAME, skipped=f"there is no corpus in {corpus}; --corpus names a folder in BEIR layout")
    if shutil.which("redis-server") is None:
        return Report(NAME, skipped="redis-server is not installed")
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        settings = bench_settings(home).model_copy(update={"redis_url": server.url})
        print(f"preparing {corpus.name} in {home}", flush=True)
        prepared = prepare(corpus, settings)
        bodies = [json.dumps({"query": query, "top_k": TOP_K, "corpus": prepared.corpus}) for query in prepared.queries]
        with Client() as client, _sides(settings, bodies) as (floor, product):
            if (same := agreement(floor.found(), product.found())) < MIN_AGREEMENT:
                raise RuntimeError(f"the two sides agree on {same:.0%} of what they find: they cannot be compared")
            before = _recorded(settings)
            for side in (floor, product):
                side.warm(client, seconds / 2)
                side.fill(client)
            for number in range(rounds):
                for side in (floor, product) if number % 2 else (product, floor):
                    side.measure(client, seconds)
                    side.measure_hits(client, seconds / 3)
                print(f"  round {number + 1}: {floor.rates[-1]:.0f} | {product.rates[-1]:.0f} requests/s", flush=True)
            notes = _proofs(settings, server, product, before)
    return _report(floor, product, notes)


@contextmanager
def _sides(settings: Settings, bodies: list[str]) -> Iterator[tuple[Side, Side]]:
    with serving(settings, "retrieval", beside=_OPEN) as installation:

        def side(path: str, token: str = "") -> Side:
            return Side(f"{settings.http_url}{path}", bodies, lambda: processes_of(installation), token)

        yield side(f"{PREFIX}/v1/retrieve"), side("/v1/retrieve", make_token(settings, "default", "retrieve"))


def _proofs(settings: Settings, server: RedisServer, product: Side, before: int) -> list[str]:
    """That the door was there: it lets nobody in without a token, Redis counted, and each request left its record.

    Raises `RuntimeError` where it did not.
    """
    refused = httpx.post(product.url, content=product.bodies[0], trust_env=False).status_code
    product.found()  # so that there is a count of the present window
    with redis.Redis.from_url(server.url) as counts:
        counted = counts.dbsize()
    if refused != httpx.codes.UNAUTHORIZED or not counted:
        raise RuntimeError(f"the door was open: {refused} without a token, {counted} counts in Redis")
    wait_until(lambda: _recorded(settings) - before >= product.requests, "the records", _SHIPPED_S, lambda _: None)
    return [f"{product.requests} requests of the product left {_recorded(settings) - before} records in the catalog"]


def _recorded(settings: Settings) -> int:
    database = Database(settings.catalog_url)
    with database.read() as connection:
        found = connection.scalar(sa.select(sa.func.count()).select_from(audit_records)) or 0
    database.close()
    return found


def _report(floor: Side, product: Side, notes: list[str]) -> Report:
    def ratio(name: str) -> float:
        return median([p / f for p, f in zip(getattr(product, name), getattr(floor, name), strict=True)])

    def extra(name: str) -> float:
        return median([p - f for p, f in zip(getattr(product, name), getattr(floor, name), strict=True)])

    rows = [
        Row("p50 ms at 1, of hits", floor.hit_ms, product.hit_ms, extra("hit_ms"), "ms more", at_most=MAX_EXTRA_MS),
        Row("p50 ms at 1, of misses", floor.p50_ms, product.p50_ms, extra("p50_ms"), "ms more"),
        Row(f"requests/s at {CONNECTIONS}", floor.rates, product.rates, ratio("rates"), at_least=MIN_RATE),
        Row("CPU ms a request", floor.cpu_ms, product.cpu_ms, extra("cpu_ms"), "ms more"),
        Row(f"p99 ms at {CONNECTIONS}", floor.p99_ms, product.p99_ms, ratio("p99_ms")),
    ]
    spent = median(floor.client_ms + product.client_ms)
    return Report(NAME, rows, [*notes, f"the client takes {spent:.2f} ms of CPU a request, not counted above"])
