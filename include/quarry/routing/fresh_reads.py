"""Read your writes: an answer of an index version that has applied the change a caller knows of."""

import asyncio
from collections.abc import Awaitable, Callable

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import head
from include.quarry.errors import InvalidInput, Unavailable
from include.quarry.retrieval.retriever import Retrieval
from include.quarry.routing.resident import Resident, ResidentIndexes

_ASK_AGAIN_S = 0.05
_SPARE_S = 0.25
_SPARE_SHARE = 0.25
"""Of the caller's time, what is left for the search when the wait ends, or for saying that it was in vain."""


class FreshReads:
    """Lets queries wait until the version that answers them is far enough. To be used on one event loop."""

    def __init__(self, database: Database, indexes: ResidentIndexes) -> None:
        self._database = database
        self._indexes = indexes

    async def read(
        self,
        ask: Callable[[], Awaitable[Retrieval]],
        resident: Resident,
        version: str,
        min_seq: int,
        left_s: Callable[[], float],
    ) -> Retrieval:
        """What `ask` finds in an index that has applied the log up to `min_seq`; `version` is who is to answer.

        Another one may answer in its place, as for a canary that fails: then that one is waited for. Raises
        `InvalidInput` for a `min_seq` that the log does not have, `Unavailable` when the caller's time is nearly over.
        """
        corpus = resident.route.corpus
        if resident.versions.get(version) and not self._has(corpus, version, min_seq):
            await asyncio.to_thread(self._check, corpus, min_seq)
        while True:
            await self._wait(corpus, version, min_seq, left_s())
            found = await ask()
            if found.watermark >= min_seq:
                return found
            if version == found.index_version:  # it is held in several places, and one that lags has answered
                await self._pause(version, min_seq, left_s())
            version = found.index_version

    async def _wait(self, corpus: str, version: str, min_seq: int, left_s: float) -> None:
        try:
            async with asyncio.timeout(left_s - _spare_s(left_s)):
                await self._indexes.arrivals.wait(lambda: self._has(corpus, version, min_seq))
        except TimeoutError:
            raise _too_early(version, min_seq) from None

    async def _pause(self, version: str, min_seq: int, left_s: float) -> None:
        if left_s - _spare_s(left_s) < _ASK_AGAIN_S:
            raise _too_early(version, min_seq)
        await asyncio.sleep(_ASK_AGAIN_S)

    def _has(self, corpus: str, version: str, min_seq: int) -> bool:
        """Whether the version has applied the change; one that is held no longer is not waited for either."""
        resident = self._indexes.find(corpus)
        held = None if resident is None else resident.versions.get(version)
        return held is None or held.retriever.index.watermark >= min_seq

    def _check(self, corpus: str, min_seq: int) -> None:
        with self._database.read() as connection:
            newest = head(connection, corpus)
        if min_seq > newest:
            raise InvalidInput(
                f"min_seq is {min_seq}, and the newest change of corpus {corpus!r} is {newest}; send the seq that PUT "
                "or DELETE of a document in this corpus returned"
            )


def _spare_s(left_s: float) -> float:
    return min(_SPARE_S, left_s * _SPARE_SHARE)


def _too_early(version: str, min_seq: int) -> Unavailable:
    return Unavailable(
        f"index version {version} has not applied change {min_seq} yet; ask again shortly, or without min_seq for what "
        "is there now"
    )
