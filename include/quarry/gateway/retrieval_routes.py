"""POST /v1/retrieve."""

from collections.abc import Awaitable
from typing import Annotated, Protocol

import orjson
from fastapi import APIRouter, Depends, Response

from include.quarry.gateway.door import Door
from include.quarry.gateway.schema import Retrieve, Retrieved
from include.quarry.gateway.visit import Visit
from include.quarry.records import Scope
from include.quarry.retrieval.encoding import EncodedHits
from include.quarry.retrieval.retriever import Retrieval

PATH = "/v1/retrieve"


class RetrieveFrom(Protocol):
    """Whatever retrieves."""

    def __call__(
        self,
        corpus: str,
        query: str,
        top_k: int,
        scope: Scope,
        visit: Visit,
        *,
        index_version: str | None = None,
        min_seq: int = 0,
    ) -> Awaitable[Retrieval]:
        """Hits of one index version, of the one named or else of the route's choice; raises `NotFound` without it.

        The version has applied the log up to `min_seq`: for that it waits, and raises `Unavailable` before the visit's
        deadline; `InvalidInput` when the log does not go so far.
        """
        ...


def retrieval_routes(retrieve: RetrieveFrom, door: Door) -> APIRouter:
    """The route over whatever retrieves: the replica itself, or a handle to one."""
    router = APIRouter(tags=["retrieval"])
    admitted = Depends(door.admits("retrieve"))

    @router.post(PATH, response_model=Retrieved, summary="Find the passages that answer a query")
    async def post_retrieve(body: Retrieve, visit: Annotated[Visit, admitted]) -> Response:
        return await respond(retrieve, body, visit)

    return router


async def respond(retrieve: RetrieveFrom, body: Retrieve, visit: Visit) -> Response:
    """The answer to a query of a caller who may ask. Raises what `retrieve` raises."""
    if body.index_version is not None:
        visit.caller.require("admin")  # goes past the route, to versions that no gate has passed
    scope = visit.caller.sees(body.filters)
    async with visit.deadline.holds():
        found = await retrieve(
            body.corpus,
            body.query,
            body.top_k,
            scope,
            visit,
            index_version=body.index_version,
            min_seq=body.min_seq,
        )
    visit.notes.found("retrieve", body.corpus, body.query, found)
    status = {"Cache-Status": f"quarry; {found.cache}"} if found.cache else None  # RFC 9211
    return Response(_encode(found, visit.query_id), media_type="application/json", headers=status)


def _encode(found: Retrieval, query_id: str) -> bytes:
    """JSON straight from the records: validating our own output would cost more than the search."""
    body = {
        "hits": orjson.Fragment(EncodedHits.of(found.hits).shown),
        "query_id": query_id,
        "index_version": found.index_version,
        "watermark": found.watermark,
        "timings_ms": found.timings_ms,
        "partial": bool(found.shards_missing),
        "shards_missing": found.shards_missing,
    }
    return orjson.dumps(body)
