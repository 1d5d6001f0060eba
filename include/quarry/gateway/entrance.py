"""Where requests come in: before their bodies are read, whoever has no token is sent away."""

from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.quarry.errors import QuarryError
from include.quarry.gateway.door import VISIT, Door
from include.quarry.gateway.problems import problem_of
from include.quarry.gateway.trace import continue_trace, new_query_id

PUBLIC = frozenset(
    {"/", "/healthz", "/readyz", "/metrics", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}
)
"""Paths that need no token. Everything else does, also what does not exist and what a route forgot to guard."""


class Entrance:
    """ASGI middleware, the outermost one: asks the door, and names the request in the response."""

    def __init__(self, app: ASGIApp, door: Door, public: Iterable[str] = PUBLIC) -> None:
        self._app = app
        self._door = door
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._public:
            await self._app(scope, receive, send)
            return
        try:
            visit = await self._door.receive(scope["headers"])
        except QuarryError as error:
            traceparent = dict(scope["headers"]).get(b"traceparent")
            await problem_of(error)(scope, receive, _naming(send, new_query_id(), continue_trace(traceparent)))
            return
        scope[VISIT] = visit
        await self._app(scope, receive, _naming(send, visit.query_id, visit.traceparent))


def _naming(send: Send, query_id: str, traceparent: str) -> Send:
    """A `send` whose responses say which request they answer."""
    names = [(b"x-request-id", query_id.encode()), (b"traceparent", traceparent.encode())]

    async def named(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *names]
        await send(message)

    return named
