"""POST /v1/retrieve."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Response

from include.quarry.gateway.schema import Retrieve, Retrieved
from include.quarry.gateway.tenants import tenant_of
from include.quarry.records import Hit, Scope
from include.quarry.retrieval.retriever import Retrieval

RetrieveFrom = Callable[[str, str, int, Scope, str | None], Awaitable[Retrieval]]
"""(corpus, query, top_k, scope, index version or none) -> hits of one index version."""


def retrieval_routes(retrieve: RetrieveFrom) -> APIRouter:
    """The route over whatever retrieves: the replica itself, or a handle to one."""
    router = APIRouter(tags=["retrieval"])

    @router.post("/v1/retrieve", response_model=Retrieved, summary="Find the passages that answer a query")
    async def post_retrieve(body: Retrieve, tenant: Annotated[str, Depends(tenant_of)]) -> Response:
        found = await retrieve(body.corpus, body.query, body.top_k, Scope(tenant, body.filters), body.index_version)
        return Response(_encode(found), media_type="application/json")

    return router


def _encode(found: Retrieval) -> bytes:
    """JSON straight from the records: validating our own output would cost more than the search."""
    body = {
        "hits": [_passage(hit) for hit in found.hits],
        "index_version": found.index_version,
        "watermark": found.watermark,
        "timings_ms": found.timings_ms,
        "partial": bool(found.shards_missing),
        "shards_missing": found.shards_missing,
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _passage(hit: Hit) -> dict[str, object]:
    chunk = hit.chunk
    return {
        "chunk_id": chunk.chunk_id,
        "doc_id": chunk.key.doc_id,
        "title": chunk.title,
        "uri": chunk.uri,
        "text": chunk.passage.text,
        "start": chunk.passage.start,
        "end": chunk.passage.end,
        "score": hit.score,
        "ranks": dict(hit.ranks),
    }
