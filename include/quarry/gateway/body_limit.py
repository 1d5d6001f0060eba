"""A bound on request bodies, held while they arrive, so that no client can fill the memory of a replica."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.quarry.gateway.problems import problem


class BodyLimit:
    """ASGI middleware: a body of more than `max_bytes` is answered with 413 before it is read to its end."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        detail = f"the body has more than {self._max_bytes} bytes; send less, or raise QUARRY_MAX_DOCUMENT_BYTES"
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            refusal = problem(413, "Content too large", detail, headers={"Connection": "close"})
            await refusal(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, detail, headers={"Connection": "close"})
            return message

        await self._app(scope, counted, send)
