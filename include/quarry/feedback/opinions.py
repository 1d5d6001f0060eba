"""Taking opinions in: only about a query of the same tenant, and each person's newest one counts."""

import asyncio
import math
import time
from collections import Counter

from include.quarry.catalog.database import Database
from include.quarry.catalog.ratings import Asked, Rating, find_asked, store_rating
from include.quarry.errors import InvalidInput, NotFound

WAITING_AT_ONCE = 8
"""So many opinions of one tenant wait for their query at a time; for more than that one look has to do."""
_PATIENCE_S = 2.0
_LOOK_AGAIN_S = 0.1


class Opinions:
    """Ratings in the catalog, for one event loop. A thread is held for each look, and by nobody who waits."""

    def __init__(self, database: Database, *, patience_s: float = _PATIENCE_S) -> None:
        """`patience_s` is how long a query may take from its answer to the catalog, whose log is written in batches."""
        self._database = database
        self._patience_s = patience_s
        self._waiting: Counter[str] = Counter()

    async def rate(
        self, query_id: str, tenant: str, subject: str, rating: Rating, *, within_s: float = math.inf
    ) -> None:
        """Keep an opinion. Raises `NotFound` unless the tenant asked such a query, at the latest after `within_s`, and
        `InvalidInput` for a passage that was not shown for it."""
        asked = await self._asked(query_id, tenant, min(self._patience_s, within_s))
        if asked is None:
            raise NotFound(
                f"no query {query_id!r} of this tenant is known; rate the query_id of an answer within its retention"
            )
        if rating.chunk_id and asked.chunk_ids is not None and rating.chunk_id not in asked.chunk_ids:
            raise InvalidInput(
                f"chunk_id {rating.chunk_id!r} was not shown for query {query_id!r}; rate one of its "
                f"{len(asked.chunk_ids)} passages, or leave chunk_id out"
            )
        await asyncio.to_thread(self._keep, query_id, tenant, subject, rating)

    async def _asked(self, query_id: str, tenant: str, patience_s: float) -> Asked | None:
        give_up_at = time.monotonic() + patience_s
        asked = await asyncio.to_thread(self._look, query_id, tenant)
        if asked is not None or self._waiting[tenant] >= WAITING_AT_ONCE:
            return asked
        self._waiting[tenant] += 1
        try:
            while asked is None and time.monotonic() < give_up_at:
                await asyncio.sleep(_LOOK_AGAIN_S)
                asked = await asyncio.to_thread(self._look, query_id, tenant)
            return asked
        finally:
            self._waiting[tenant] -= 1
            self._waiting += Counter()  # drops those of whom nobody waits

    def _look(self, query_id: str, tenant: str) -> Asked | None:
        """The tenant's query. One of another tenant is waited for like one that never was: ids must not be told apart
        by the words of the refusal, nor by the time that it takes."""
        with self._database.read() as connection:
            asked = find_asked(connection, query_id)
        return asked if asked is not None and asked.tenant == tenant else None

    def _keep(self, query_id: str, tenant: str, subject: str, rating: Rating) -> None:
        with self._database.write() as connection:
            store_rating(connection, query_id, tenant, subject, rating)
