"""Compares the vector stores on the same vectors: time to build, latency of a lone query, recall against an exact scan.

The vectors are synthetic and lie in clusters, as those of texts do. Milvus is milvus-lite, or the server that
QUARRY_TEST_MILVUS_URL names. Pinecone is left out: only its fake could be measured here.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
from matplotlib.figure import Figure

from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Float32, Passage, Scope, Vectors
from include.quarry.specs import StoreKind, StoreSpec
from include.quarry.stores import milvus
from include.quarry.stores.faiss import FaissStore
from include.quarry.stores.protocol import VectorStore
from include.quarry.stores.remote import RemoteStore
from tests.benchmarks.report import Report
from tests.servers.milvus import milvus as milvus_server

D, K, QUERIES, CHUNKS, BATCH = 384, 10, 200, 10, 200
SPACE, TENANT = "bench", "t"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured of one store. `build_s` is apply and save, graph included; `load_s` opens the snapshot."""

    store: str
    build_s: float
    load_s: float
    p50_ms: float
    p99_ms: float
    recall: float

    def __str__(self) -> str:
        return (
            f"{self.store:<14} {self.build_s:8.1f} {self.load_s:7.1f} {self.p50_ms:8.2f} {self.p99_ms:8.2f} "
            f"{self.recall:9.3f}"
        )


@dataclass(frozen=True, slots=True)
class Comparison(Report):
    """A report with the figures of each store beside its table."""

    figures: list[Figures] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Contestant:
    """How to make and load one store, and how to leave nothing behind."""

    make: Callable[[], VectorStore]
    load: Callable[[Path], VectorStore]
    drop: Callable[[VectorStore], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Task:
    """Vectors `[n, d]` to hold, queries `[q, d]`, and for each query the names of the `K` nearest."""

    vectors: Float32
    queries: Float32
    nearest: list[set[str]]


def run(folder: Path, rows: int) -> Report:
    """Measures every store on `rows` vectors, one after the other."""
    task = _task(rows)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(milvus_server(scratch))
        server = milvus.MilvusServer(url, timeout_s=600)
        contestants = {
            "faiss flat": _faiss("flat"),
            "faiss hnsw": _faiss("hnsw"),
            "milvus flat": _milvus(server, "flat"),
            "milvus hnsw": _milvus(server, "hnsw"),
        }
        figures = [_measure(name, each, scratch / name.replace(" ", "-"), task) for name, each in contestants.items()]
        version = server.client.get_server_version()
    notes = [
        f"{rows} vectors of {D} dimensions in documents of {CHUNKS} chunks, {QUERIES} queries one by one, k={K}; "
        f"Milvus is {version}",
        f"{'store':<14} {'build s':>8} {'load s':>7} {'p50 ms':>8} {'p99 ms':>8} {'recall@10':>9}",
        *map(str, figures),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    _draw(figures).savefig(folder / "vector_stores.png", dpi=120)
    return Comparison("vector_stores", notes=notes, figures=figures)


def _faiss(kind: StoreKind) -> Contestant:
    return Contestant(lambda: FaissStore(StoreSpec(kind=kind), SPACE, D), FaissStore.load)


def _milvus(server: milvus.MilvusServer, kind: StoreKind) -> Contestant:
    version = f"bench-{uuid4().hex}"

    def drop(store: VectorStore) -> None:
        assert isinstance(store, RemoteStore)
        store.drop()

    return Contestant(
        lambda: milvus.new_store(StoreSpec(kind=kind), SPACE, D, server=server, version=version),
        lambda folder: milvus.load_store(folder, server=server),
        drop,
    )


def _measure(name: str, contestant: Contestant, folder: Path, task: Task) -> Figures:
    started = time.perf_counter()
    store = contestant.make()
    updates = list(_updates(task.vectors))
    for start in range(0, len(updates), BATCH):
        store.apply(updates[start : start + BATCH])
    store.save(folder)
    built = time.perf_counter()
    loaded = contestant.load(folder)
    opened = time.perf_counter()
    latencies_ms, recalls = [], []
    for query, best in zip(task.queries, task.nearest, strict=True):
        asked = time.perf_counter()
        hits = loaded.search(Vectors(SPACE, query[None]), K, Scope(TENANT))[0]
        latencies_ms.append((time.perf_counter() - asked) * 1000)
        recalls.append(len(best & {hit.chunk_id for hit in hits}) / K)
    contestant.drop(loaded)
    p50, p99 = (float(np.percentile(latencies_ms, share)) for share in (50, 99))
    return Figures(name, built - started, opened - built, p50, p99, float(np.mean(recalls)))


def _task(rows: int) -> Task:
    """Around one centre for every hundred rows."""
    rng = np.random.default_rng(11)
    centres = rng.standard_normal((max(1, rows // 100), D)).astype(np.float32)

    def around(count: int) -> Float32:
        points = centres[rng.integers(0, len(centres), count)]
        points += 0.7 * rng.standard_normal((count, D), np.float32)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        return points

    vectors, queries = around(rows), around(QUERIES)
    nearest = [{_name(row) for row in np.argpartition(-each, K)[:K].tolist()} for each in queries @ vectors.T]
    return Task(vectors, queries, nearest)


def _updates(vectors: Float32) -> Iterator[DocumentUpdate]:
    for seq, start in enumerate(range(0, len(vectors), CHUNKS), 1):
        key = DocumentKey("main", TENANT, f"d{seq}")
        own = vectors[start : start + CHUNKS]
        chunks = tuple(
            Chunk(_name(start + i), key, seq, i, "", "", Passage("", "", 0, 0, 0), {}) for i in range(len(own))
        )
        yield DocumentUpdate(seq, key, seq, chunks, Vectors(SPACE, own))


def _name(row: int) -> str:
    return f"{row:08}"


def _draw(figures: list[Figures]) -> Figure:
    """One panel a measure, one bar a store; times on a logarithmic scale."""
    figure = Figure(figsize=(14, 3.8), layout="constrained")
    panels = {"build_s": "build, s", "p50_ms": "query p50, ms", "p99_ms": "query p99, ms", "recall": "recall@10"}
    for axes, (name, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        bars = axes.bar([each.store for each in figures], [getattr(each, name) for each in figures], color="#4878a8")
        axes.bar_label(bars, fmt="%.3g", fontsize=8)
        axes.set_title(title, fontsize=9)
        axes.tick_params(axis="x", labelsize=7)
        if name != "recall":
            axes.set_yscale("log")
    figure.suptitle("vector stores")
    return figure
