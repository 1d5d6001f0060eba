"""One platform for all tests of this folder: Ray Serve with both applications behind the product's own ingress.

Ray is started exactly as the platform starts it, on free ports and in a home of its own. The corpus begins empty with a
live version; everything in it comes over HTTP.
"""

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import httpx
import pytest

from include.quarry.catalog.database import migrate
from include.quarry.errors import Unavailable
from include.quarry.gateway.caller import SCOPES
from include.quarry.gateway.composition import bearer, make_token
from include.quarry.operations.installation import REPOSITORY, Installation
from include.quarry.operations.serving import ServeApi, serve_document
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from tests.benchmarks.cluster import bench_settings, ray_head
from tests.servers.kafka import kafka, make_topic
from tests.servers.memcached import MemcachedServer, memcached_server
from tests.servers.redis import RedisServer, redis_server

TOPIC = "documents"
_START_S = 300.0
_POLL_S = 0.02
LIMITED = """
tenants:
  hasty: {requests_per_s: 1, burst_s: 20}
  talkative: {tokens_per_day: 1}
  hoarder: {documents: 2}
"""
"""Tenants with little to spend, for the tests of limits."""
JsonObject = dict[str, object]


@dataclass(frozen=True, slots=True)
class Api:
    """A client of the HTTP API, and the installation behind it."""

    installation: Installation
    http: httpx.Client = field(repr=False)

    @property
    def settings(self) -> Settings:
        return self.installation.settings

    def showing(self, tenant: str) -> dict[str, str]:
        """The header of a caller of the tenant who may do everything."""
        return showing(self.settings, tenant)

    def put(self, doc_id: str, text: str, tenant: str = "default", **more: object) -> httpx.Response:
        return self.http.put(f"/v1/documents/{doc_id}", json={"text": text, **more}, headers=self.showing(tenant))

    def delete(self, doc_id: str, tenant: str = "default") -> httpx.Response:
        return self.http.delete(f"/v1/documents/{doc_id}", headers=self.showing(tenant))

    def retrieve(self, query: str, tenant: str = "default", caching: str = "", **more: object) -> httpx.Response:
        headers = {**self.showing(tenant), "Cache-Control": caching}
        return self.http.post("/v1/retrieve", json={"query": query, **more}, headers=headers)

    def answer(self, question: str, tenant: str = "default", caching: str = "", **more: object) -> httpx.Response:
        headers = {**self.showing(tenant), "Cache-Control": caching}
        return self.http.post("/v1/answer", json={"question": question, **more}, headers=headers)

    def found(self, query: str, tenant: str = "default", **more: object) -> set[str]:
        """The doc_ids that a query finds."""
        return {hit["doc_id"] for hit in self.retrieve(query, tenant, **more).raise_for_status().json()["hits"]}

    def status(self) -> dict[str, int]:
        found: dict[str, int] = self.http.get("/v1/status").raise_for_status().json()
        return found


@pytest.fixture(scope="session")
def broker() -> Iterator[str]:
    """A Kafka broker with the topic that the platform reads."""
    with kafka() as address:
        make_topic(address, TOPIC, 2)
        yield address


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer | None]:
    """The Redis of all replicas; None where it is not installed, and the platform does without."""
    if shutil.which("redis-server") is None:
        yield None
        return
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def memcached() -> Iterator[MemcachedServer | None]:
    """What all replicas keep; None where it is not installed, and each keeps its own."""
    if shutil.which("memcached") is None:
        yield None
        return
    with memcached_server() as server:
        yield server


@pytest.fixture(scope="session")
def api(
    tmp_path_factory: pytest.TempPathFactory,
    broker: str,
    redis: RedisServer | None,
    memcached: MemcachedServer | None,
) -> Iterator[Api]:
    home: Path = tmp_path_factory.mktemp("serve")
    feeds, plans = home / "feeds.yaml", home / "plans.yaml"
    watched = home / "watched"
    watched.mkdir()
    topic = {"kind": "kafka", "servers": broker, "topic": TOPIC}
    feeds.write_text(json.dumps({"feeds": [topic, {"kind": "folder", "path": str(watched), "tenant": "red"}]}))
    plans.write_text((REPOSITORY / "include/plans.yaml").read_text().replace("tenants: {}", LIMITED))
    others = {"feeds": str(feeds), "plans": plans, "redis_url": redis.url if redis else "", "cache_answers": True}
    shared = {"cache": "memcached", "memcached_url": memcached.address} if memcached else {}
    settings = bench_settings(home).model_copy(update=others | shared)
    migrate(settings.catalog_url)
    build_version("first", "main", settings.index_spec(), settings)
    promote("first", settings)
    document = serve_document(REPOSITORY / settings.serve_config, settings.host, settings.http_port)
    with ray_head(settings) as installation:
        steering = ServeApi(settings.ray_url, installation.ray_token)
        poll(lambda: _deployed(steering, document), "Ray Serve's API", _START_S)
        headers = showing(settings)
        with httpx.Client(base_url=settings.http_url, headers=headers, timeout=60, trust_env=False) as http:
            poll(lambda: _is_ready(http), "both applications", _START_S)
            yield Api(installation, http)
        steering.shut_down(12)


@pytest.fixture
def word() -> str:
    """A word that no other test uses."""
    return f"zyq{uuid.uuid4().hex[:10]}"


def showing(settings: Settings, tenant: str = "default") -> dict[str, str]:
    """The header of a caller of the tenant who may do everything."""
    return bearer(_token(settings.home, tenant))


@cache
def _token(home: Path, tenant: str) -> str:
    return make_token(Settings(home=home), tenant, *SCOPES)


def poll(true: Callable[[], bool], what: str, timeout_s: float) -> float:
    """Wait for a condition; gives the seconds it took."""
    started = time.monotonic()
    while not true():
        if time.monotonic() - started > timeout_s:
            raise AssertionError(f"waited {timeout_s:.0f} s in vain for {what}")
        time.sleep(_POLL_S)
    return time.monotonic() - started


def _deployed(steering: ServeApi, document: dict[str, object]) -> bool:
    try:
        steering.deploy(document)
    except (Unavailable, httpx.HTTPError):
        return False
    return True


def _is_ready(http: httpx.Client) -> bool:
    """The gateway is ready, and the retrieval application answers behind its own prefix too."""
    try:
        answers = (http.get("/readyz"), http.post("/v1/retrieve", json={"query": "anything"}))
    except httpx.TransportError:
        return False
    return all(answer.is_success for answer in answers)
