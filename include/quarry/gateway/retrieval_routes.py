"""POST /v1/retrieve."""

from collections.abc import Awaitable
from typing import Annotated, Any, Protocol

import orjson
from fastapi import APIRouter, Depends, Response

from include.quarry.gateway.door import Door
from include.quarry.gateway.schema import Retrieve, Retrieved
from include.quarry.gateway.visit import Visit
from include.quarry.records import Hit, Scope
from include.quarry.retrieval.retriever import Retrieval


class RetrieveFrom(Protocol):
    """Whatever retrieves."""

    def __call__(
        self, corpus: str, query: str, top_k: int, scope: Scope, visit: Visit, *, index_version: str | None = None
    ) -> Awaitable[Retrieval]:
        """Hits of one index version, of the one named or else of the route's choice; raises `NotFound` without it."""
        ...


def retrieval_routes(retrieve: RetrieveFrom, door: Door) -> APIRouter:
    """The route over whatever retrieves: the replica itself, or a handle to one."""
    router = APIRouter(tags=["retrieval"])
    admitted = Depends(door.admits("retrieve"))

    @router.post("/v1/retrieve", response_model=Retrieved, summary="Find the passages that answer a query")
    async def post_retrieve(body: Retrieve, visit: Annotated[Visit, admitted]) -> Response:
        if body.index_version is not None:
            visit.caller.require("admin")  # goes past the route, to versions that no gate has passed
        scope = Scope(visit.caller.tenant, body.filters)
        async with visit.deadline.holds():
            found = await retrieve(body.corpus, body.query, body.top_k, scope, visit, index_version=body.index_version)
        visit.notes.found("retrieve", body.corpus, body.query, found)
        return Response(_encode(found, visit.query_id), media_type="application/json")

    return router


def _encode(found: Retrieval, query_id: str) -> bytes:
    """JSON straight from the records: validating our own output would cost more than the search."""
    body = {
        "hits": [passage_of(hit) for hit in found.hits],
        "query_id": query_id,
        "index_version": found.index_version,
        "watermark": found.watermark,
        "timings_ms": found.timings_ms,
        "partial": bool(found.shards_missing),
        "shards_missing": found.shards_missing,
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def passage_of(hit: Hit) -> dict[str, Any]:
    """The fields of a `FoundPassage`."""
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
