"""What the front door costs: /v1/retrieve with a search that costs nothing, in one process, against a named header.

The floor is the same route, which takes the tenant from a header and asks for no token, as before there was a door.
Both answer in turns, and processor time is counted, so that a machine with other work disturbs both alike.
"""

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import uvloop
from fastapi import APIRouter, Depends, FastAPI, Header, Response
from starlette.types import ASGIApp, Message

from include.quarry.catalog.database import Database
from include.quarry.feeds.keys import check_name
from include.quarry.gateway.application import build_http_app
from include.quarry.gateway.body_limit import BodyLimit
from include.quarry.gateway.composition import bearer
from include.quarry.gateway.door import Door
from include.quarry.gateway.problems import install_problem_handlers
from include.quarry.gateway.retrieval_routes import _encode, retrieval_routes
from include.quarry.gateway.schema import Retrieve, Retrieved
from include.quarry.limits.limiter import Limiter
from include.quarry.limits.opening import open_limiter
from include.quarry.records import Chunk, DocumentKey, Hit, Passage, Scope
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.settings import Settings
from tests.benchmarks.report import Report, Row, median
from tests.door import token, tokens
from tests.servers.redis import redis_server

NAME = "front_door"
MAX_RATIO, MAX_RATIO_LIMITED = 1.5, 1.75
_ROUNDS, _REQUESTS = 40, 200
_PASSAGE = "The old quarry lies north of the river and gives granite of two colours. " * 8
_CHUNK = Chunk(
    "c" * 64, DocumentKey("main", "red", "a"), 1, 0, "file:///a", "A", Passage(_PASSAGE, "A", 0, 600, 99), {}
)
_FOUND = Retrieval([Hit(_CHUNK, 0.5, {"dense": 1, "words": 2})] * 10, "v1", 7, {"total": 1.0}, ())
_BODY = json.dumps({"query": "Where does the granite come from?", "top_k": 10}).encode()
_PLAIN = {
    "host": "127.0.0.1",
    "content-type": "application/json",
    "content-length": str(len(_BODY)),
    "user-agent": "bench",
    "accept": "*/*",
}
Ask = Callable[[], Awaitable[None]]


async def _retrieve(*_: object, **__: object) -> Retrieval:
    return _FOUND


def run() -> Report:
    """Rounds of requests to every side in turns; the one with Redis is left out where there is none."""
    if shutil.which("redis-server") is None:
        return uvloop.run(_compare(""))
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as server:
        return uvloop.run(_compare(server.url))


async def _compare(redis_url: str) -> Report:
    log = os.open(os.devnull, os.O_WRONLY)
    shown = bearer(token("red"))
    sides = {
        "a header": asker(_floor(), {"x-quarry-tenant": "red"}),
        "a token": asker(product(Door(tokens(), max_wait_s=60)), shown),
        "a token and the access log": asker(
            product(Door(tokens(), max_wait_s=60, log_line=lambda line: os.write(log, line))), shown
        ),
        "a token and limits": asker(product(Door(tokens(), max_wait_s=60, limiter=_limiter(""))), shown),
        "a token verified each time": asker(product(Door(_Forgetful(), max_wait_s=60)), shown),  # type: ignore[arg-type]
    }
    if redis_url:
        limited = Door(tokens(), max_wait_s=60, limiter=_limiter(redis_url))
        sides["a token and limits in Redis"] = asker(product(limited), shown)
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(_ROUNDS + 1):
        for name, ask in sides.items():
            took_us = await _microseconds(ask)
            if number:  # the first round warms up
                spent[name].append(took_us)
    floor = spent.pop("a header")
    rows = [
        Row(
            f"{name}, µs a request",
            floor,
            took,
            median([ours / theirs for ours, theirs in zip(took, floor, strict=True)]),
            at_most=None if "each time" in name else MAX_RATIO_LIMITED if "limits" in name else MAX_RATIO,
        )
        for name, took in spent.items()
    ]
    return Report(NAME, rows, [f"{name}: {median(took) - median(floor):+.0f} µs" for name, took in spent.items()])


class _Forgetful:
    """Verifies every token anew."""

    async def verify(self, shown: bytes) -> Any:
        return await tokens().verify(shown)


def _limiter(redis_url: str) -> Limiter:
    return open_limiter(Settings(redis_url=redis_url, _env_file=None), Database("sqlite://"))


def product(door: Door) -> ASGIApp:
    return build_http_app([retrieval_routes(_retrieve, door)], door, max_document_bytes=20_000_000)


def _floor() -> ASGIApp:
    app, router = FastAPI(), APIRouter()

    async def tenant_of(x_quarry_tenant: Annotated[str, Header()] = "default") -> str:
        return check_name("tenant", x_quarry_tenant)

    @router.post("/v1/retrieve", response_model=Retrieved)
    async def post_retrieve(body: Retrieve, tenant: Annotated[str, Depends(tenant_of)]) -> Response:
        found = await _retrieve(body.corpus, body.query, body.top_k, Scope(tenant, body.filters), body.index_version)
        return Response(_encode(found, ""), media_type="application/json")

    install_problem_handlers(app)
    app.add_middleware(BodyLimit, max_bytes=20_000_000)
    app.include_router(router)
    return app


def asker(app: ASGIApp, shown: dict[str, str]) -> Ask:
    headers = [(name.lower().encode(), value.encode()) for name, value in (_PLAIN | shown).items()]
    fixed = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http"}
    path = {"path": "/v1/retrieve", "raw_path": b"/v1/retrieve", "root_path": "", "query_string": b""}
    ends = {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}

    async def ask() -> None:
        statuses = []

        async def receive() -> Message:
            return {"type": "http.request", "body": _BODY, "more_body": False}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await app({**fixed, **path, **ends, "headers": list(headers), "state": {}}, receive, send)
        if statuses != [200]:
            raise RuntimeError(f"answered {statuses}")

    return ask


async def _microseconds(ask: Ask) -> float:
    began = time.process_time()
    for _ in range(_REQUESTS):
        await ask()
    await asyncio.sleep(0)
    return (time.process_time() - began) / _REQUESTS * 1e6
