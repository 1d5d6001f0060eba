"""Encodes the queries of concurrent requests together, without making a lone query wait for company."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

from include.quarry.embedding.protocol import Embedder
from include.quarry.errors import Unavailable
from include.quarry.records import Float32, Vectors
from include.quarry.specs import EmbeddingSpec

_Waiters = dict[str, list[asyncio.Future[Float32]]]


class MicroBatcher:
    """Batches by load, not by a timer: what arrives while the engine is busy is the next batch.

    The engine runs on one thread of the batcher's own, so the event loop never blocks. Equal texts of a batch are
    encoded once. Belongs to the event loop that first calls `encode`.
    """

    def __init__(self, embedder: Embedder, *, max_batch: int = 16) -> None:
        self._embedder = embedder
        self._max_batch = max_batch
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._waiting: _Waiters = {}
        self._running: Future[Vectors] | None = None
        self._scheduled = False
        self._closed = False

    @property
    def spec(self) -> EmbeddingSpec:
        """The space of the vectors."""
        return self._embedder.spec

    async def encode(self, text: str) -> Float32:
        """The vector of one text, float32 `[d]`, possibly shared with other callers: do not write into it.

        Raises what the engine raises, and `Unavailable` once the batcher is closed.
        """
        if self._closed:
            raise Unavailable("the query encoder is shutting down; ask again")
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Float32] = loop.create_future()
        self._waiting.setdefault(text, []).append(waiter)
        self._schedule(loop)
        return await waiter

    async def close(self) -> None:
        """Let the running batch finish; whoever still waits for another gets `Unavailable`."""
        self._closed = True
        waiting, self._waiting = self._waiting, {}
        _fail(waiting, Unavailable("the query encoder is shutting down; ask again"))
        await asyncio.to_thread(self._worker.shutdown)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a batch once this turn of the loop is over, so that all requests of the turn are in it."""
        if self._waiting and self._running is None and not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._start, loop)

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scheduled = False
        batch: _Waiters = {}
        while self._waiting and len(batch) < self._max_batch:
            text = next(iter(self._waiting))
            waiters = self._waiting.pop(text)
            if any(not waiter.cancelled() for waiter in waiters):
                batch[text] = waiters
        if batch:
            self._running = self._worker.submit(self._embedder.encode, list(batch))
            self._running.add_done_callback(lambda done: loop.call_soon_threadsafe(self._deliver, loop, batch, done))

    def _deliver(self, loop: asyncio.AbstractEventLoop, batch: _Waiters, done: Future[Vectors]) -> None:
        self._running = None
        if (error := done.exception()) is not None:
            _fail(batch, error)
        else:
            for waiters, vector in zip(batch.values(), done.result().values, strict=True):
                for waiter in waiters:
                    if not waiter.done():
                        waiter.set_result(vector)
        self._schedule(loop)


def _fail(batch: _Waiters, error: BaseException) -> None:
    for waiters in batch.values():
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)
