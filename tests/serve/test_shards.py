"""A version in shards, held by two groups of replicas: one answer, always whole or marked, and never a mixture. One
replica of a group that hangs costs no answer while its twin lives.

This test has a cluster of its own, since the groups are an argument of the application.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import httpx
import psutil
import pytest

from include.quarry.catalog.database import Database, migrate
from include.quarry.embedding.engine import embedders
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.lake.backfill import embed_unit, plan_units
from include.quarry.lake.pending import PendingQuery, pending_texts
from include.quarry.lake.vectors import VectorLake
from include.quarry.operations.installation import REPOSITORY, Installation
from include.quarry.operations.processes import processes_of
from include.quarry.operations.serving import ServeApi, serve_document
from include.quarry.records import DocumentKey, RawDocument
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.promotion import promote, roll_back
from include.quarry.settings import Settings
from include.quarry.specs import ShardSpec
from tests.benchmarks.cluster import bench_settings, ray_head
from tests.processes import title_of
from tests.serve.conftest import _START_S, _deployed, poll, showing

pytestmark = pytest.mark.serve
_BOUND_S = 120.0
_DOCUMENTS = 24


class Quarry:
    """The installation, its log, and a client of /v1/retrieve."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.spec = settings.index_spec()
        self._database = Database(settings.catalog_url)
        self._lake = VectorLake(self._database, settings.lake_uri)
        self._ingestor = Ingestor(self._database, make_chunker, 10**6)
        self._embedder = embedders(settings)(self.spec.embedding)
        self.http = httpx.Client(base_url=settings.http_url, headers=showing(settings), timeout=60, trust_env=False)

    def put(self, doc_id: str, text: str) -> None:
        key = DocumentKey("main", "default", doc_id)
        self._ingestor.upsert(RawDocument(key, f"file:///{doc_id}", text.encode(), "text/plain"), "http")

    def delete(self, doc_id: str) -> None:
        self._ingestor.delete(DocumentKey("main", "default", doc_id), "http")

    def embed(self) -> None:
        window = PendingQuery("main", self.spec.chunker.fingerprint, self.spec.embedding.fingerprint)
        with self._database.read() as connection:
            units = list(plan_units(pending_texts(connection, window), 64))
        for unit in units:
            embed_unit(unit, self._database, self._lake, self._embedder, "test")

    def retrieve(self) -> dict[str, object]:
        response = self.http.post("/v1/retrieve", json={"query": "a stone of the quarry", "top_k": 100})
        return {"status": response.status_code, **response.json()}

    def answers(self, version: str, expected: set[str]) -> bool:
        """Whether exactly these documents are found, whole, by this version."""
        body = self.retrieve()
        if body["status"] != httpx.codes.OK or body["partial"]:
            return False
        return (body["index_version"], {hit["doc_id"] for hit in body["hits"]}) == (version, expected)  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def quarry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Quarry, Installation]]:
    settings = bench_settings(tmp_path_factory.mktemp("shards")).model_copy(update={"partial_results": "mark"})
    migrate(settings.catalog_url)
    quarry = Quarry(settings)
    for number in range(_DOCUMENTS):
        quarry.put(f"d{number}", f"Stone number {number} of the quarry is granite.")
    quarry.embed()
    build_version("whole", "main", quarry.spec, settings)
    build_version("shards", "main", replace(quarry.spec, shards=ShardSpec(3)), settings)
    promote("whole", settings)
    document = serve_document(REPOSITORY / settings.serve_config, settings.host, settings.http_port)
    (retrieval,) = (each for each in document["applications"] if each["name"] == "retrieval")
    twins = [*retrieval["deployments"], {"name": "Shards-1", "num_replicas": 2}]
    document["applications"] = [retrieval | {"args": {"shard_groups": 2}, "deployments": twins}]
    with ray_head(settings) as installation:
        steering = ServeApi(settings.ray_url, installation.ray_token)
        poll(partial(_deployed, steering, document), "Ray Serve's API", _START_S)
        yield quarry, installation
        steering.shut_down(12)


def test_shards_on_replicas_answer_as_one_index_mark_what_is_down_and_come_back(
    quarry: tuple[Quarry, Installation],
) -> None:
    one, installation = quarry
    everything = {f"d{number}" for number in range(_DOCUMENTS)}
    poll(partial(_ready, one, everything), "the retrieval application", _START_S)
    before = one.retrieve()
    promote("shards", one.settings)
    poll(lambda: one.answers("shards", everything), "the shards to answer", _BOUND_S)
    after = one.retrieve()
    assert _dense(after) == _dense(before)

    one.delete("d3")
    one.put("late", "A stone of the quarry that came late.")
    one.embed()
    everything = everything - {"d3"} | {"late"}
    poll(lambda: one.answers("shards", everything), "the change to be found", _BOUND_S)
    assert check_completeness("shards", one.settings)["chunks"] == _DOCUMENTS

    poll(lambda: len(_replicas(installation, "Shards-1")) == 2, "both twins", _BOUND_S)
    poll(lambda: all(one.answers("shards", everything) for _ in range(10)), "both twins to have followed", _BOUND_S)
    hanging, _ = _replicas(installation, "Shards-1")
    hanging.suspend()
    try:
        whole = sum(one.answers("shards", everything) for _ in range(20))
    finally:
        hanging.resume()
    assert whole >= 19  # a machine that stands still for seconds makes a query late that asks the other twin

    for twin in _replicas(installation, "Shards-1"):
        twin.kill()
    marked: list[dict[str, object]] = []
    poll(lambda: _seen_marked(one, marked), "an answer that is marked", _BOUND_S)
    poll(lambda: one.answers("shards", everything), "the group to come back", _BOUND_S)
    assert marked[-1]["shards_missing"] == [1]
    assert 0 < len(marked[-1]["hits"]) < _DOCUMENTS  # type: ignore[arg-type]

    roll_back("main", "a test", one.settings)
    poll(lambda: one.answers("whole", everything), "the version before to answer", _BOUND_S)


def _ready(one: Quarry, expected: set[str]) -> bool:
    try:
        return one.answers("whole", expected)
    except (httpx.TransportError, ValueError):  # no ingress yet, or its own page
        return False


def _dense(body: dict[str, object]) -> list[str]:
    hits: list[dict[str, object]] = [hit for hit in body["hits"] if "dense" in hit["ranks"]]  # type: ignore[attr-defined]
    return [str(hit["chunk_id"]) for hit in sorted(hits, key=lambda hit: hit["ranks"]["dense"])]  # type: ignore[index]


def _seen_marked(one: Quarry, marked: list[dict[str, object]]) -> bool:
    body = one.retrieve()
    assert body["status"] == httpx.codes.OK
    if body["partial"]:
        marked.append(body)
    return bool(body["partial"])


def _replicas(installation: Installation, deployment: str) -> list[psutil.Process]:
    return [p for p in processes_of(installation) if f"ServeReplica:retrieval:{deployment}" in title_of(p)]
