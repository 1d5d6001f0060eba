"""Queries answered without the framework: reading, routing and calling take FastAPI longer than a kept answer takes."""

from types import SimpleNamespace

from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.quarry.errors import QuarryError
from include.quarry.gateway.door import VISIT
from include.quarry.gateway.problems import problem_of
from include.quarry.gateway.retrieval_routes import PATH, RetrieveFrom, respond
from include.quarry.gateway.schema import Retrieve
from include.quarry.gateway.visit import Visit

_MAX_BYTES = 256 * 1024
_ROUTE = SimpleNamespace(path=PATH)
"""Stands for the framework's route in the logs, which name a request by its template."""


class Shortcut:
    """ASGI middleware, the innermost one. What is no plain, well-formed query goes on to the application, which answers
    it the same or says what is wrong with it."""

    def __init__(self, app: ASGIApp, retrieve: RetrieveFrom) -> None:
        self._app = app
        self._retrieve = retrieve

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != PATH or scope["method"] != "POST" or not _is_plain(scope):
            await self._app(scope, receive, send)
            return
        messages = await _read(receive)
        try:
            body = Retrieve.model_validate_json(b"".join(message.get("body", b"") for message in messages))
        except ValidationError:
            await self._app(scope, _again(messages, receive), send)
            return
        scope["route"] = _ROUTE
        visit: Visit = scope[VISIT]
        try:
            visit.caller.require("retrieve")
            response = await respond(self._retrieve, body, visit)
        except QuarryError as error:
            response = problem_of(error)
        await response(scope, receive, send)


def _is_plain(scope: Scope) -> bool:
    """JSON of a length that is said and small, so that reading it breaks no bound."""
    kind = length = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            kind = value
        elif name == b"content-length":
            length = value
    return kind == b"application/json" and length.isdigit() and int(length) <= _MAX_BYTES


async def _read(receive: Receive) -> list[Message]:
    """The request to its end, or to where the caller left."""
    messages = [await receive()]
    while messages[-1]["type"] == "http.request" and messages[-1].get("more_body"):
        messages.append(await receive())
    return messages


def _again(messages: list[Message], receive: Receive) -> Receive:
    """A `receive` that begins with what was read already."""
    read = iter(messages)

    async def received() -> Message:
        return next(read, None) or await receive()

    return received
