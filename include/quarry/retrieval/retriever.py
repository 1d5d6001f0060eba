"""The retriever: a question in, passages out, on whatever index version is live when the question arrives."""

import asyncio
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter, thread_time
from typing import Protocol

from include.quarry.errors import ForeignVectors, InvalidInput, Unavailable
from include.quarry.records import Float32, Hit, Scope, Vectors
from include.quarry.retrieval.index import Index
from include.quarry.specs import EmbeddingSpec
from include.quarry.stores.updates import check_k

# Handing a search to a thread and back cost 1.2 ms of processor time a request at 16 connections, where the search
# itself takes 1-3 ms at ten thousand chunks. At 5 ms the loop's other requests would begin to notice.
_SLOW_SEARCH_MS = 5.0
_MEMORY = 0.1


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
    index: Index

    def __post_init__(self) -> None:
        expected = self.index.spec.embedding.fingerprint
        if self.encoder.spec.fingerprint != expected:
            raise ForeignVectors(
                f"the query encoder of space {self.encoder.spec.fingerprint!r} cannot serve index version "
                f"{self.index.version}, whose space is {expected!r}; pair it with an encoder of its own spec"
            )


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Hits, best first, with the index version that gave them and how long each step took."""

    hits: list[Hit]
    index_version: str
    watermark: int
    timings_ms: dict[str, float]


class Retriever:
    """Answers queries on the pair it holds. `serve` swaps the pair; a running query finishes on the one it began with.

    A search that costs less than a hand-over is worth runs on the event loop; once searches are slow on average, they
    go to threads, since a loop that serves many must not wait for one large index.
    """

    def __init__(self, serving: Serving | None = None, *, threads: int = 1) -> None:
        self._serving = serving
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._search_ms = 0.0

    @property
    def serving(self) -> Serving | None:
        """The pair that new queries meet."""
        return self._serving

    def serve(self, serving: Serving) -> None:
        """Make this pair the one that new queries meet."""
        self._serving = serving

    async def retrieve(self, query: str, *, top_k: int, scope: Scope) -> Retrieval:
        """The `top_k` best passages in the scope. Raises `InvalidInput`, or `Unavailable` before the first `serve`."""
        serving = self._serving
        if serving is None:
            raise Unavailable("no index version is loaded yet; it follows once one is live")
        if not query.strip():
            raise InvalidInput("the query is empty; ask something")
        check_k(top_k)
        began = perf_counter()
        vector = await serving.encoder.encode(query)
        encoded = perf_counter()
        watermark = serving.index.watermark
        vectors = Vectors(serving.encoder.spec.fingerprint, vector.reshape(1, -1))
        if self._search_ms < _SLOW_SEARCH_MS:
            hits = self._search(serving.index, query, vectors, top_k, scope)
        else:
            loop = asyncio.get_running_loop()
            hits = await loop.run_in_executor(self._threads, self._search, serving.index, query, vectors, top_k, scope)
        done = perf_counter()
        seconds = {"encode": encoded - began, "search": done - encoded, "total": done - began}
        timings_ms = {name: round(value * 1000, 3) for name, value in seconds.items()}
        return Retrieval(hits, serving.index.version, watermark, timings_ms)

    def _search(self, index: Index, query: str, vectors: Vectors, top_k: int, scope: Scope) -> list[Hit]:
        """Searches, and remembers what searches cost of late: processor time, which a busy machine does not inflate."""
        began = thread_time()
        hits = index.search(query, vectors, top_k, scope)
        self._search_ms += _MEMORY * ((thread_time() - began) * 1000 - self._search_ms)
        return hits

    def close(self) -> None:
        """Ends the search threads; running searches finish first."""
        self._threads.shutdown()
