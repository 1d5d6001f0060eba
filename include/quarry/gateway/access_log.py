"""One JSON line for each request: who asked for what kind of thing, and how it went. Never what was in it."""

import os
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.quarry.gateway.door import VISIT
from include.quarry.gateway.entrance import PUBLIC
from include.quarry.gateway.visit import Visit

_CUT_OFF, _FAILED = 499, 500


class AccessLog:
    """ASGI middleware, the outermost one. `quiet` are the templates of routes, and the paths, that leave no line.

    A route is named by its template, since ids in paths are content; a request that reached none is named null. A
    response that was cut off before it began has status 499.
    """

    def __init__(self, app: ASGIApp, write: Callable[[bytes], object], quiet: Iterable[str] = ()) -> None:
        self._app = app
        self._write = write
        self._quiet = PUBLIC.union(quiet)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._quiet:
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status, names = _CUT_OFF, {}

        async def seen(message: Message) -> None:
            nonlocal status, names
            if message["type"] == "http.response.start":
                status, names = message["status"], dict(message["headers"])
            await send(message)

        try:
            await self._app(scope, receive, seen)
        except Exception:
            status = _FAILED
            raise
        finally:
            visit: Visit | None = scope.get(VISIT)
            route = scope.get("route")
            line = {
                "time": datetime.now(UTC),
                "method": scope["method"],
                "route": None if route is None else route.path,
                "status": status,
                "ms": round((time.perf_counter() - began) * 1000, 1),
                "tenant": visit and visit.caller.tenant,
                "subject": visit and visit.caller.subject,
                "query_id": names.get(b"x-request-id", b"").decode() or None,
                "traceparent": names.get(b"traceparent", b"").decode() or None,
            }
            self._write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z))


def to_standard_output(line: bytes) -> None:
    """Past `sys.stdout`, which Serve turns into records of its own log. A line that cannot be written is lost."""
    try:
        os.write(1, line)
    except OSError:
        return
