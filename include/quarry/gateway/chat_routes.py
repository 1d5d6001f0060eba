"""POST /v1/chat/completions: our answers as OpenAI's clients read them."""

import json
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from include.quarry.errors import QuarryError
from include.quarry.gateway.annotations import annotate
from include.quarry.gateway.answer_routes import STREAMED
from include.quarry.gateway.asking import Asking
from include.quarry.gateway.conversation import read_question
from include.quarry.gateway.door import Door
from include.quarry.gateway.heartbeat import beating
from include.quarry.gateway.leaving import while_there
from include.quarry.gateway.openai_errors import error_member
from include.quarry.gateway.openai_schema import AssistantMessage, Chat, ChatCompletion, Choice, TokenUsage
from include.quarry.gateway.schema import Answered, Cited, Said
from include.quarry.gateway.visit import Visit

logger = logging.getLogger(__name__)


def chat_routes(asking: Asking, door: Door) -> APIRouter:
    """The route over whatever answers."""
    router = APIRouter(tags=["for OpenAI's clients"])

    admitted = Depends(door.admits("answer"))

    @router.post(
        "/v1/chat/completions",
        response_model=ChatCompletion,
        responses=STREAMED,
        summary="Answer the last message of a chat",
    )
    async def post_chat(body: Chat, visit: Annotated[Visit, admitted], request: Request, response: Response) -> object:
        question = read_question(body)
        if body.stream:
            asked = await asking.ask(question, visit)
            events = beating(_server_sent(asked.events, _Completion(body.model, visit.query_id), body))
            return StreamingResponse(events, media_type="text/event-stream", headers=asked.headers)
        whole = await while_there(request, asking.whole(question, visit))
        response.headers.update(whole.headers)
        return _whole(whole.answered, body.model)

    return router


def _whole(answered: Answered, model: str) -> ChatCompletion:
    cited = {citation.marker: citation for citation in answered.citations}
    message = AssistantMessage(content=answered.answer, annotations=annotate(answered.answer, cited))
    return ChatCompletion(
        id=_name(answered.query_id),
        created=int(time.time()),
        model=model,
        choices=[Choice(message=message)],
        usage=_usage(answered),
        quarry=_besides(answered),
    )


async def _server_sent(
    asked: AsyncGenerator[Said | Answered], completion: "_Completion", body: Chat
) -> AsyncGenerator[str]:
    """The role, the sentences with their annotations, the end, and the usage where it was asked for.

    A failure after the headers is an `error` event, which the clients raise.
    """
    yield completion.chunk({"role": "assistant", "content": ""})
    try:
        async with aclosing(asked) as events:
            async for event in events:
                if isinstance(event, Answered):
                    rest = event.answer[completion.sent :]  # "I don't know." comes as no sentence
                    if rest:
                        yield completion.say(rest, event.citations)
                    yield completion.chunk({}, finish_reason="stop", quarry=_besides(event))
                    if body.stream_options and body.stream_options.include_usage:
                        yield completion.usage(_usage(event))
                else:
                    yield completion.say(f" {event.text}" if completion.sent else event.text, event.citations)
        yield "data: [DONE]\n\n"
    except QuarryError as error:
        logger.warning("answer stream failed: %s", error)
        yield _event({"error": error_member(error.status, error.title, str(error))})


class _Completion:
    """The chunks of one completion."""

    def __init__(self, model: str, query_id: str) -> None:
        self._same = {
            "id": _name(query_id),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": model,
        }
        self._cited: dict[int, Cited] = {}
        self._annotations = 0
        self.sent = 0
        """Characters of the answer that are on their way."""

    def chunk(self, delta: dict[str, Any], *, finish_reason: str | None = None, **more: object) -> str:
        """One more piece of the message."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event({**self._same, "choices": [choice], **more})

    def say(self, text: str, citations: list[Cited]) -> str:
        """More of the text; `citations` are those that it is the first to use."""
        self._cited |= {citation.marker: citation for citation in citations}
        annotations = annotate(text, self._cited, before=self.sent, first=self._annotations)
        self.sent += len(text)
        self._annotations += len(annotations)
        listed = [annotation.model_dump() for annotation in annotations]
        return self.chunk({"content": text} | ({"annotations": listed} if listed else {}))

    def usage(self, usage: TokenUsage) -> str:
        """The chunk after the last one, without a piece of the message."""
        return _event({**self._same, "choices": [], "usage": usage.model_dump()})


def _name(query_id: str) -> str:
    return f"chatcmpl-{query_id}"


def _usage(answered: Answered) -> TokenUsage:
    prompt, completion = (answered.usage[f"{side}_tokens"] for side in ("prompt", "completion"))
    return TokenUsage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


def _besides(answered: Answered) -> dict[str, Any]:
    return answered.model_dump(exclude={"answer", "citations", "usage"})


def _event(data: object) -> str:
    return f"data: {json.dumps(data)}\n\n"
