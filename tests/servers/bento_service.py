"""SmolLM2 behind BentoML's OpenAI-compatible endpoints. Runs in .venv-bentoml: `bentoml serve` of this file."""

import asyncio
import os
from functools import cache

import bentoml
import xllamacpp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route


@cache
def engine() -> xllamacpp.Server:
    """Made at the first question: BentoML imports this file in its own process too."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = os.environ["MODEL_FILE"]
    parameters.hostnames = [os.environ["ENGINE_SOCKET"]]
    parameters.n_ctx = 1024
    parameters.n_parallel = 1
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 2
    parameters.verbosity = 0
    return xllamacpp.Server(parameters)


async def chat(request: Request) -> StreamingResponse:
    body = (await request.body()).decode()
    loop, events = asyncio.get_running_loop(), asyncio.Queue()

    def receive(event: str) -> bool:
        loop.call_soon_threadsafe(events.put_nowait, event)
        return False

    async def stream():
        work = asyncio.create_task(asyncio.to_thread(engine().handle_chat_completions, body, receive))
        work.add_done_callback(lambda _: events.put_nowait(None))
        while (event := await events.get()) is not None:
            if event != "[DONE]":
                yield f"data: {event}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


app = Starlette(routes=[Route("/chat/completions", chat, methods=["POST"])])


@bentoml.asgi_app(app, path="/v1")
@bentoml.service(name="smollm2", workers=1)
class SmolLM2:
    """Everything is in the application."""
