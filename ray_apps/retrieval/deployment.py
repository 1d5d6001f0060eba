"""The retrieval deployment: one replica encodes, searches and fuses in its own process, straight behind the ingress."""

import asyncio
import gc
import tempfile
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path

from ray import serve
from starlette.types import ASGIApp

from include.quarry.catalog.database import Database
from include.quarry.embedding.micro_batch import MicroBatcher
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.retrieval_routes import retrieval_routes
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Scope
from include.quarry.retrieval.retriever import QueryEncoder, Retrieval
from include.quarry.routing.resident import Resident, ResidentIndexes
from include.quarry.routing.shadow import Comparisons
from include.quarry.settings import Settings
from include.quarry.specs import EmbeddingSpec
from ray_apps.engines import embedder_of
from ray_apps.retrieval.lag_metrics import LagMetrics

_DEFAULT_CORPUS = "main"


@serve.deployment(name="Retrieval")
@serve.ingress()
class RetrievalDeployment:
    """Answers /v1/retrieve, and `retrieve` over a handle."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._scratch = tempfile.TemporaryDirectory(prefix="quarry-replica-")
        database = Database(settings.catalog_url)
        lake = VectorLake(database, settings.lake_uri)
        self._comparisons = Comparisons(database)
        self._indexes = ResidentIndexes(
            database,
            lake,
            Path(self._scratch.name),
            _encoder_of(settings),
            interval_s=settings.follow_interval_s,
            always=(_DEFAULT_CORPUS,),
            each_turn=self._comparisons.write,
            servers=settings.store_servers,
            partial_results=settings.partial_results,
        )
        self._metrics = LagMetrics(database, self._indexes)
        self._follower = threading.Thread(target=self._indexes.follow, name="follower", daemon=True)
        self._follower.start()

    async def retrieve(
        self, corpus: str, query: str, top_k: int, scope: Scope, index_version: str | None = None
    ) -> Retrieval:
        """Hits of one index version: the one the route chooses, or the one named. Raises `NotFound` without it."""
        return await self._comparisons.retrieve(await self._resident(corpus), query, top_k, scope, index_version)

    async def watermark(self, corpus: str) -> int:
        """How far this replica has applied the log of the corpus."""
        return (await self._resident(corpus)).live.index.watermark

    async def check_health(self) -> None:
        """Asked by Serve; a replica that no longer follows the log, or says how far it is, is replaced."""
        if not (self._follower.is_alive() and self._metrics.is_alive()):
            raise RuntimeError("a background thread has ended")

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The HTTP side, built in the replica."""
        return build_http_app([retrieval_routes(self.retrieve)], max_document_bytes=self._settings.max_document_bytes)

    async def _resident(self, corpus: str) -> Resident:
        resident = self._indexes.find(corpus)
        return await asyncio.to_thread(self._indexes.load, corpus) if resident is None else resident


def _encoder_of(settings: Settings) -> Callable[[EmbeddingSpec], QueryEncoder]:
    engine = embedder_of(settings)

    @cache
    def encoder(spec: EmbeddingSpec) -> QueryEncoder:
        batcher: QueryEncoder = MicroBatcher(engine(spec))
        # What Ray, FastAPI and the engine have made stays for good; full collections that look through it again and
        # again were a fifth of a replica's processor time under load.
        gc.collect()
        gc.freeze()
        return batcher

    return encoder
