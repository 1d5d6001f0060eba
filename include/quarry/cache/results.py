"""Retrieval that remembers: the hits of a query, served again for as long as a search would read the same.

What a search finds depends on the query, its scope and size, the index version that answers, and what this replica's
index of that version holds of the tenant at that moment. All of it is in the key, the last by the name of the tenant's
holding (see `retrieval/holdings.py`). So an update or a delete makes what was kept unreachable in the moment in which
this replica applies it, not before and not after, and the changes of one tenant touch the entries of no other. Version
and tenant are parts of the key too: canary and live never mix, nor do tenants.

An entry is kept only if the holding was the same, and had not moved, from before the query was encoded to after it was
searched; what was computed while an update was applied is served to who asked, and forgotten. Equal misses wait for one
computation only if they saw the same holding, moves included: what it read is then as fresh as what they would read.

What is not kept: answers of a version that a caller named (`index_version`), answers from which a shard is missing,
those of the live version in place of a canary that failed, and those of indexes whose holding has no name. These are
versions on Milvus or Pinecone, where a replica may for a moment see more or less than it has applied, and what it found
in that moment would last; and versions whose shards are held by other processes, each at its own place in the log.

One thing a kept answer does not follow: how rare a word is, BM25 counts over all tenants of a corpus. Their changes may
shift the order in which an answer made anew would show the same passages, and at the end of the list which ones. What
is kept lasts `QUARRY_CACHE_TTL_S` at most.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from itertools import chain
from time import perf_counter

from include.quarry.cache.counts import Counts
from include.quarry.cache.directive import Caching
from include.quarry.cache.flights import Flights
from include.quarry.cache.keys import key_of
from include.quarry.cache.layers import Layers
from include.quarry.errors import InvalidInput, QuarryError
from include.quarry.records import Scope
from include.quarry.retrieval.encoding import FORMAT, EncodedHits
from include.quarry.retrieval.protocol import Holding
from include.quarry.retrieval.retriever import Retrieval, Retriever
from include.quarry.routing.resident import Resident
from include.quarry.routing.shadow import Comparisons

logger = logging.getLogger(__name__)
_CHECK_EVERY = 256
_CHECK_DEPTH = 100


@dataclass(frozen=True, slots=True)
class _Moment:
    """A query, the version that answers it, and what that held when the query came."""

    query: str
    top_k: int
    scope: Scope
    resident: Resident
    version: str
    retriever: Retriever
    watermark: int
    holding: Holding
    key: str

    @property
    def has_passed(self) -> bool:
        """Whether the holding has moved since."""
        return self.retriever.index.holding(self.scope.tenant) != self.holding


class CachedRetrieval:
    """Answers queries to a corpus, out of the cache where that is right. To be used on one event loop."""

    def __init__(
        self, comparisons: Comparisons, layers: Layers, counts: Counts, *, check_every: int = _CHECK_EVERY
    ) -> None:
        """One hit of `check_every` is held against the index, off the response path; see `Counts.stale`."""
        self._comparisons = comparisons
        self._layers = layers
        self._counts = counts
        self._check_every = check_every
        self._flights = Flights[Retrieval]()
        self._checking: asyncio.Task[None] | None = None

    async def retrieve(
        self,
        resident: Resident,
        query: str,
        top_k: int,
        scope: Scope,
        pinned: str | None = None,
        *,
        caching: Caching = "use",
        within_s: float = math.inf,
    ) -> Retrieval:
        """See `Comparisons.retrieve`. The result says in `cache` what the cache had to do with it."""

        def compute() -> Awaitable[Retrieval]:
            return self._comparisons.retrieve(resident, query, top_k, scope, pinned, within_s=within_s)

        began = perf_counter()
        moment = None if pinned or caching == "avoid" else _moment(resident, query, top_k, scope)
        if moment is None:
            self._counts.skipped += 1
            return replace(await compute(), cache="fwd=request" if caching == "avoid" else "fwd=bypass")
        if caching == "use" and (hits := await self._kept(moment)) is not None:
            self._counts.hits += 1
            self._comparisons.observe(resident, query, top_k, scope)
            self._check_now_and_then(moment, hits)
            ms = round((perf_counter() - began) * 1000, 3)
            return Retrieval(hits, moment.version, moment.watermark, {"cache": ms, "total": ms}, cache="hit")
        self._counts.misses += 1
        landed = await self._flights.join((moment.key, moment.holding.moves), lambda: self._compute(moment, compute))
        self._counts.collapsed += not landed.first
        reason = "fwd=request" if caching == "renew" else "fwd=uri-miss"
        return replace(landed.value, cache=f"{reason}; {landed.value.cache if landed.first else 'collapsed'}")

    async def _kept(self, moment: _Moment) -> EncodedHits | None:
        value = await self._layers.get(moment.key)
        if value is None or moment.has_passed:
            return None
        try:
            return EncodedHits.from_bytes(value)
        except InvalidInput:
            return None

    async def _compute(self, moment: _Moment, compute: Callable[[], Awaitable[Retrieval]]) -> Retrieval:
        found = await compute()
        hits = EncodedHits.of(found.hits)
        if moment.has_passed or found.index_version != moment.version or found.shards_missing:
            self._counts.unstored += 1
            return replace(found, hits=hits, cache="stored=?0")
        self._counts.stored += 1
        self._layers.keep(moment.key, hits.to_bytes())
        return replace(found, hits=hits, cache="stored")

    def _check_now_and_then(self, moment: _Moment, hits: EncodedHits) -> None:
        if self._checking is None and self._counts.hits % self._check_every == 0 and hits:
            self._checking = asyncio.create_task(self._check(moment, hits))
            self._checking.add_done_callback(self._checked)

    def _checked(self, _task: "asyncio.Task[None]") -> None:
        self._checking = None

    async def _check(self, moment: _Moment, hits: EncodedHits) -> None:
        """Ask the index for the document of the best hit: it must show the passage as the cache did."""
        shown = hits[0].chunk
        of_document = Scope(moment.scope.tenant, {**moment.scope.filters, "doc_id": shown.key.doc_id})
        try:
            found = await moment.retriever.retrieve(moment.query, top_k=_CHECK_DEPTH, scope=of_document)
        except QuarryError as error:
            logger.info("a kept answer could not be checked: %s", error)
            return
        if moment.has_passed or len(found.hits) == _CHECK_DEPTH:
            return
        self._counts.checked += 1
        if all(hit.chunk != shown for hit in found.hits):
            self._counts.stale += 1
            logger.error("a kept answer showed a passage that index version %s does not hold", moment.version)


def _moment(resident: Resident, query: str, top_k: int, scope: Scope) -> _Moment | None:
    """This moment; None when what is held has no name."""
    version = resident.choose(scope.tenant, query)
    retriever = resident.versions[version].retriever
    watermark = retriever.index.watermark  # before the holding, which is then at least as fresh
    holding = retriever.index.holding(scope.tenant)
    if holding is None:
        return None
    created_at = resident.versions[version].created_at  # of two catalogs on one cache, say, each may have this version
    key = key_of(
        f"retrieval/{FORMAT}",
        resident.route.corpus,
        version,
        created_at.isoformat(),
        scope.tenant,
        holding.name,
        query,
        str(top_k),
        *chain.from_iterable(sorted(scope.filters.items())),
    )
    return _Moment(query, top_k, scope, resident, version, retriever, watermark, holding, key)
