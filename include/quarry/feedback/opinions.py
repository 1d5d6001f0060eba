"""Taking opinions in: only about a query of the same tenant, and each person's newest one counts."""

import time

from include.quarry.catalog.database import Database
from include.quarry.catalog.ratings import Asked, Rating, find_asked, store_rating
from include.quarry.errors import InvalidInput, NotFound

_PATIENCE_S = 2.0
_LOOK_AGAIN_S = 0.1


class Opinions:
    """Ratings in the catalog. `rate` blocks, so call it on a thread."""

    def __init__(self, database: Database, *, patience_s: float = _PATIENCE_S) -> None:
        """`patience_s` is how long a query may take from its answer to the catalog, whose log is written in batches."""
        self._database = database
        self._patience_s = patience_s

    def rate(self, query_id: str, tenant: str, subject: str, rating: Rating) -> None:
        """Keep an opinion. Raises `NotFound` unless the tenant asked such a query, and `InvalidInput` for a passage
        that was not shown for it."""
        asked = self._asked(query_id)
        if asked is None or asked.tenant != tenant:  # the same words for both: ids of others must not be told apart
            raise NotFound(
                f"no query {query_id!r} of this tenant is known; rate the query_id of an answer within its retention"
            )
        if rating.chunk_id and asked.chunk_ids is not None and rating.chunk_id not in asked.chunk_ids:
            raise InvalidInput(
                f"chunk_id {rating.chunk_id!r} was not shown for query {query_id!r}; rate one of its "
                f"{len(asked.chunk_ids)} passages, or leave chunk_id out"
            )
        with self._database.write() as connection:
            store_rating(connection, query_id, tenant, subject, rating)

    def _asked(self, query_id: str) -> Asked | None:
        give_up_at = time.monotonic() + self._patience_s
        while True:
            with self._database.read() as connection:
                asked = find_asked(connection, query_id)
            if asked is not None or time.monotonic() >= give_up_at:
                return asked
            time.sleep(_LOOK_AGAIN_S)
