"""Where requests come in: before their bodies are read, whoever has no token, or comes too often, is sent away."""

from collections.abc import Iterable, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.quarry.errors import QuarryError
from include.quarry.gateway.door import STANDINGS, VISIT, Door
from include.quarry.gateway.page_routes import PAGE_PATHS
from include.quarry.gateway.problems import problem_of
from include.quarry.gateway.trace import continue_trace, new_query_id
from include.quarry.limits.standing import Standing, fields_of

PUBLIC = PAGE_PATHS | frozenset(
    {"/healthz", "/readyz", "/metrics", "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"}
)
"""Paths that need no token. Everything else does, also what does not exist and what a route forgot to guard."""

_REFUSED = 429


class Entrance:
    """ASGI middleware, the outermost one: asks the door, and names the request and its limits in the response."""

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
        standings: list[Standing] = []
        scope[STANDINGS] = standings
        named = _naming(send, visit.query_id, visit.traceparent, standings)
        try:
            standings += await self._door.count(visit)
        except QuarryError as error:
            await problem_of(error)(scope, receive, named)
            return
        await self._app(scope, receive, named)


def _naming(send: Send, query_id: str, traceparent: str, standings: Sequence[Standing] = ()) -> Send:
    """A `send` whose responses say which request they answer, and how its limits stand then."""
    names = [(b"x-request-id", query_id.encode()), (b"traceparent", traceparent.encode())]

    async def named(message: Message) -> None:
        if message["type"] == "http.response.start":
            # A refusal names the one limit that it is about.
            limits = fields_of(standings) if message["status"] != _REFUSED else {}
            fields = [(name.lower().encode(), value.encode()) for name, value in limits.items()]
            message["headers"] = [*message.get("headers", ()), *names, *fields]
        await send(message)

    return named
