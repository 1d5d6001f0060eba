"""POST /v1/answer, whole or as server-sent events."""

import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from include.quarry.errors import QuarryError
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.door import Door
from include.quarry.gateway.heartbeat import beating
from include.quarry.gateway.leaving import while_there
from include.quarry.gateway.schema import Answered, Ask, Said
from include.quarry.gateway.visit import Visit

logger = logging.getLogger(__name__)
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "whole, or as server-sent events",
        "content": {"text/event-stream": {"schema": {"type": "object", "required": ["data"]}}},
    }
}
"""What the OpenAPI document says of a route that can stream."""


def answer_routes(asking: Asking, door: Door) -> APIRouter:
    """The route over whatever answers."""
    router = APIRouter(tags=["answers"])
    admitted = Depends(door.admits("answer"))

    @router.post(
        "/v1/answer", response_model=Answered, responses=STREAMED, summary="Answer a question with checked citations"
    )
    async def post_answer(body: Ask, visit: Annotated[Visit, admitted], request: Request, response: Response) -> object:
        if body.stream:
            asked = await asking.ask(body, visit)
            events = beating(_server_sent(asked.events))
            return StreamingResponse(events, media_type="text/event-stream", headers=asked.headers)
        whole = await while_there(request, asking.whole(body, visit))
        response.headers.update(whole.headers)
        return whole.answered

    return router


async def _server_sent(asked: AsyncGenerator[Said | Answered]) -> AsyncGenerator[str]:
    """`sentence` events as they are verified, then `answer`; a failure after the headers is a `problem` event."""
    try:
        async with aclosing(asked) as events:
            async for event in events:
                yield _event("answer" if isinstance(event, Answered) else "sentence", event.model_dump())
    except QuarryError as error:
        logger.warning("answer stream failed: %s", error)
        yield _event("problem", {"title": error.title, "status": error.status, "detail": str(error)})


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
