"""Making tokens with the installation's secret: for development, and for the platform's own clients."""

import time
from collections.abc import Iterable

import jwt

from include.quarry.errors import InvalidInput
from include.quarry.feeds.keys import check_name
from include.quarry.gateway.caller import DEFAULT_PLAN, PRIORITIES, SCOPES

MAX_TTL_S = 366 * 86_400


def mint(
    secret: str,
    *,
    issuer: str,
    audience: str,
    tenant: str,
    scopes: Iterable[str],
    subject: str,
    ttl_s: float,
    priority: str = "normal",
    plan: str = DEFAULT_PLAN,
) -> str:
    """A signed token, valid for `ttl_s` from now. Raises `InvalidInput` for what no door would accept."""
    wanted = sorted(set(scopes))
    if unknown := set(wanted) - set(SCOPES):
        raise InvalidInput(f"unknown scopes {', '.join(sorted(unknown))}; there are {', '.join(SCOPES)}")
    if priority not in PRIORITIES:
        raise InvalidInput(f"priority {priority!r} is not known; there are {', '.join(PRIORITIES)}")
    if not 0 < ttl_s <= MAX_TTL_S:
        raise InvalidInput(f"a token cannot be valid for {ttl_s:g} s; allowed are up to {MAX_TTL_S}")
    now = int(time.time())
    claims = {
        "tenant": check_name("tenant", tenant),
        "sub": subject,
        "scope": " ".join(wanted),
        "priority": priority,
        "plan": check_name("plan", plan),
    }
    times = {"iat": now, "nbf": now, "exp": now + max(1, round(ttl_s))}
    return jwt.encode({"iss": issuer, "aud": audience, **times, **claims}, secret, algorithm="HS256")
