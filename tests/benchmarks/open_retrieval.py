"""/v1/retrieve as it would be without a door: the product's own deployment, for whoever comes, behind `PREFIX`.

No token, no limit, no record. Everything else, the shortcut past the framework too, is the product's.
"""

from typing import cast

from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp, Receive, Scope, Send

from include.quarry.cache.directive import caching_of
from include.quarry.gateway.body_limit import BodyLimit
from include.quarry.gateway.caller import Caller
from include.quarry.gateway.deadline import Deadline
from include.quarry.gateway.door import VISIT
from include.quarry.gateway.problems import install_problem_handlers
from include.quarry.gateway.retrieval_routes import PATH, RetrieveFrom
from include.quarry.gateway.shortcut import Shortcut
from include.quarry.gateway.visit import Visit
from include.quarry.settings import load_settings
from ray_apps.retrieval.deployment import RetrievalDeployment
from tests.benchmarks.corpus import TENANT

PREFIX = "/open"
_ANYBODY = Caller(TENANT, "anybody", frozenset({"retrieve"}))
_WAIT_S = 60.0
_NUMBER, _TRACE = "0" * 32, f"00-{'1' * 32}-{'1' * 16}-00"


class OpenApp(BaseModel):
    """It takes no arguments."""


@serve.deployment(name="Retrieval")
class OpenRetrieval(RetrievalDeployment.func_or_class):  # type: ignore[name-defined,misc]
    """The product's replica, whose HTTP side has no door."""

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return without_door(self.retrieve, self._settings.max_document_bytes)


def build_app(_arguments: OpenApp) -> Application:
    """Called by Serve."""
    return cast(Application, OpenRetrieval.bind(load_settings()))  # type: ignore[attr-defined]


def without_door(retrieve: RetrieveFrom, max_document_bytes: int) -> ASGIApp:
    """What `build_http_app` makes, less access log, witness and entrance: every visit is of the same caller."""
    app = FastAPI()
    install_problem_handlers(app)
    app.add_middleware(Shortcut, retrieve=retrieve)
    app.add_middleware(BodyLimit, max_bytes=max_document_bytes)

    async def open_to_all(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            caching = b",".join(value for name, value in scope["headers"] if name == b"cache-control")
            visit = Visit(_ANYBODY, _NUMBER, Deadline(_WAIT_S), _TRACE, caching_of(caching))
            scope = {**scope, "path": PATH, "root_path": "", VISIT: visit}
        await app(scope, receive, send)

    return open_to_all
