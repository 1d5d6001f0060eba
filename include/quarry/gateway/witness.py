"""The witness at the door: no response begins before the record of it is kept."""

import asyncio
import logging
from collections.abc import Iterable, MutableMapping
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from include.quarry.audit.entry import AuditRecord
from include.quarry.audit.ledger import Ledger
from include.quarry.errors import Unavailable
from include.quarry.gateway.door import VISIT
from include.quarry.gateway.entrance import PUBLIC
from include.quarry.gateway.leaving import CLIENT_CLOSED_REQUEST
from include.quarry.gateway.problems import problem_of
from include.quarry.gateway.visit import Visit

logger = logging.getLogger(__name__)
UNRECORDED = frozenset({"/v1/status", "/v1/models", "/v1/usage"})
"""Paths that show nobody's documents and are asked every few seconds: only their refusals are kept."""
_LEFT, _FAILED = CLIENT_CLOSED_REQUEST, 500
_OUTCOMES = {_LEFT: "left"}
"""What a whole response of this status is called."""
_LONGEST_PATH = 200


class Witness:
    """ASGI middleware around the entrance, so that who is sent away there is on record too.

    A whole response has one record. A stream has one when it begins, which names the passages that it is made of, and
    one when it ends, breaks or is left by the caller.
    """

    def __init__(self, app: ASGIApp, ledger: Ledger, public: Iterable[str] = PUBLIC) -> None:
        self._app = app
        self._ledger = ledger
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._public:
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, self._ledger)
        try:
            await self._app(scope, receive, exchange.send)
        except asyncio.CancelledError:
            exchange.is_over(_LEFT, "left")
            raise
        except Exception:
            exchange.is_over(_FAILED, "failed")
            raise
        exchange.is_over(_LEFT, "left")


class _Exchange:
    """One request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, ledger: Ledger) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._ledger = ledger
        self._status = 0
        self._open = True
        self._withheld = False

    async def send(self, message: Message) -> None:
        """Passes the response on once its record is kept; without one, says so instead."""
        if message["type"] == "http.response.start":
            self._status, self._open = message["status"], _streams(message)
            try:
                self._keep(self._status, "begun" if self._open else _OUTCOMES.get(self._status))
            except Unavailable as error:
                self._open, self._withheld = False, True
                await problem_of(error)(self._scope, self._receive, self._send)
        elif self._open and not message.get("more_body"):
            self._end("done")
        if not self._withheld:
            await self._send(message)

    def is_over(self, status: int, outcome: str) -> None:
        """The application has returned; `status` and `outcome` count where the response was not at its end."""
        if self._open:
            self._status = self._status or status
            self._end(outcome)

    def _end(self, outcome: str) -> None:
        self._open = False
        try:
            self._keep(self._status, outcome)
        except Unavailable:
            logger.warning("the end of a response that had begun is not on record")

    def _keep(self, status: int, outcome: str | None) -> None:
        scope = self._scope
        if scope["path"] in UNRECORDED and status < 400:
            return
        visit: Visit | None = scope.get(VISIT)
        facts: dict[str, Any] = {} if visit is None else visit.notes.facts()
        if named := scope.get("path_params"):
            facts["named"] = dict(named)
        if outcome is not None:
            facts.setdefault("outcome", outcome)
        if visit is None:
            self._ledger.keep(AuditRecord(datetime.now(UTC), _action(scope), status, facts=facts))
            return
        caller, query_id = visit.caller, visit.query_id
        record = AuditRecord(datetime.now(UTC), _action(scope), status, caller.tenant, caller.subject, query_id, facts)
        logged = status < 400 and outcome != "begun" and self._ledger.logs(query_id)
        self._ledger.keep(record, visit.notes.content() if logged else None)


def _streams(start: Message) -> bool:
    """Whether the body comes in pieces: then its length is not known before."""
    if start["status"] < 200 or start["status"] in (204, 304):
        return False
    return all(name.lower() != b"content-length" for name, _ in start.get("headers", ()))


def _action(scope: MutableMapping[str, Any]) -> str:
    """Method and path of the route, or of the request where no route was reached: then anybody wrote it."""
    route = scope.get("route")
    path = _shown(scope["path"][:_LONGEST_PATH]) if route is None else route.path.replace(":path}", "}")
    return f"{scope['method']} {path}"


def _shown(text: str) -> str:
    return (
        text
        if text.isprintable()
        else "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    )
