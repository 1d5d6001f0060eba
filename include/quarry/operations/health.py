"""Whether a part answers, and waiting until it does."""

import time
from collections.abc import Callable

import httpx

from include.quarry.errors import Unavailable
from include.quarry.operations.programs import Program

_POLL_S = 0.5


def is_healthy(part: Program, timeout_s: float = 2.0) -> bool:
    """Whether the part answers where its health is asked for, and calls itself healthy."""
    try:
        headers = {"Authorization": f"Bearer {part.health_token}"} if part.health_token else {}
        response = httpx.get(part.health_url, headers=headers, timeout=timeout_s, trust_env=False)
        return response.is_success and (not part.health_key or response.json()[part.health_key]["status"] == "healthy")
    except (httpx.HTTPError, ValueError, KeyError, TypeError):  # a stranger at the port says something else
        return False


def wait_until(true: Callable[[], bool], what: str, timeout_s: float, tick: Callable[[float], None]) -> float:
    """Poll until `true()`; `tick` gets the seconds waited so far. Returns them, or raises `Unavailable`."""
    start = time.monotonic()
    while not true():
        waited_s = time.monotonic() - start
        if waited_s > timeout_s:
            raise Unavailable(
                f"{what} is not there after {waited_s:.0f} s; QUARRY_START_TIMEOUT_S sets how long to wait"
            )
        tick(waited_s)
        time.sleep(_POLL_S)
    return time.monotonic() - start
