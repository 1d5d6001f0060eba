"""The FastAPI application: routers over ports, with the same limits and the same problem bodies everywhere."""

from collections.abc import Sequence

from fastapi import APIRouter, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from include.quarry.gateway.access_log import AccessLog
from include.quarry.gateway.body_limit import BodyLimit
from include.quarry.gateway.contract import describe
from include.quarry.gateway.door import Door
from include.quarry.gateway.entrance import Entrance
from include.quarry.gateway.openai_errors import OpenAIErrors
from include.quarry.gateway.problems import install_problem_handlers
from include.quarry.gateway.retrieval_routes import RetrieveFrom
from include.quarry.gateway.shortcut import Shortcut
from include.quarry.gateway.witness import Witness

_BASE64_GROWTH = 4 / 3
_ENVELOPE_BYTES = 64 * 1024


def build_http_app(
    routers: Sequence[APIRouter], door: Door, *, max_document_bytes: int, retrieve: RetrieveFrom | None = None
) -> ASGIApp:
    """An ASGI application that serves the routers at their full paths, wherever it is mounted.

    With `retrieve`, queries take the shortcut to it.
    """
    app = FastAPI(title="Quarry", version="1", description="Retrieval and answers over documents that change.")
    install_problem_handlers(app)
    if retrieve is not None:
        app.add_middleware(Shortcut, retrieve=retrieve)
    app.add_middleware(BodyLimit, max_bytes=int(max_document_bytes * _BASE64_GROWTH) + _ENVELOPE_BYTES)
    app.add_middleware(Entrance, door=door)
    if door.ledger is not None:
        app.add_middleware(Witness, ledger=door.ledger)
    if door.log_line is not None:
        app.add_middleware(AccessLog, write=door.log_line, quiet=door.unlogged)
    for router in routers:
        app.include_router(router)
    describe(app)

    outermost = OpenAIErrors(app)

    async def at_full_path(scope: Scope, receive: Receive, send: Send) -> None:
        """Routers name full paths, so a mount point in front of them must not be taken off."""
        await outermost({**scope, "root_path": ""}, receive, send)

    return at_full_path
