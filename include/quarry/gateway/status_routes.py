"""GET /v1/status, /healthz, /readyz and /metrics."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse

from include.quarry.gateway.door import Door
from include.quarry.gateway.schema import CorpusStatus, Name
from include.quarry.gateway.visit import Visit

Corpus = Annotated[Name, Query(description="corpus to look at")]
StatusOf = Callable[[str, str], Awaitable[dict[str, Any]]]
"""(corpus, tenant whose quarantine is listed) -> the fields of `CorpusStatus`."""
IsReady = Callable[[], Awaitable[None]]
ReadMetrics = Callable[[], Awaitable[str]]


def status_routes(status_of: StatusOf, is_ready: IsReady, metrics: ReadMetrics, door: Door) -> APIRouter:
    """The routes over whatever knows the state; `is_ready` raises `Unavailable` while a part is not."""
    router = APIRouter(tags=["operations"])
    admitted = Depends(door.admits("retrieve"))

    @router.get("/v1/status", summary="Route, versions, watermark and lag of a corpus")
    async def get_status(visit: Annotated[Visit, admitted], corpus: Corpus = "main") -> CorpusStatus:
        return CorpusStatus(**await status_of(corpus, visit.caller.tenant))

    @router.get("/healthz", summary="The process answers")
    async def get_health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz", summary="All parts that answer requests are ready")
    async def get_readiness() -> dict[str, str]:
        await is_ready()
        return {"status": "ready"}

    @router.get("/metrics", summary="Prometheus metrics of this node", response_class=PlainTextResponse)
    async def get_metrics() -> PlainTextResponse:
        return PlainTextResponse(await metrics(), media_type="text/plain; version=0.0.4")

    return router
