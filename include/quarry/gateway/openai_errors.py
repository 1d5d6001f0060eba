"""Problem bodies with the member `error`, in which OpenAI's clients look for what went wrong."""

import json

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATHS = ("/v1/chat/completions", "/v1/embeddings", "/v1/models")


def error_member(status: int, title: str, detail: str, field: str | None = None) -> dict[str, str | None]:
    """What a client shows as `message`, `type`, `code` and `param` of its exception; its class goes by the status."""
    kind = "server_error" if status >= 500 else "rate_limit_error" if status == 429 else "invalid_request_error"
    return {"message": detail, "type": kind, "code": title.lower().replace(" ", "_"), "param": field}


class OpenAIErrors:
    """ASGI middleware around the whole application: a refusal may come from the door as well as from a route."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PATHS):
            await self._app(scope, receive, _Answer(send).send)
        else:
            await self._app(scope, receive, send)


class _Answer:
    """A response on its way; only a problem body is held back until it is whole."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            if headers.get("content-type") == "application/problem+json":
                self._start = message
                return
        elif self._start is not None:
            self._body += message.get("body", b"")
            if message.get("more_body"):
                return
            body = _with_error(json.loads(self._body))
            MutableHeaders(raw=self._start["headers"])["content-length"] = str(len(body))
            await self._send(self._start)
            message = {"type": "http.response.body", "body": body}
        await self._send(message)


def _with_error(problem: dict[str, object]) -> bytes:
    errors = problem.get("errors")
    field = errors[0]["field"].removeprefix("body.") if isinstance(errors, list) and errors else None
    status, title, detail = int(str(problem["status"])), str(problem["title"]), str(problem["detail"])
    return json.dumps({**problem, "error": error_member(status, title, detail, field)}).encode()
