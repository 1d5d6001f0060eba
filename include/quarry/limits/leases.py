"""Tickets of fixed windows, leased from shared counts in small blocks.

Time is cut into windows: window n of a limit is the clock's seconds [n * window_s, (n + 1) * window_s), and `amount`
requests are admitted in each. All replicas draw from one count a window. Whoever adds a block b to it and is told c
owns the tickets c-b+1 to c; those up to `amount` are good. A replica spends its tickets without asking anybody, only
inside their window, and fetches the next block before the last one is spent.

What holds: an addition is atomic, so no ticket is owned twice, and all replicas together never admit more than `amount`
in a window, whoever is killed when; a block whose reply was lost is used by nobody. A block is as large as the requests
that wait for it, or a sixteenth of what the replica admits in a window, 1/64 of the limit at most: what replicas leave
unused when they are asked no more is less than a tenth.

What does not: windows do not slide, so up to twice `amount` can come in the time around a border. Each replica reads
its own clock: where clocks differ by d, tickets are used up to d beside their window. A Redis that restarts empty
begins the present window anew.

When Redis is late, a request waits 20 ms, or 100 where so little is left of the limit that uncounted ones could break
it (500 for the first connection). Then it is admitted without a ticket, paid for by the next ones of its window
(`open`), or refused (`closed`). Redis that fails is left alone for a second at a time: meanwhile nobody waits, and each
replica counts for itself (`open`: at most `amount` by each), or nothing is admitted (`closed`).
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from include.quarry.errors import Unavailable
from include.quarry.limits.protocol import Counters
from include.quarry.limits.standing import Limit, Standing

logger = logging.getLogger(__name__)
WhenDown = Literal["open", "closed"]
_PATIENCE_S, _LONG_PATIENCE_S, _FIRST_PATIENCE_S = 0.02, 0.1, 0.5
_REST_S = 1.0
_SHARE_OF_USE, _SHARE_OF_LIMIT = 16, 64
_SWEEP_EVERY_S = 30.0


@dataclass(slots=True)
class _Lease:
    """One tenant's tickets of a window. `count` is what the shared count was when last seen, `block` the size of the
    last block; `debt` are requests that were admitted without a ticket."""

    tenant: str
    limit: Limit
    window: int = -1
    left: int = 0
    count: int = 0
    block: int = 0
    used: int = 0
    used_before: int = 0
    debt: int = 0
    waiting: int = 0
    fetch: asyncio.Task[bool] | None = None

    def turn_to(self, window: int) -> None:
        """What is left of another window is void."""
        if window != self.window:
            self.used_before = self.used if window == self.window + 1 else 0
            self.window, self.left, self.count, self.used, self.debt = window, 0, 0, 0, 0

    def key(self, window: int) -> str:
        """Of the shared count. Tokens of one tenant that name different plans are counted apart."""
        limit = self.limit
        return f"{limit.name}/{self.tenant}/{limit.amount}/{limit.window_s}/{window}"

    def has_plenty(self) -> bool:
        """Whether the limit would hold though sixteen replicas admitted as many without a ticket as would here."""
        return 16 * (self.waiting + self.debt) <= self.limit.amount - self.count


class Leases:
    """The tickets that this process holds, of all tenants. Use it from one event loop."""

    def __init__(
        self, shared: Counters, *, when_down: WhenDown = "open", clock: Callable[[], float] = time.time
    ) -> None:
        self._shared = shared
        self._when_down = when_down
        self._clock = clock
        self._leases: dict[tuple[str, Limit], _Lease] = {}
        self._sweep_at = 0.0
        self._rest_until: float | None = None
        self._heard_of = False

    @property
    def is_shared(self) -> bool:
        """Whether the counts are shared now, as far as this process knows."""
        return self._rest_until is None

    async def take(self, tenant: str, limit: Limit) -> Standing:
        """Admit one request of the tenant. Raises `TooManyRequests`; when it cannot be counted, `Unavailable`."""
        lease = self._leases.get((tenant, limit)) or self._begin(tenant, limit)
        return self._spend(lease) or await self._wait(lease)

    def _spend(self, lease: _Lease) -> Standing | None:
        """One ticket; None when there is none here, and perhaps elsewhere. Raises `TooManyRequests`."""
        now, limit = self._clock(), lease.limit
        lease.turn_to(limit.window(now))
        if not lease.left:
            if lease.count < limit.amount:
                return None
            raise limit.standing(now, 0).refusal(lease.tenant)
        lease.left -= 1
        lease.used += 1
        if lease.left < lease.block // 2 and lease.count < limit.amount and not lease.fetch:
            self._start_fetch(lease)
        return limit.standing(now, limit.amount - lease.count + lease.left)

    async def _wait(self, lease: _Lease) -> Standing:
        """One ticket of the blocks that arrive in time, or one without the shared counts."""
        since = time.monotonic()
        lease.waiting += 1
        try:
            while not (standing := self._spend(lease)):
                if (fetch := lease.fetch or self._start_fetch(lease)) is None:
                    return self._spend_unseen(lease)
                done, _ = await asyncio.wait({fetch}, timeout=since + self._patience_s(lease) - time.monotonic())
                if not done or not fetch.result():
                    return self._spend_unseen(lease)
            return standing
        finally:
            lease.waiting -= 1

    def _patience_s(self, lease: _Lease) -> float:
        if self._rest_until is not None:
            return _PATIENCE_S
        if not self._heard_of:
            return _FIRST_PATIENCE_S
        return _PATIENCE_S if lease.has_plenty() else _LONG_PATIENCE_S

    def _begin(self, tenant: str, limit: Limit) -> _Lease:
        if (now := self._clock()) >= self._sweep_at:
            self._sweep_at = now + _SWEEP_EVERY_S
            old = [key for key, lease in self._leases.items() if (lease.window + 2) * lease.limit.window_s < now]
            for key in old:
                del self._leases[key]
        lease = self._leases[tenant, limit] = _Lease(tenant, limit)
        return lease

    def _start_fetch(self, lease: _Lease) -> asyncio.Task[bool] | None:
        """Ask for a block, unless the shared counts rest. After each rest one asks, and the others wait no longer."""
        if self._rest_until is not None:
            if time.monotonic() < self._rest_until:
                return None
            self._rest_until = time.monotonic() + _REST_S
        lease.fetch = asyncio.create_task(self._fetch(lease))
        return lease.fetch

    async def _fetch(self, lease: _Lease) -> bool:
        limit, window = lease.limit, lease.window
        share = min(limit.amount // _SHARE_OF_LIMIT, max(lease.used, lease.used_before) // _SHARE_OF_USE)
        block = max(1, lease.waiting + lease.debt, share)
        try:
            count = await self._shared.add(lease.key(window), block, 2 * limit.window_s)
        except Unavailable as error:
            self._rest(error)
            return False
        finally:
            lease.fetch = None
        if self._rest_until is not None:
            logger.info("requests are counted together again")
            self._rest_until = None
        self._heard_of = True
        if lease.window == window:
            tickets = max(0, min(block, limit.amount - count + block))
            paid = min(tickets, lease.debt)
            lease.left, lease.debt = lease.left + tickets - paid, lease.debt - paid
            lease.count, lease.block = max(lease.count, count), block
        return True

    def _rest(self, error: Unavailable) -> None:
        if self._rest_until is None:
            meanwhile = "each replica counts for itself" if self._when_down == "open" else "nothing is admitted"
            logger.warning("requests cannot be counted together, so %s: %s", meanwhile, error)
        self._rest_until = time.monotonic() + _REST_S

    def _spend_unseen(self, lease: _Lease) -> Standing:
        """Admit a request by what this replica alone knows, if that is wanted."""
        if self._when_down == "closed":
            raise Unavailable("requests cannot be counted now, and uncounted ones are not admitted", retry_after_s=1)
        now, limit = self._clock(), lease.limit
        lease.turn_to(limit.window(now))
        if lease.used >= limit.amount:
            raise limit.standing(now, 0).refusal(lease.tenant)
        lease.used += 1
        lease.debt += 1
        return limit.standing(now, limit.amount - lease.used)
