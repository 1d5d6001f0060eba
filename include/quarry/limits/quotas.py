"""Quotas: what a tenant may use in a day, and have at once. Both are held against the catalog.

Tokens are charged when an answer is there, and are in the catalog as soon as the audit is: a tenant overshoots by the
answers that are under way or were given in the last two seconds, and by one more: nobody waits for a sum that is less
than ten seconds old, whose renewal it is the first to ask for. Documents are counted in the catalog before an upload
of a new one, with those that are being uploaded here, and not again before a sixteenth of what was free then is used,
or ten seconds are over: a tenant overshoots by what is being uploaded through other replicas when the last place is
taken. Documents of feeds count, and are never refused.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from weakref import WeakValueDictionary

from cachetools import LRUCache

from include.quarry.catalog.database import Database
from include.quarry.catalog.usage import count_documents, has_document, tokens_on
from include.quarry.errors import QuotaReached
from include.quarry.limits.standing import Limit, Standing
from include.quarry.records import DocumentKey

_DAY_S = 86_400
_EPOCH = date(1970, 1, 1)
_FRESH_FOR_S, _KNOWN_FOR_S, _ROOM_FOR_S = 1.0, 10.0, 10.0
_SHARE_OF_ROOM = 16
_TENANTS = 10_000  # those who came last; of the others it is looked up anew


@dataclass(slots=True)
class _Spent:
    """The tokens of a day, as they were when last looked at, and the next look while it is under way."""

    day: int
    tokens: int
    seen_s: float
    renewal: "asyncio.Task[None] | None" = None


class Quotas:
    """The quotas of all tenants, as one process knows them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tokens: LRUCache[str, _Spent] = LRUCache(_TENANTS)
        self._room: LRUCache[str, tuple[float, int]] = LRUCache(_TENANTS)
        self._coming: defaultdict[str, Counter[DocumentKey]] = defaultdict(Counter)
        self._counting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # while somebody holds them

    async def tokens(self, tenant: str, per_day: int) -> Standing:
        """What remains of today's tokens. Raises `TooManyRequests` when nothing does, `Unavailable` as the catalog."""
        now, limit = time.time(), Limit("tokens", per_day, _DAY_S)
        day = limit.window(now)
        known = self._tokens.get(tenant)
        if known is None or known.day != day:
            known = self._tokens[tenant] = await self._look(tenant, day)
        elif (age_s := time.monotonic() - known.seen_s) >= _FRESH_FOR_S:
            if known.renewal is None or known.renewal.done():
                known.renewal = asyncio.create_task(self._renew(tenant, known))
                known.renewal.add_done_callback(_heard)
            if age_s >= _KNOWN_FOR_S:
                await asyncio.shield(known.renewal)
        standing = limit.standing(now, per_day - known.tokens)
        if known.tokens >= per_day:
            raise standing.refusal(tenant)
        return standing

    @asynccontextmanager
    async def document(self, key: DocumentKey, allowed: int) -> AsyncIterator[None]:
        """Hold a place for a document while it is being uploaded inside the block.

        Raises `QuotaReached` unless the tenant has room for this document, or has it already.
        """
        await self._take_place(key, allowed)
        coming = self._coming[key.tenant]
        coming[key] += 1
        try:
            yield
        finally:
            coming[key] -= 1
            if not coming[key]:
                del coming[key]
            if not coming:
                del self._coming[key.tenant]

    async def _take_place(self, key: DocumentKey, allowed: int) -> None:
        """One at a time counts a tenant's documents; those who waited for that go by what was found."""
        if self._has_place(key.tenant):
            return
        counting = self._counting.setdefault(key.tenant, asyncio.Lock())
        async with counting:
            if self._has_place(key.tenant):
                return
            coming = [each for each in self._coming.get(key.tenant, ()) if each != key]
            room = await asyncio.to_thread(self._room_for, key, allowed, coming)
            self._room[key.tenant] = (time.monotonic() + _ROOM_FOR_S, room - 1)

    def _has_place(self, tenant: str) -> bool:
        """Take one of the places that were found free when the documents were counted last."""
        until, room = self._room.get(tenant, (0.0, 0))
        if room <= 0 or time.monotonic() >= until:
            return False
        self._room[tenant] = (until, room - 1)
        return True

    async def _look(self, tenant: str, day: int) -> "_Spent":
        def look() -> int:
            with self._database.read() as connection:
                return tokens_on(connection, tenant, _EPOCH + timedelta(days=day))

        began_s = time.monotonic()
        return _Spent(day, await asyncio.to_thread(look), began_s)

    async def _renew(self, tenant: str, known: "_Spent") -> None:
        found = await self._look(tenant, known.day)
        known.tokens, known.seen_s = found.tokens, found.seen_s

    def _room_for(self, key: DocumentKey, allowed: int, coming: Iterable[DocumentKey]) -> int:
        """How many documents may come before they are counted again."""
        with self._database.read() as connection:
            new = sum(not has_document(connection, each) for each in coming)
            held = count_documents(connection, key.tenant) + new
            if held >= allowed and not has_document(connection, key):
                raise QuotaReached(
                    f"tenant {key.tenant!r} has {held} documents, and its plan allows {allowed}; delete some, or ask "
                    "for a larger plan"
                )
        return max(1, (allowed - held) // _SHARE_OF_ROOM)


def _heard(renewal: "asyncio.Task[None]") -> None:
    """What fails is raised to those who wait for it; the others go by what was known, until it is too old."""
    if not renewal.cancelled():
        renewal.exception()
