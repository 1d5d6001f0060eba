"""POST /v1/answer, whole or as server-sent events."""

import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import StreamingResponse

from include.quarry.errors import QuarryError
from include.quarry.gateway.retrieval_routes import RetrieveFrom
from include.quarry.gateway.schema import Answered, Ask
from include.quarry.gateway.tenants import tenant_of
from include.quarry.generation.answers import Answer, AnswerEvent, VerifiedSentence
from include.quarry.generation.protocol import Tier
from include.quarry.records import Hit, Scope
from include.quarry.retrieval.retriever import Retrieval

logger = logging.getLogger(__name__)
AnswerFrom = Callable[[str, list[Hit], Tier], AsyncIterator[AnswerEvent]]
"""(question, hits, tier) -> verified sentences, then the whole answer."""


def answer_routes(retrieve: RetrieveFrom, answer: AnswerFrom) -> APIRouter:
    """The route over whatever retrieves and whatever generates."""
    router = APIRouter(tags=["answers"])

    @router.post("/v1/answer", response_model=Answered, summary="Answer a question with checked citations")
    async def post_answer(body: Ask, tenant: Annotated[str, Depends(tenant_of)]) -> object:
        started = time.perf_counter()
        found = await retrieve(body.corpus, body.question, body.top_k, Scope(tenant, body.filters), None)
        events = answer(body.question, found.hits, body.tier)
        if body.stream:
            return StreamingResponse(_server_sent(events, found, started), media_type="text/event-stream")
        async for event in events:
            if isinstance(event, Answer):
                return _body(event, found, started)
        raise RuntimeError("the generator ended without an answer")

    return router


async def _server_sent(events: AsyncIterator[AnswerEvent], found: Retrieval, started: float) -> AsyncIterator[str]:
    """`sentence` events as they are verified, then `answer`; a failure after the headers is a `problem` event."""
    try:
        async for event in events:
            if isinstance(event, VerifiedSentence):
                yield _event("sentence", asdict(event))
            else:
                yield _event("answer", _body(event, found, started).model_dump())
    except QuarryError as error:
        logger.warning("answer stream failed: %s", error)
        yield _event("problem", {"title": error.title, "status": error.status, "detail": str(error)})


def _body(answer: Answer, found: Retrieval, started: float) -> Answered:
    total_ms = round((time.perf_counter() - started) * 1000, 1)
    return Answered(
        answer=answer.text,
        citations=[asdict(citation) for citation in answer.citations],
        grounded=answer.grounded,
        tier=answer.tier,
        usage=asdict(answer.usage),
        index_version=found.index_version,
        query_id=uuid.uuid4().hex,
        timings_ms={"retrieve": found.timings_ms["total"], "generate": answer.timings_ms["total"], "total": total_ms},
    )


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
