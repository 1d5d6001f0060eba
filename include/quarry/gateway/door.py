"""The front door: who may come in, how often, what everything behind it is told about them, and what is kept of it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from include.quarry.audit.ledger import Ledger
from include.quarry.cache.directive import caching_of
from include.quarry.errors import InvalidInput, Unauthenticated
from include.quarry.gateway.deadline import Deadline
from include.quarry.gateway.tokens import TokenVerifier
from include.quarry.gateway.trace import continue_trace, new_query_id
from include.quarry.gateway.visit import Visit
from include.quarry.limits.limiter import Limiter
from include.quarry.limits.standing import Standing
from include.quarry.records import DocumentKey

VISIT = "quarry.visit"
"""Key of the ASGI scope under which the entrance leaves the visit."""
STANDINGS = "quarry.standings"
"""Key of the ASGI scope under which all limits that had a say are listed, for the response."""

Headers = Iterable[tuple[bytes, bytes]]


class Door:
    """Made once per application. Every path but the public ones needs a token; routes say which scope besides."""

    def __init__(
        self,
        tokens: TokenVerifier,
        *,
        max_wait_s: float,
        limiter: Limiter | None = None,
        ledger: Ledger | None = None,
        log_line: Callable[[bytes], object] | None = None,
        unlogged: Iterable[str] = (),
    ) -> None:
        """`max_wait_s` is the longest that a caller may wait, and what those get who do not say.

        Without a `limiter` everybody may come as often as they like. `ledger` is where the record of every visit is
        kept. `log_line` writes the lines of the access log; without it, and for the `unlogged` paths, there are none.
        """
        self.limiter = limiter
        self.ledger = ledger
        self.log_line = log_line
        self.unlogged = frozenset(unlogged)
        self._tokens = tokens
        self._max_wait_s = max_wait_s

    def admits(self, scope: str) -> "Admission":
        """A dependency of a route: gives the `Visit` of a caller whose token has the scope; raises `Forbidden`.

        What is posted with the scope `answer` costs tokens: raises `TooManyRequests` where today's are used up.
        """
        return Admission(scope, self.limiter)

    def is_alive(self) -> bool:
        """Whether what is kept of visits is on its way to the catalog."""
        return self.ledger is None or self.ledger.is_alive()

    async def receive(self, headers: Headers) -> Visit:
        """The visit of a request with these headers. Raises `Unauthenticated`, or `InvalidInput` for a bad time."""
        authorization, traceparent, timeout, caching = _look_at(headers)
        caller = await self._tokens.verify(_bearer(authorization))
        wait_s = self._max_wait_s if timeout is None else min(_seconds(timeout), self._max_wait_s)
        return Visit(caller, new_query_id(), Deadline(wait_s), continue_trace(traceparent), caching_of(caching))

    async def count(self, visit: Visit) -> list[Standing]:
        """Count the request against its tenant's limit. Raises `TooManyRequests`, `Forbidden` or `Unavailable`."""
        if self.limiter is None:
            return []
        return [await self.limiter.request(visit.caller.tenant, visit.caller.plan)]

    def room_for(self, visit: Visit, key: DocumentKey) -> AbstractAsyncContextManager[None]:
        """Hold a place for a document inside the block. Raises `QuotaReached` unless the tenant may have it."""
        return nullcontext() if self.limiter is None else self.limiter.document(key, visit.caller.plan)


class Admission(SecurityBase):
    """Lets callers through whose tokens have a scope. FastAPI puts the scheme into the OpenAPI document."""

    def __init__(self, scope: str, limiter: Limiter | None) -> None:
        self.scope = scope
        self._limiter = limiter
        self.model = HTTPBearer(bearerFormat="JWT", description="`make token TENANT=… SCOPES=…` prints one")
        self.scheme_name = "token"

    async def __call__(self, request: Request) -> Visit:
        visit: Visit = request.scope[VISIT]
        visit.caller.require(self.scope)
        if self._limiter is not None and self.scope == "answer" and request.method == "POST":
            standing = await self._limiter.answer(visit.caller.tenant, visit.caller.plan)
            if standing is not None:
                request.scope[STANDINGS].append(standing)
        return visit


def _look_at(headers: Headers) -> tuple[list[bytes], bytes | None, bytes | None, bytes]:
    authorization: list[bytes] = []
    traceparent = timeout = None
    caching = b""
    for name, value in headers:
        if name == b"authorization":
            authorization.append(value)
        elif name == b"traceparent":
            traceparent = value
        elif name == b"x-request-timeout-ms":
            timeout = value
        elif name == b"cache-control":
            caching += b"," + value
    return authorization, traceparent, timeout, caching


def _bearer(values: list[bytes]) -> bytes:
    if not values:
        raise Unauthenticated("send a token: `Authorization: Bearer …`; `make token` prints one", error="")
    if len(values) > 1:
        raise Unauthenticated("there are two Authorization headers; send one", error="invalid_request")
    scheme, _, token = values[0].partition(b" ")
    if scheme.lower() != b"bearer" or not token.strip():
        raise Unauthenticated("the Authorization header must read `Bearer`, a space and a token", error="")
    return token.strip()


def _seconds(timeout: bytes) -> float:
    if not timeout.isdigit() or len(timeout) > 9 or int(timeout) == 0:
        raise InvalidInput(
            f"X-Request-Timeout-Ms is {timeout[:40].decode('latin-1')!r}; allowed are whole milliseconds from 1"
        )
    return int(timeout) / 1000
