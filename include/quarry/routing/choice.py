"""Which index version, and which generation release, answers: the same each time the same tenant asks the same."""

from hashlib import blake2b

from include.quarry.catalog.generation_routes import ReleaseRoute
from include.quarry.catalog.routes import Route

_RANGE = 2**64


def choose_version(route: Route, tenant: str, query: str) -> str:
    """The live version, or the canary for its share of the requests.

    Sticky: a request hashes to a place in [0, 1), and the canary answers the places below its share. So a share that
    grows keeps all those it had, and who asks again is not thrown from one version to the other.
    """
    if route.canary_version is not None and place_of("canary", tenant, query) < route.canary_share:
        return route.canary_version
    return route.live_version


def choose_release(route: ReleaseRoute, tenant: str, question: str) -> str:
    """The live release, or the canary for its share of the requests: sticky as versions are, and apart from them."""
    if route.canary_release is not None and place_of("release", tenant, question) < route.canary_share:
        return route.canary_release
    return route.live_release


def is_shadowed(route: Route, tenant: str, query: str) -> bool:
    """Whether the shadow version answers this request too, off the response path."""
    return route.shadow_version is not None and place_of("shadow", tenant, query) < route.shadow_share


def place_of(purpose: str, tenant: str, query: str) -> float:
    """Where a request lies in [0, 1): evenly spread, and independent from one purpose to the next."""
    asked = blake2b(f"{tenant}\0{query}".encode("utf-8", "replace"), digest_size=8, person=purpose.encode())
    return int.from_bytes(asked.digest()) / _RANGE
