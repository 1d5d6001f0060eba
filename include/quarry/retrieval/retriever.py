"""The retriever: a question in, passages out of one index version."""

import asyncio
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Protocol

import numpy as np

from include.quarry.errors import ForeignVectors, InvalidInput
from include.quarry.records import Float32, Hit, Scope, Vectors
from include.quarry.retrieval.protocol import Found, SearchIndex
from include.quarry.specs import EmbeddingSpec
from include.quarry.stores.updates import check_k

# Handing a search to a thread and back cost 1.2 ms of processor time a request at 16 connections, where the search
# itself takes 1-3 ms at ten thousand chunks. At 5 ms the loop's other requests would begin to notice.
_SLOW_SEARCH_MS = 5.0
_MEMORY = 0.1
_WAITING = 8


class QueryEncoder(Protocol):
    """Encodes one query; concurrent calls may share a batch. `embedding.micro_batch.MicroBatcher` is one."""

    @property
    def spec(self) -> EmbeddingSpec:
        """The space of the vectors."""
        ...

    def encode(self, text: str) -> Awaitable[Float32]:
        """Vector `[d]` of length one."""
        ...


@dataclass(frozen=True, slots=True)
class Serving:
    """A query encoder and an index of one vector space, which travel together. Else `ForeignVectors`."""

    encoder: QueryEncoder
    index: SearchIndex

    def __post_init__(self) -> None:
        expected = self.index.spec.embedding.fingerprint
        if self.encoder.spec.fingerprint != expected:
            raise ForeignVectors(
                f"the query encoder of space {self.encoder.spec.fingerprint!r} cannot serve index version "
                f"{self.index.version}, whose space is {expected!r}; pair it with an encoder of its own spec"
            )


_Key = tuple[int, str, frozenset[tuple[str, str]]]


@dataclass(slots=True)
class _Batch:
    """Queries that are searched together, and the task that does it."""

    queries: list[str]
    vectors: list[Float32]
    found: asyncio.Task[Found] | None = None


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Hits, best first, with the index version that gave them and how long each step took.

    `shards_missing` are the shards that could not be asked: then better hits may be missing. `cache` says what a cache
    had to do with it, in the words of the header Cache-Status (RFC 9211); it is empty where there is none.
    """

    hits: Sequence[Hit]
    index_version: str
    watermark: int
    timings_ms: dict[str, float]
    shards_missing: tuple[int, ...] = ()
    cache: str = ""


class Retriever:
    """Answers queries on one pair of encoder and index, which never changes.

    A search that costs less than a hand-over is worth runs on the event loop; once searches are slow on average, they
    go to threads, since a loop that serves many must not wait for one large index. Those of an index that waits for a
    server always do, several at once.
    """

    def __init__(self, serving: Serving, *, threads: int = 1) -> None:
        self._serving = serving
        threads = max(threads, _WAITING) if serving.index.waits else threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._search_ms = 0.0
        self._batches: dict[_Key, _Batch] = {}

    @property
    def index(self) -> SearchIndex:
        """The index that answers."""
        return self._serving.index

    async def retrieve(self, query: str, *, top_k: int, scope: Scope) -> Retrieval:
        """The `top_k` best passages in the scope. Raises `InvalidInput`."""
        serving = self._serving
        if not query.strip():
            raise InvalidInput("the query is empty; ask something")
        check_k(top_k)
        began = perf_counter()
        vector = await serving.encoder.encode(query)
        encoded = perf_counter()
        hits, watermark, missing = await self._search(query, vector, top_k, scope)
        done = perf_counter()
        seconds = {"encode": encoded - began, "search": done - encoded, "total": done - began}
        timings_ms = {name: round(value * 1000, 3) for name, value in seconds.items()}
        return Retrieval(hits, serving.index.version, watermark, timings_ms, missing)

    async def _search(
        self, query: str, vector: Float32, top_k: int, scope: Scope
    ) -> tuple[list[Hit], int, tuple[int, ...]]:
        """Joins the queries of this turn of the loop that ask the same of the same index, and searches with them."""
        key = top_k, scope.tenant, frozenset(scope.filters.items())
        batch = self._batches.get(key)
        if batch is None:
            batch = self._batches[key] = _Batch([], [])
            batch.found = asyncio.create_task(self._search_all(key, batch, top_k, scope))
        place = len(batch.queries)
        batch.queries.append(query)
        batch.vectors.append(vector)
        assert batch.found is not None  # noqa: S101 - set above
        found = await asyncio.shield(batch.found)  # a caller that is cancelled leaves the others theirs
        return found.hits[place], found.watermark, found.missing

    async def _search_all(self, key: _Key, batch: _Batch, top_k: int, scope: Scope) -> Found:
        """Begins in the next turn of the loop, which closes the batch."""
        del self._batches[key]
        vectors = Vectors(self._serving.encoder.spec.fingerprint, np.stack(batch.vectors))

        def search() -> Found:
            began = thread_time()  # processor time, which a busy machine does not inflate
            found = self._serving.index.find(batch.queries, vectors, top_k, scope)
            spent_ms = (thread_time() - began) * 1000 / len(found.hits)
            self._search_ms += _MEMORY * (spent_ms - self._search_ms)
            return found

        if not self._serving.index.waits and self._search_ms < _SLOW_SEARCH_MS:
            return search()
        return await asyncio.get_running_loop().run_in_executor(self._threads, search)

    def close(self) -> None:
        """Ends the search threads; running searches finish."""
        self._threads.shutdown(wait=False)
