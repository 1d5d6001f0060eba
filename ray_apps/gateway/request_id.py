"""One X-Request-Id in a response, ours. Serve adds one of its own behind all that an application says."""

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_NAME = b"x-request-id"


def middlewares() -> list[Middleware]:
    """What Serve puts around its own middleware, as RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH tells it."""
    return [Middleware(OneRequestId)]


class OneRequestId:
    """ASGI middleware: of several request ids in a response the first one, which is the application's, goes out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_one_id(message["headers"])
            await send(message)

        await self._app(scope, receive, sent)


def _with_one_id(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    places = [place for place, (name, _) in enumerate(headers) if name.lower() == _NAME]
    return [header for place, header in enumerate(headers) if place not in places[1:]]
