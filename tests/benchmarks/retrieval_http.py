"""/v1/retrieve behind Ray Serve against the bare floor: hybrid top 10 with texts, over HTTP, nothing cached.

Both serve the same chunks and vectors from the same machine in turns, and one client process asks both. The judged
numbers are medians over pairs of neighbouring rounds, since a machine has good and bad minutes.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from include.quarry.gateway.composition import bearer, make_token
from include.quarry.operations.health import wait_until
from include.quarry.operations.processes import processes_of
from tests.benchmarks.client import Client, Load, Order
from tests.benchmarks.cluster import bench_settings, serving
from tests.benchmarks.corpus import Prepared, prepare
from tests.benchmarks.report import Report, Row, median
from tests.benchmarks.undisturbed import undisturbed

NAME = "retrieval_http"
CONNECTIONS = 16
TOP_K = 10
MIN_RATE, MAX_EXTRA_MS, MAX_CPU = 0.85, 2.5, 1.25
_COMPARED = 30
_PATIENCE_S = 60.0
_FILLED_S = 20.0
_JSON = {"Content-Type": "application/json"}


@dataclass
class Side:
    """One contestant: where it answers, which processes it consists of, and what was measured of it."""

    url: str
    bodies: list[str]
    processes: Callable[[], set[psutil.Process]]
    token: str = ""
    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    hit_ms: list[float] = field(default_factory=list)
    client_ms: list[float] = field(default_factory=list)
    requests: int = 0

    def measure(self, client: Client, seconds: float) -> None:
        """A third of the time with one connection, then the rest with all."""
        alone = undisturbed(lambda: self._load(client, 1, seconds / 3))
        together, used = undisturbed(lambda: self._counted(client, seconds * 2 / 3))
        self.p50_ms.append(alone.p50_ms)
        self.p99_ms.append(together.p99_ms)
        self.rates.append(together.rate)
        self.cpu_ms.append(used * 1000 / together.requests)
        self.client_ms.append(together.cpu_s * 1000 / together.requests)

    def measure_hits(self, client: Client, seconds: float) -> None:
        """The p50 of what the cache knows, with one connection: what lies before the search, without its spread."""
        self.hit_ms.append(undisturbed(lambda: self._load(client, 1, seconds, cached=True)).p50_ms)

    def fill(self, client: Client) -> None:
        """Ask everything until the cache knows it."""
        self._load(client, CONNECTIONS, _FILLED_S, cached=True)

    def warm(self, client: Client, seconds: float) -> None:
        """An engine prepares itself for each new batch shape."""
        self._load(client, CONNECTIONS, seconds)
        self._load(client, 1, seconds / 3)

    def found(self) -> list[set[str]]:
        """Documents found for the first queries."""
        with httpx.Client(trust_env=False, timeout=_PATIENCE_S) as client:
            answers = [
                client.post(
                    self.url, content=body, headers=_JSON | (bearer(self.token) if self.token else {})
                ).raise_for_status()
                for body in self.bodies[:_COMPARED]
            ]
        return [{hit["doc_id"] for hit in answer.json()["hits"]} for answer in answers]

    def _load(self, client: Client, connections: int, seconds: float, *, cached: bool = False) -> Load:
        load = client.load(Order(self.url, connections, seconds, self.bodies, self.token, cached))
        if load.failures or not load.requests:
            raise RuntimeError(f"{self.url}: {load.failures} failures, {load.requests} answers; see its log")
        self.requests += load.requests
        return load

    def _counted(self, client: Client, seconds: float) -> tuple[Load, float]:
        """And the processor seconds that it took."""
        processes = self.processes()
        before = cpu_s(processes)
        return self._load(client, CONNECTIONS, seconds), cpu_s(processes) - before


def run(home: Path, corpus: Path, rounds: int, seconds: float) -> Report:
    """`rounds` rounds of `seconds` for each side."""
    if not (corpus / "corpus.jsonl").is_file():
        return Report(NAME, skipped=f"there is no corpus in {corpus}; --corpus names a folder in BEIR layout")
    settings = bench_settings(home)
    print(f"preparing {corpus.name} in {home}", flush=True)
    prepared = prepare(corpus, settings)
    with (
        Client() as client,
        _floor(home, prepared) as floor,
        serving(settings, "retrieval") as installation,
    ):
        bodies = _bodies(prepared, {"corpus": prepared.corpus})
        url = f"http://{settings.host}:{settings.http_port}/v1/retrieve"
        product = Side(url, bodies, lambda: processes_of(installation), make_token(settings, "default", "retrieve"))
        sides = [floor, product]
        agreed = agreement(floor.found(), product.found())
        for side in sides:
            side.warm(client, seconds / 2)
        for number in range(rounds):
            for side in sides if number % 2 else reversed(sides):
                side.measure(client, seconds)
            print(f"  round {number + 1}: {floor.rates[-1]:.0f} | {product.rates[-1]:.0f} requests/s", flush=True)
        rest = _at_rest(product)
    return _report(floor, product, agreed, rest)


def _report(floor: Side, product: Side, agreed: float, rest: float) -> Report:
    def ratio(name: str) -> float:
        return median([p / f for p, f in zip(getattr(product, name), getattr(floor, name), strict=True)])

    extra_ms = median([p - f for p, f in zip(product.p50_ms, floor.p50_ms, strict=True)])
    rows = [
        Row(f"requests/s at {CONNECTIONS}", floor.rates, product.rates, ratio("rates"), at_least=MIN_RATE),
        Row("p50 ms at 1", floor.p50_ms, product.p50_ms, extra_ms, "ms more", at_most=MAX_EXTRA_MS),
        Row("CPU ms a request", floor.cpu_ms, product.cpu_ms, ratio("cpu_ms"), at_most=MAX_CPU),
        Row(f"p99 ms at {CONNECTIONS}", floor.p99_ms, product.p99_ms, ratio("p99_ms")),
    ]
    notes = [
        f"the two agree on {agreed:.0%} of the documents in their top {TOP_K}",
        f"the client takes {median(floor.client_ms + product.client_ms):.2f} ms of CPU a request, not counted above",
        f"the product takes {rest:.1%} of a core when nobody asks; that is part of its CPU a request",
    ]
    return Report(NAME, rows, notes)


@contextmanager
def _floor(home: Path, prepared: Prepared) -> Iterator[Side]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/v1/retrieve"
    paths = [f"--home={home}", f"--snapshot={prepared.snapshot}", f"--port={port}"]
    # A session of its own, as the product has: Linux shares a busy machine out by sessions.
    process = subprocess.Popen([sys.executable, "-m", "tests.benchmarks.floor", *paths], start_new_session=True)
    bodies = _bodies(prepared, {})
    try:
        wait_until(lambda: _answers(url, bodies[0]), "the floor", 120, lambda _: None)
        yield Side(url, bodies, lambda: {psutil.Process(process.pid)})
    finally:
        process.terminate()
        process.wait()


def _bodies(prepared: Prepared, extra: dict[str, str]) -> list[str]:
    return [json.dumps({"query": query, "top_k": TOP_K, **extra}) for query in prepared.queries]


def _answers(url: str, body: str) -> bool:
    try:
        return httpx.post(url, content=body, headers=_JSON, timeout=_PATIENCE_S, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def agreement(one: list[set[str]], other: list[set[str]]) -> float:
    """The share of what one side found that the other one found too."""
    return sum(len(a & b) for a, b in zip(one, other, strict=True)) / sum(map(len, one))


def _at_rest(side: Side, seconds: float = 5.0) -> float:
    processes = side.processes()
    before = cpu_s(processes)
    time.sleep(seconds)
    return (cpu_s(processes) - before) / seconds


def cpu_s(processes: set[psutil.Process]) -> float:
    """Processor time that the processes took so far, user and system."""
    total = 0.0
    for process in processes:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
