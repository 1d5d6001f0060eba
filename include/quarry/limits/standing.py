"""Limits, where a tenant stands with them, and how responses say so.

The fields are those of the IETF's draft-ietf-httpapi-ratelimit-headers-10, which can name several limits at once:

    RateLimit-Policy: "requests";q=10000;w=2, "tokens";q=100000;w=86400
    RateLimit: "requests";r=9997;t=1, "tokens";r=64201;t=40233

`q` is what a window of `w` seconds admits, `r` what remains of it as far as the answering replica knows, `t` in how
many seconds it ends.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from include.quarry.errors import TooManyRequests


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` in each window of `window_s` seconds. Windows begin at multiples of their length since 1970."""

    name: str
    amount: int
    window_s: int

    def window(self, now: float) -> int:
        """The number of the window at a time, in seconds since 1970."""
        return int(now // self.window_s)

    def standing(self, now: float, remaining: int) -> "Standing":
        """What remains now."""
        reset_s = math.ceil((self.window(now) + 1) * self.window_s - now)
        return Standing(self, max(0, remaining), max(1, reset_s))


class Standing(NamedTuple):
    """What remains of a limit as far as this replica knows, and in how many seconds its window ends."""

    limit: Limit
    remaining: int
    reset_s: int

    def refusal(self, tenant: str) -> TooManyRequests:
        """The error that ends a request for which nothing remains."""
        limit = self.limit
        return TooManyRequests(
            f"tenant {tenant!r} may use {limit.amount} {limit.name} in {limit.window_s} s, and has; try again in "
            f"{self.reset_s} s",
            retry_after_s=self.reset_s,
            fields=fields_of([self]),
        )


def fields_of(standings: Iterable[Standing]) -> Mapping[str, str]:
    """The header fields of a response that these limits had a say in."""
    standings = tuple(standings)
    if not standings:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{s.limit.name}";q={s.limit.amount};w={s.limit.window_s}' for s in standings),
        "RateLimit": ", ".join(f'"{s.limit.name}";r={s.remaining};t={s.reset_s}' for s in standings),
    }
