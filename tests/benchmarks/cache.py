"""What the cache of results is worth over HTTP, and that nothing stale comes out of it while everything changes.

The floor is the same server asked past its cache (`Cache-Control: no-store`), by the same client in turns. For
freshness, stones change their colours or go while they are asked about; every answer is held against the log.
"""

import asyncio
import json
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from time import monotonic

import httpx
import orjson
import uvloop

from include.quarry.catalog.database import Database, migrate
from include.quarry.embedding.engine import load_embedder
from include.quarry.gateway.composition import bearer, make_token
from include.quarry.lake.vectors import VectorLake
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.benchmarks.client import Client, Load, Order
from tests.benchmarks.cluster import bench_settings, serving
from tests.benchmarks.corpus import prepare
from tests.benchmarks.report import Report, Row, median
from tests.benchmarks.stones import QUESTIONS, STONES, TENANTS, Named, Shown, Stones
from tests.benchmarks.undisturbed import MOST_STOLEN, MOST_STOLEN_OF_A_P99, undisturbed

NAME = "cache"
CONNECTIONS = 16
MIN_RATIO, MAX_P99_MS = 5.0, 5.0
_ALL = 100
_PAUSE_S = 0.2  # some hundred reads between two changes of a tenant, so that there is much that could be stale
_LONGEST_S = 400.0
_ALL_AT_ONCE = 0.1


def run(folder: Path, corpus: Path, rounds: int, seconds: float, reads: int) -> Report:
    """`rounds` rounds of `seconds` on either way, then `reads` reads of what changes."""
    if not (corpus / "corpus.jsonl").is_file():
        return Report(NAME, skipped=f"there is no corpus in {corpus}; --corpus names a folder in BEIR layout")
    rows, notes = _worth(folder / "home", corpus, rounds, seconds)
    reading = _freshness(folder / NAME, reads)
    stale = reading.stones.stale(reading.shown)
    rows += [
        Row("reads under change", [], [reading.reads], reading.reads, "reads", at_least=reads),
        Row("stale reads", [], [len(stale)], len(stale), "reads", at_most=0),
    ]
    told = [
        f"{reading.stones.changes} changes and {reading.hits / max(1, reading.reads):.0%} hits meanwhile",
        f"{reading.reopened} connections were closed and opened again",
    ]
    return Report(NAME, rows, [*notes, *told, *(f"stale: {each}" for each in stale[:5])])


def _worth(home: Path, corpus: Path, rounds: int, seconds: float) -> tuple[list[Row], list[str]]:
    settings = bench_settings(home)
    print(f"preparing {corpus.name} in {home}", flush=True)
    prepared = prepare(corpus, settings)
    bodies = [json.dumps({"query": query, "top_k": 10, "corpus": prepared.corpus}) for query in prepared.queries]
    url, token = f"{settings.http_url}/v1/retrieve", make_token(settings, "default", "retrieve")
    past: list[tuple[Load, Load]] = []
    kept: list[tuple[Load, Load]] = []
    with Client() as client, serving(settings, "retrieval"):

        def load(connections: int, seconds: float, *, cached: bool) -> Load:
            order = Order(url, connections, seconds, bodies, token, cached)
            most_stolen = MOST_STOLEN_OF_A_P99 if connections == 1 and cached else MOST_STOLEN
            found = undisturbed(lambda: client.load(order), most_stolen)
            if found.failures or not found.requests:
                raise RuntimeError(f"{url}: {found.failures} failures, {found.requests} answers; see its log")
            return found

        load(CONNECTIONS, seconds / 2, cached=False)
        for number in range(rounds):
            _fill(url, token, bodies)
            for side, cached in ((past, False), (kept, True)) if number % 2 else ((kept, True), (past, False)):
                side.append((load(1, seconds / 2, cached=cached), load(CONNECTIONS, seconds / 2, cached=cached)))
            rates = [side[-1][1].rate for side in (past, kept)]
            print(f"  round {number + 1}: {rates[0]:.0f} | {rates[1]:.0f} requests/s", flush=True)
    rates = [[many.rate for _, many in side] for side in (past, kept)]
    ratio = median([ours / theirs for theirs, ours in zip(*rates, strict=True)])
    p50s, p99s = ([[getattr(one, name) for one, _ in side] for side in (past, kept)] for name in ("p50_ms", "p99_ms"))
    rows = [
        Row(f"requests/s at {CONNECTIONS}", *rates, ratio, at_least=MIN_RATIO),
        Row("p99 ms at 1", *p99s, median(p99s[1]), "ms", at_most=MAX_P99_MS),
        Row("p50 ms at 1", *p50s, median(p50s[1]), "ms"),
    ]
    client_ms = median([1000 * many.cpu_s / many.requests for _, many in kept])
    return rows, [f"{len(bodies)} queries; the client takes {client_ms:.2f} ms of CPU a hit on the same cores"]


def _fill(url: str, token: str, bodies: list[str]) -> None:
    """Ask everything until all of it is kept."""
    headers = {"Content-Type": "application/json", **bearer(token)}
    with httpx.Client(trust_env=False, timeout=60, headers=headers) as http:
        for _ in range(3):
            answers = [http.post(url, content=body).raise_for_status() for body in bodies]
            if all(answer.headers["Cache-Status"] == "quarry; hit" for answer in answers):
                return
    raise RuntimeError(f"{url} keeps not everything: its cache is too small, or what it holds changes")


@dataclass
class _Reading:
    """Reads of stones that change, and what they showed. All of one replica: the load is too low for a second one."""

    stones: Stones
    requests: dict[tuple[str, str], bytes]
    at_most: int
    until: float
    reads: int = 0
    hits: int = 0
    reopened: int = 0
    shown: list[Shown] = field(default_factory=list)

    async def go_on(self, host: str, port: int, seed: int) -> None:
        """Read over one connection until all has been read."""
        dice = random.Random(seed)
        reader, writer = await asyncio.open_connection(host, port)
        while self.reads < self.at_most and monotonic() < self.until:
            tenant = dice.choice(TENANTS)
            asked = "" if dice.random() < _ALL_AT_ONCE else dice.choice(STONES)
            began = self.stones.tick()
            writer.write(self.requests[tenant, asked])
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise
                reader, writer = await asyncio.open_connection(host, port)
                self.reopened += 1  # haproxy lets go of its connections when it is told of other replicas
                continue
            self.reads += 1
            at = head.index(b"content-length:") + 15
            body = await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
            if b" 200 " not in head[:16]:
                raise RuntimeError(f"a read was answered with {head[:40]!r} {body[:200]!r}")
            self.hits += b"quarry; hit" in head
            self._look(orjson.loads(body), tenant, asked, began)
        writer.close()

    def _look(self, found: dict[str, object], tenant: str, asked: str, began: int) -> None:
        hits, watermark = found["hits"], found["watermark"]
        assert isinstance(hits, list)
        assert isinstance(watermark, int)
        texts = {hit["doc_id"]: hit["text"] for hit in hits}
        for stone in (asked,) if asked else STONES:
            named: Named = (tenant, stone)
            self.shown.append(self.stones.shown(named, watermark, texts.get(stone, ""), began=began))


def _freshness(home: Path, reads: int) -> _Reading:
    rmtree(home, ignore_errors=True)
    settings = bench_settings(home)
    migrate(settings.catalog_url)
    spec, cache = settings.index_spec(), settings.home.absolute() / "models"
    database = Database(settings.catalog_url)
    embedder = load_embedder(
        spec.embedding, engine=settings.embedding_engine, threads=settings.embedding_threads, cache=cache
    )
    stones = Stones(database, VectorLake(database, settings.lake_uri), spec, embedder)
    stones.fill()
    build_version("first", "main", spec, settings, patience_s=0)
    promote("first", settings)
    requests = {(tenant, stone): _request(settings, tenant, stone) for tenant in TENANTS for stone in ("", *STONES)}
    with serving(settings, "retrieval"):
        reading = _Reading(stones, requests, reads, monotonic() + _LONGEST_S)
        _while_changing(stones, lambda: uvloop.run(_read(reading, settings)))
    return reading


async def _read(reading: _Reading, settings: Settings) -> None:
    connections = (reading.go_on(settings.host, settings.http_port, seed) for seed in range(CONNECTIONS))
    await asyncio.gather(*connections)


def _while_changing(stones: Stones, do: Callable[[], None]) -> None:
    ended = threading.Event()
    writer = threading.Thread(target=stones.change_until, args=(ended, _PAUSE_S))
    writer.start()
    try:
        do()
    finally:
        ended.set()
        writer.join()


def _request(settings: Settings, tenant: str, stone: str) -> bytes:
    """The question for one stone, or for all of them."""
    body: dict[str, object] = {"query": QUESTIONS[STONES.index(stone)] if stone else QUESTIONS[0], "top_k": _ALL}
    if stone:
        body["filters"] = {"doc_id": stone}
    content = json.dumps(body).encode()
    head = (
        f"POST /v1/retrieve HTTP/1.1\r\nHost: {settings.host}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {make_token(settings, tenant, 'retrieve')}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content
