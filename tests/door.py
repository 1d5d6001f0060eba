"""A front door with a known secret, and the headers that open it."""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

from include.quarry.audit.ledger import Ledger
from include.quarry.gateway.caller import SCOPES, Caller
from include.quarry.gateway.composition import bearer
from include.quarry.gateway.deadline import Deadline
from include.quarry.gateway.door import Door
from include.quarry.gateway.key_set import KeySet
from include.quarry.gateway.minting import mint
from include.quarry.gateway.tokens import TokenVerifier
from include.quarry.gateway.trace import continue_trace, new_query_id
from include.quarry.gateway.visit import Visit
from include.quarry.limits.limiter import Limiter

SECRET = "a secret of the tests, long enough for HS256"
ISSUER, AUDIENCE = "https://issuer.test", "quarry-tests"


def open_test_door(
    *,
    max_wait_s: float = 60.0,
    key_set: KeySet | None = None,
    limiter: Limiter | None = None,
    ledger: Ledger | None = None,
    log_line: Callable[[bytes], object] | None = None,
) -> Door:
    """A door that believes what `token` makes, and what the keys of the set have signed."""
    return Door(tokens(key_set), max_wait_s=max_wait_s, limiter=limiter, ledger=ledger, log_line=log_line)


def tokens(key_set: KeySet | None = None) -> TokenVerifier:
    """Believes what `token` makes."""
    return TokenVerifier(secret=SECRET, issuer=ISSUER, audience=AUDIENCE, key_set=key_set)


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says, with changes; a claim that is None is left out."""
    now = int(time.time())
    times = {"iat": now, "nbf": now, "exp": now + 3600}
    said = {"iss": ISSUER, "aud": AUDIENCE, "sub": "tester", "tenant": "red", "scope": " ".join(SCOPES), **times}
    return {name: value for name, value in (said | changes).items() if value is not None}


@cache
def token(tenant: str = "default", *scopes: str, **claims: str) -> str:
    """A token of the tenant; without scopes, of all of them."""
    return mint(
        SECRET,
        issuer=ISSUER,
        audience=AUDIENCE,
        tenant=tenant,
        scopes=scopes or SCOPES,
        ttl_s=3600,
        **({"subject": "tester"} | claims),
    )


def visit(tenant: str = "default") -> Visit:
    """A visit as the door makes it, of a caller who may do everything and has time."""
    return Visit(Caller(tenant, "tester", frozenset(SCOPES)), new_query_id(), Deadline(60.0), continue_trace(None))


def showing(tenant: str = "default", *scopes: str) -> dict[str, str]:
    """The header that shows such a token."""
    return bearer(token(tenant, *scopes))
