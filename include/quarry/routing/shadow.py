"""Comparing a candidate with the live version on live queries, off the response path.

What the candidate found is held against what the live version found for the same query: overlap@10, rank correlation
of the shared hits, and latency. Little work at once: a replica that is busy leaves comparisons out.

Queries that a cache answers count too, or the queries asked most would say nothing of a candidate: a few of them each
second are put to both versions, as if they had not been answered.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from threading import Event, Lock
from time import monotonic

import numpy as np

from include.quarry.catalog.database import Database
from include.quarry.catalog.observations import Observation, record_observation
from include.quarry.errors import NotFound, QuarryError
from include.quarry.records import Hit, Scope
from include.quarry.retrieval.retriever import Retrieval, Retriever
from include.quarry.routing.choice import is_shadowed
from include.quarry.routing.resident import Resident

logger = logging.getLogger(__name__)
Ask = Callable[[Retriever], Awaitable[Retrieval]]
"""Puts the query at hand to one version."""
_AT_ONCE = 2
_DEPTH = 10
_WRITE_EVERY_S = 1.0
_OBSERVE_EVERY_S = 0.1  # a trial wants some fifty queries; more would take from what the cache saves


class Comparisons:
    """What one replica sees of candidates, until it is written to the catalog."""

    def __init__(self, database: Database, *, patience_s: float) -> None:
        """A candidate that has not answered after `patience_s` has failed."""
        self._database = database
        self._patience_s = patience_s
        self._seen: dict[str, Observation] = {}
        self._lock = Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._observes_at = 0.0

    async def retrieve(
        self,
        resident: Resident,
        query: str,
        top_k: int,
        scope: Scope,
        pinned: str | None = None,
        *,
        within_s: float = math.inf,
    ) -> Retrieval:
        """The answer of the version that the route chooses. A canary that fails, or is silent for half the time that
        is left or for the patience, is covered for by the live version.

        `pinned` names a version that must answer instead; raises `NotFound` when it is not held.
        """

        def ask(retriever: Retriever) -> Awaitable[Retrieval]:
            return retriever.retrieve(query, top_k=top_k, scope=scope)

        if pinned is not None:
            return await ask(_held(resident, pinned))
        route, chosen = resident.route, resident.choose(scope.tenant, query)
        if chosen == route.canary_version:
            return await self._answer_by_canary(resident, chosen, ask, within_s / 2)
        found = await ask(resident.live)
        shadow = resident.retriever_of(route.shadow_version)
        if shadow is not None and is_shadowed(route, scope.tenant, query):
            self._later(self._ask_shadow(shadow, found, ask))
        return found

    def observe(self, resident: Resident, query: str, top_k: int, scope: Scope) -> None:
        """Put a query that is answered already to both versions, if the candidate had to do with it; off the response
        path, and not more than ten in a second."""
        route = resident.route
        if route.candidate is None or (now := monotonic()) < self._observes_at:
            return

        def ask(retriever: Retriever) -> Awaitable[Retrieval]:
            return retriever.retrieve(query, top_k=top_k, scope=scope)

        answers = resident.choose(scope.tenant, query) == route.canary_version
        candidate = resident.retriever_of(route.candidate)
        if candidate is not None and (answers or is_shadowed(route, scope.tenant, query)):
            self._observes_at = now + _OBSERVE_EVERY_S
            self._later(self._ask_both(resident.live, candidate, ask))

    def keep_writing(self) -> None:
        """Write every second, until the process ends; in a thread of its own, for the catalog may make it wait."""
        pause = Event()
        while not pause.wait(_WRITE_EVERY_S):
            try:
                self.write()
            except QuarryError as error:
                logger.warning("what was seen of candidates could not be written now: %s", error)

    def write(self) -> None:
        """Put what was seen since the last call into the catalog; from any thread. What fails is tried again."""
        with self._lock:
            seen, self._seen = self._seen, {}
        if not seen:
            return
        try:
            with self._database.write() as connection:
                for version_id, observation in seen.items():
                    record_observation(connection, version_id, observation)
        except QuarryError:
            for version_id, observation in seen.items():
                self._count(version_id, observation)
            raise

    async def _answer_by_canary(self, resident: Resident, canary: str, ask: Ask, within_s: float) -> Retrieval:
        try:
            async with asyncio.timeout(min(self._patience_s, within_s)) as timer:
                found = await ask(_held(resident, canary))
        except Exception as error:  # whatever a candidate does, the request is answered
            found = await ask(resident.live)  # an asker's own fault is raised here too, and is not the candidate's
            if not timer.expired() or (within_s >= self._patience_s and self._was_quick(found)):
                logger.warning("canary %s failed; the live version answered", canary, exc_info=error)
                self._count(canary, Observation(queries=1, failures=1))
            return found
        self._later(self._ask_live(resident.live, found, ask))
        return found

    def _was_quick(self, live: Retrieval) -> bool:
        """Whether the live version took much less than the patience; else the machine is busy, and a candidate that
        was silent is not to blame."""
        return live.timings_ms["total"] < self._patience_s * 1000 / 2

    async def _ask_shadow(self, shadow: Retriever, live: Retrieval, ask: Ask) -> None:
        try:
            async with asyncio.timeout(self._patience_s) as timer:
                found = await ask(shadow)
        except Exception:  # a candidate may fail in any way; that is what is being found out
            if not timer.expired() or self._was_quick(live):
                logger.exception("candidate %s failed", shadow.index.version)
                self._count(shadow.index.version, Observation(queries=1, failures=1))
            return
        self._count(found.index_version, compare(live, found))

    async def _ask_both(self, live: Retriever, candidate: Retriever, ask: Ask) -> None:
        await self._ask_shadow(candidate, await ask(live), ask)

    async def _ask_live(self, live: Retriever, found: Retrieval, ask: Ask) -> None:
        self._count(found.index_version, compare(await ask(live), found))

    def _later(self, comparison: Coroutine[None, None, None]) -> None:
        if len(self._running) >= _AT_ONCE:
            comparison.close()
            return
        task = asyncio.create_task(comparison)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _count(self, version_id: str, seen: Observation) -> None:
        with self._lock:
            self._seen.setdefault(version_id, Observation()).add(seen)


def compare(live: Retrieval, candidate: Retrieval) -> Observation:
    """One query, answered by both."""
    ours, theirs = _documents(live.hits), _documents(candidate.hits)
    return Observation(
        queries=1,
        overlap=overlap(ours, theirs),
        correlation=rank_correlation(ours, theirs),
        live_ms=[live.timings_ms["total"]],
        candidate_ms=[candidate.timings_ms["total"]],
    )


def overlap(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """Share of the shorter list that both hold; two empty lists agree."""
    shortest = min(len(ours), len(theirs))
    if not shortest:
        return float(len(ours) == len(theirs))
    return len(set(ours) & set(theirs)) / shortest


def rank_correlation(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """Spearman's rank correlation over what both lists hold; 1 for fewer than two shared, which have no order."""
    shared = [each for each in ours if each in set(theirs)]
    if len(shared) < 2:
        return 1.0
    ranks = np.argsort([theirs.index(each) for each in shared]).argsort()
    n = len(shared)
    distance = float(np.sum((np.arange(n) - ranks) ** 2))
    return 1.0 - 6.0 * distance / (n * (n * n - 1))


def _documents(hits: Sequence[Hit]) -> list[str]:
    """Documents, since two chunkers cut them differently; each at its best place."""
    return list(dict.fromkeys(hit.chunk.key.doc_id for hit in hits))[:_DEPTH]


def _held(resident: Resident, version_id: str) -> Retriever:
    retriever = resident.retriever_of(version_id)
    if retriever is None:
        raise NotFound(
            f"index version {version_id!r} is not held for corpus {resident.route.corpus!r}; "
            f"there are {sorted(resident.versions)}"
        )
    return retriever
