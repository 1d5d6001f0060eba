"""The retrieval deployment: one replica encodes, searches and fuses in its own process, straight behind the ingress."""

import asyncio
import gc
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from include.quarry.audit.opening import open_ledger
from include.quarry.cache.counts import Counts
from include.quarry.cache.opening import open_layers
from include.quarry.cache.results import CachedRetrieval
from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import IndexVersion
from include.quarry.embedding.encoders import Encoders
from include.quarry.embedding.engine import load_embedder
from include.quarry.embedding.protocol import Embedder
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.composition import open_door
from include.quarry.gateway.retrieval_routes import retrieval_routes
from include.quarry.gateway.visit import Visit
from include.quarry.lake.vectors import VectorLake
from include.quarry.operations.installation import Installation
from include.quarry.records import Scope
from include.quarry.retrieval.protocol import Shard
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.routing.fresh_reads import FreshReads
from include.quarry.routing.opening import OpenVersion, opens_elsewhere, opens_here
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.routing.scratch import Scratch
from include.quarry.routing.shadow import Comparisons
from include.quarry.settings import Settings
from include.quarry.specs import EmbeddingSpec
from ray_apps.gateway.audit_metrics import AuditMetrics
from ray_apps.gateway.cache_metrics import CacheMetrics
from ray_apps.gateway.limit_metrics import LimitMetrics
from ray_apps.gateway.promptness import favour_requests
from ray_apps.retrieval.addresses import ALWAYS, Address
from ray_apps.retrieval.freshness_metrics import FreshnessMetrics
from ray_apps.retrieval.handles import HandleShard
from ray_apps.retrieval.lag_metrics import LagMetrics


@serve.deployment(name="Retrieval")
@serve.ingress()
class RetrievalDeployment:
    """Answers /v1/retrieve, and `retrieve` over a handle."""

    def __init__(self, settings: Settings, *shard_groups: DeploymentHandle[Any]) -> None:
        """With groups of shards, versions in shards are held by those: the n-th shard by group n modulo their count."""
        favour_requests()
        self._settings = settings
        self._scratch = Scratch(Installation(settings).home)
        database = Database(settings.catalog_url)
        lake = VectorLake(database, settings.lake_uri)
        self._comparisons = Comparisons(database, patience_s=settings.canary_timeout_s)
        self._door = open_door(settings, open_ledger(settings, "retrieval"))
        self._cached = _cached(settings, self._comparisons)
        self._indexes = ResidentIndexes(
            database,
            lake,
            self._scratch.path,
            _encoders(settings).of,
            interval_s=settings.follow_interval_s,
            always=ALWAYS,
            open_version=self._opens(database, lake, shard_groups),
        )
        self._fresh = FreshReads(database, self._indexes)
        self._metrics = LagMetrics(database, self._indexes)
        self._freshness = FreshnessMetrics(database, self._indexes)
        self._limits = LimitMetrics(self._door.limiter)
        self._audit = AuditMetrics("retrieval", self._door.ledger, database)
        self._writer = threading.Thread(target=self._comparisons.keep_writing, name="observations", daemon=True)
        self._indexes.start()
        self._writer.start()

    async def retrieve(
        self,
        corpus: str,
        query: str,
        top_k: int,
        scope: Scope,
        visit: Visit,
        *,
        index_version: str | None = None,
        min_seq: int = 0,
    ) -> Retrieval:
        """Hits of one index version: the one the route chooses, or the one named. Raises `NotFound` without it.

        What is kept of earlier queries was found in what the index holds now, so it is as fresh as `min_seq` too.
        Nothing is computed once the visit's deadline has passed: then raises `DeadlinePassed`.
        """

        async def ask() -> Retrieval:
            resident, left_s = await self._indexes.loaded(corpus), visit.deadline.remaining_s()
            if self._cached is None:
                return await self._comparisons.retrieve(resident, query, top_k, scope, index_version, within_s=left_s)
            return await self._cached.retrieve(
                resident, query, top_k, scope, index_version, caching=visit.caching, within_s=left_s
            )

        async with visit.deadline.holds():
            if not min_seq:
                return await ask()
            resident = await self._indexes.loaded(corpus)
            version = index_version or resident.choose(scope.tenant, query)
            return await self._fresh.read(ask, resident, version, min_seq, visit.deadline.remaining_s)

    async def watermark(self, corpus: str) -> int:
        """How far this replica has applied the log of the corpus."""
        return (await self._indexes.loaded(corpus)).live.index.watermark

    async def check_health(self) -> None:
        """Asked by Serve; a replica that no longer follows the log and the routes, or says how far, is replaced."""
        parts = (self._indexes, self._writer, self._metrics, self._freshness, self._door)
        if not all(part.is_alive() for part in parts):
            raise RuntimeError("a background thread has ended")

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The HTTP side, built in the replica."""
        return build_http_app(
            [retrieval_routes(self.retrieve, self._door)],
            self._door,
            max_document_bytes=self._settings.max_document_bytes,
            retrieve=self.retrieve,
        )

    def _opens(self, database: Database, lake: VectorLake, groups: Sequence[DeploymentHandle[Any]]) -> OpenVersion:
        partial, loop = self._settings.partial_results, asyncio.get_running_loop()
        here = opens_here(database, lake, servers=self._settings.store_servers, partial_results=partial)
        if not groups:
            return here

        def shard(version: IndexVersion, number: int) -> Shard:
            return HandleShard(
                groups[number % len(groups)],
                loop,
                Address(version.corpus, version.version_id, number),
                timeout_s=self._settings.shard_timeout_s,
            )

        return opens_elsewhere(here, shard, partial_results=partial)


def _cached(settings: Settings, comparisons: Comparisons) -> CachedRetrieval | None:
    counts = Counts()
    layers = open_layers(settings, counts)
    if layers is None:
        return None
    CacheMetrics("retrieval", counts, layers.memory)
    return CachedRetrieval(comparisons, layers, counts)


def _encoders(settings: Settings) -> Encoders:
    engine, threads, models = settings.embedding_engine, settings.embedding_threads, settings.models

    @cache
    def settle() -> None:
        """What Ray, FastAPI and the engine have made stays for good; full collections that look through it again and
        again were a fifth of a replica's processor time under load."""
        gc.collect()
        gc.freeze()

    def load(spec: EmbeddingSpec) -> Embedder:
        embedder = load_embedder(spec, engine=engine, threads=threads, cache=models)
        settle()
        return embedder

    return Encoders(load)
