"""A front door with a known secret, and the headers that open it."""

from functools import cache

from include.quarry.gateway.caller import SCOPES, Caller
from include.quarry.gateway.composition import bearer
from include.quarry.gateway.deadline import Deadline
from include.quarry.gateway.door import Door
from include.quarry.gateway.minting import mint
from include.quarry.gateway.tokens import TokenVerifier
from include.quarry.gateway.trace import continue_trace, new_query_id
from include.quarry.gateway.visit import Visit

SECRET = "a secret of the tests, long enough for HS256"
ISSUER, AUDIENCE = "https://issuer.test", "quarry-tests"


def open_test_door(**more: float) -> Door:
    """A door that believes what `token` makes."""
    tokens = TokenVerifier(secret=SECRET, issuer=ISSUER, audience=AUDIENCE)
    return Door(tokens, max_wait_s=more.get("max_wait_s", 60.0))


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
