"""The gateway: the HTTP ingress for everything but plain retrieval, which has a front door of its own."""

import asyncio
from typing import Any

from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from include.quarry.audit.lookup import AuditDesk
from include.quarry.audit.opening import open_ledger
from include.quarry.cache.answers import CachedAnswers
from include.quarry.cache.counts import Counts
from include.quarry.cache.opening import open_layers
from include.quarry.catalog.database import Database
from include.quarry.catalog.log import Accepted
from include.quarry.errors import NotFound, Unavailable
from include.quarry.feedback.opinions import Opinions
from include.quarry.gateway.answer_routes import answer_routes
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.audit_routes import audit_routes
from include.quarry.gateway.chat_routes import chat_routes
from include.quarry.gateway.composition import open_door
from include.quarry.gateway.document_routes import document_routes
from include.quarry.gateway.embedding_routes import embedding_routes
from include.quarry.gateway.feedback_routes import feedback_routes
from include.quarry.gateway.model_routes import model_routes
from include.quarry.gateway.page_routes import page_routes
from include.quarry.gateway.release_routes import release_routes
from include.quarry.gateway.retrieval_routes import retrieval_routes
from include.quarry.gateway.status_routes import status_routes
from include.quarry.gateway.usage_routes import usage_routes
from include.quarry.gateway.version_routes import version_routes
from include.quarry.gateway.visit import Visit
from include.quarry.generation.answering import Answerer, AnswerTier
from include.quarry.generation.composition import absence_of, default_origin
from include.quarry.generation.prices import read_prices
from include.quarry.generation.protocol import TIERS, Tier
from include.quarry.limits.plans import read_plans
from include.quarry.limits.report import UsageReport
from include.quarry.operations.installation import REPOSITORY
from include.quarry.records import DocumentKey, RawDocument, Scope
from include.quarry.releases.desk import ReleaseDesk
from include.quarry.releases.watch import ReleaseWatch
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.routing.live_embedding import Embedded, live_embedding
from include.quarry.routing.status import corpus_status
from include.quarry.settings import Settings
from include.quarry.versions.desk import VersionDesk
from ray_apps.gateway.agent_metrics import AgentMetrics
from ray_apps.gateway.audit_metrics import AuditMetrics
from ray_apps.gateway.cache_metrics import CacheMetrics
from ray_apps.gateway.limit_metrics import LimitMetrics
from ray_apps.gateway.promptness import favour_requests
from ray_apps.gateway.remote import unwrapped
from ray_apps.gateway.tiers import RemoteTier

_READY_TIMEOUT_S = 5.0


@serve.deployment(name="Gateway")
@serve.ingress()
class GatewayDeployment:
    """Holds no state: routes of the library over handles to the other deployments."""

    def __init__(
        self,
        settings: Settings,
        indexing: DeploymentHandle[Any],
        fast: DeploymentHandle[Any],
        deep: DeploymentHandle[Any],
    ) -> None:
        favour_requests()
        self._settings = settings
        self._database = Database(settings.catalog_url)
        self._indexing = indexing
        self._door = open_door(settings, open_ledger(settings, "gateway"))
        self._limits = LimitMetrics(self._door.limiter)
        self._audit = AuditMetrics("gateway", self._door.ledger, self._database)
        self._metrics = AgentMetrics(f"http://{settings.host}:{settings.metrics_port}/metrics")
        self._fast = fast
        self._watch = ReleaseWatch(
            self._database,
            lambda tier: absence_of(tier, settings),
            {tier: default_origin(tier, settings) for tier in TIERS},
        )
        self._watch.start()
        tiers: dict[Tier, AnswerTier] = {
            "fast": RemoteTier(fast, lambda: self._watch.absence_of("fast")),
            "deep": RemoteTier(deep, lambda: self._watch.absence_of("deep")),
        }
        prices = read_prices(REPOSITORY / settings.prices)
        self._answerer = Answerer(tiers, prices=prices, at_once=settings.answers_at_once)
        self._cached = _cached(settings, self._watch)
        self._retrieval = serve.get_deployment_handle("Retrieval", app_name="retrieval")

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """The HTTP side, built in the replica. /v1/retrieve is here for the OpenAPI page; its own prefix wins."""
        door, asking = self._door, Asking(self.retrieve, self._answerer.answer, self._cached)
        routers = (
            document_routes(self, door),
            retrieval_routes(self.retrieve, door),
            answer_routes(asking, door),
            feedback_routes(Opinions(self._database), door),
            chat_routes(asking, door),
            embedding_routes(self.embed, door),
            model_routes(self.embedding_model, door),
            audit_routes(AuditDesk(self._database), door),
            status_routes(self.status, self.ready, self.metrics, door),
            version_routes(VersionDesk(self._settings), door),
            release_routes(ReleaseDesk(self._settings), door),
            usage_routes(UsageReport(self._database, read_plans(self._settings.plans)), door),
            page_routes([text for text in self._settings.page_examples.split("|") if text]),
        )
        return build_http_app(routers, door, max_document_bytes=self._settings.max_document_bytes)

    async def put(self, raw: RawDocument) -> Accepted:
        """Accept an upsert; raises `InvalidInput`."""
        with unwrapped():
            accepted: Accepted = await self._indexing.put.remote(raw)
        return accepted

    async def get(self, key: DocumentKey) -> dict[str, Any] | None:
        """The fields of the present document, or None."""
        with unwrapped():
            found: dict[str, Any] | None = await self._indexing.get.remote(key)
        return found

    async def delete(self, key: DocumentKey) -> Accepted | None:
        """Accept a delete; None when there was never such a document."""
        with unwrapped():
            accepted: Accepted | None = await self._indexing.delete.remote(key)
        return accepted

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
        """Hits of one index version."""
        with unwrapped():
            found: Retrieval = await self._retrieval.retrieve.remote(
                corpus, query, top_k, scope, visit, index_version=index_version, min_seq=min_seq
            )
        return found

    async def embed(self, corpus: str, model: str, texts: list[str], visit: Visit) -> Embedded:
        """The texts' vectors, away from the replicas that answer queries."""
        with unwrapped():
            embedded: Embedded = await self._indexing.embed.remote(corpus, model, texts, visit)
        return embedded

    async def embedding_model(self, corpus: str) -> str:
        """The name of the model that embeds the corpus. Raises `NotFound` where no version is live."""
        return (await asyncio.to_thread(live_embedding, self._database, corpus)).model

    async def status(self, corpus: str, tenant: str) -> dict[str, Any]:
        """Where a corpus stands, with the quarantine of one tenant."""
        watermark: int | None
        try:
            with unwrapped():
                watermark = await self._retrieval.watermark.remote(corpus)
        except (NotFound, Unavailable):
            watermark = None
        return await asyncio.to_thread(corpus_status, self._database, corpus, tenant, watermark)

    async def metrics(self) -> str:
        """See `AgentMetrics`."""
        return await self._metrics.text()

    async def check_health(self) -> None:
        """Asked by Serve; a replica whose records are not shipped is replaced."""
        if not (self._door.is_alive() and self._watch.is_alive()):
            raise RuntimeError("a background thread has ended")

    async def ready(self) -> None:
        """Raise `Unavailable` unless the parts behind this one answer; all can do without the deep tier."""
        try:
            with unwrapped():
                async with asyncio.timeout(_READY_TIMEOUT_S):
                    parts = (self._indexing, self._retrieval, self._fast)
                    await asyncio.gather(*(part.check_health.remote() for part in parts))
        except (TimeoutError, RayError, RayServeException) as error:
            raise Unavailable(f"a part is not ready ({type(error).__name__}); try again shortly") from error


def _cached(settings: Settings, watch: ReleaseWatch) -> CachedAnswers | None:
    counts = Counts()
    layers = open_layers(settings, counts) if settings.cache_answers else None
    if layers is None:
        return None
    CacheMetrics("answers", counts, layers.memory)
    return CachedAnswers(layers, counts, lambda *asked: {tier: watch.maker(tier, *asked) for tier in TIERS})
