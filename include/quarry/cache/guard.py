"""A shared cache must never cost a request more than it may save: it gets little time, and is left alone when it fails.

A request waits for `PATIENCE_S` and goes on without it. What it asked is not called off: an answer that comes late is
dropped, and the connection is good for the next. After a few failures in a row the cache rests. When the rest is over
one request asks again, and the others once that one was answered; every further failure doubles the rest, up to a bound
within which a cache that came back is found again.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, TypeVar

from include.quarry.cache.counts import Counts
from include.quarry.cache.protocol import Cache
from include.quarry.errors import Unavailable

logger = logging.getLogger(__name__)
PATIENCE_S = 0.02
_FAILURES = 3
_REST_S = 0.5
_LONGEST_REST_S = 4.0
_AT_ONCE = 64
_Got = TypeVar("_Got")


class Guard:
    """A cache that may be down or slow, for those who must not notice. To be used on one event loop."""

    def __init__(
        self,
        cache: Cache,
        counts: Counts,
        *,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._cache = cache
        self._counts = counts
        self._patience_s = patience_s
        self._clock = clock
        self._failures = 0
        self._rest_s = 0.0
        self._rests_until = 0.0
        self._asking_again = False
        self._running: set[asyncio.Task[Any]] = set()

    async def get(self, key: str) -> bytes | None:
        """The value; None too when the cache is down, slow, or resting."""
        if self._may_not_ask():
            return None
        again = self._asking_again = self._failures >= _FAILURES
        task = self._start(self._cache.get(key))
        try:
            await asyncio.wait({task}, timeout=self._patience_s)
        finally:
            if again:
                self._asking_again = False
        if task.done():
            return self._outcome(task)
        self._failed(f"it took more than {self._patience_s * 1000:g} ms")
        return None

    def put_later(self, key: str, value: bytes) -> None:
        """Keep a value, without waiting for it. When much is under way already, it is not kept."""
        if not self._may_not_ask() and self._failures < _FAILURES:
            self._start(self._cache.put(key, value)).add_done_callback(self._outcome)

    async def close(self) -> None:
        """What is under way ends first."""
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._cache.close()

    def _may_not_ask(self) -> bool:
        failing = self._failures >= _FAILURES
        resting = failing and (self._asking_again or self._clock() < self._rests_until)
        self._counts.rests += resting
        return resting or len(self._running) >= _AT_ONCE

    def _start(self, question: Coroutine[Any, Any, _Got]) -> asyncio.Task[_Got]:
        task = asyncio.create_task(question)
        self._running.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever still waits for it looks; an answer that comes late is nobody's

    def _outcome(self, task: asyncio.Task[_Got]) -> _Got | None:
        if task.cancelled():
            return None
        error = task.exception()
        if isinstance(error, Unavailable):
            self._failed(str(error))
            return None
        if error is None and self._failures:
            if self._failures >= _FAILURES:
                logger.warning("the shared cache answers again")
            self._failures, self._rest_s = 0, 0.0
        return task.result()

    def _failed(self, reason: str) -> None:
        self._counts.failures += 1
        if self._clock() < self._rests_until:  # asked before the rest began
            return
        self._failures += 1
        if self._failures >= _FAILURES:
            self._rest_s = min(max(2 * self._rest_s, _REST_S), _LONGEST_REST_S)
            self._rests_until = self._clock() + self._rest_s
            logger.warning("the shared cache rests for %g s: %s", self._rest_s, reason)
