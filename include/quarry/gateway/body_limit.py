"""A bound on request bodies, held while they arrive, so that no client can fill the memory of a replica."""

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
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        received = 0
        started = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise _TooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, watched)
        except _TooLarge:
            if not started:
                await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        detail = f"the body has more than {self._max_bytes} bytes; send less, or raise QUARRY_MAX_DOCUMENT_BYTES"
        await problem(413, "Content too large", detail, headers={"Connection": "close"})(scope, receive, send)


class _TooLarge(Exception):
    """The body ran over the bound while it arrived."""
