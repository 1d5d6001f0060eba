"""All limits of a tenant in one place: what its plan says, held against what it asks for."""

import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from include.quarry.errors import QuotaReached, TooManyRequests, Unavailable
from include.quarry.limits.leases import Leases, WhenDown
from include.quarry.limits.plans import Plans
from include.quarry.limits.quotas import Quotas
from include.quarry.limits.standing import Standing
from include.quarry.records import DocumentKey

logger = logging.getLogger(__name__)


class Limiter:
    """Asked by the door. `claim` is the plan that the caller's token names; every verb raises `Forbidden` where there
    is no such plan. `refused` counts refusals by limit, since this process began."""

    def __init__(self, plans: Plans, leases: Leases, quotas: Quotas, *, when_down: WhenDown = "open") -> None:
        self.refused: Counter[str] = Counter()
        self._plans = plans
        self._leases = leases
        self._quotas = quotas
        self._when_down = when_down

    @property
    def is_shared(self) -> bool:
        """Whether all replicas count together now."""
        return self._leases.is_shared

    async def request(self, tenant: str, claim: str) -> Standing:
        """Admit a request. Raises `TooManyRequests`; when it cannot be counted, `Unavailable`."""
        try:
            return await self._leases.take(tenant, self._plans.of(tenant, claim).requests)
        except TooManyRequests:
            self.refused["requests"] += 1
            raise

    async def answer(self, tenant: str, claim: str) -> Standing | None:
        """Admit a request whose answer costs tokens; None when they cannot be counted now and need not be.

        Raises `TooManyRequests`; when they cannot be counted and must be, `Unavailable`.
        """
        try:
            return await self._quotas.tokens(tenant, self._plans.of(tenant, claim).tokens_per_day)
        except TooManyRequests:
            self.refused["tokens"] += 1
            raise
        except Unavailable as error:
            if self._when_down == "closed":
                raise
            logger.warning("an answer is admitted though the tokens of its tenant cannot be counted: %s", error)
            return None

    @asynccontextmanager
    async def document(self, key: DocumentKey, claim: str) -> AsyncIterator[None]:
        """Admit an upload, which happens inside the block. Raises `QuotaReached`; when documents cannot be counted,
        `Unavailable`, as nothing could be accepted then either."""
        try:
            async with self._quotas.document(key, self._plans.of(key.tenant, claim).documents):
                yield
        except QuotaReached:
            self.refused["documents"] += 1
            raise
