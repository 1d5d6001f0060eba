"""Waiting for an index to come so far, without asking it again and again."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Lock


class Arrivals:
    """Who waits for what. The thread that follows the log tells when something was applied; event loops wait."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self._lock = Lock()

    async def wait(self, arrived: Callable[[], bool]) -> None:
        """Return once `arrived` is true, which the other thread asks too: it must be quick, and must not raise."""
        if arrived():
            return
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting[future] = arrived
        try:
            if not arrived():  # it may have come before it was waited for
                await future
        finally:
            with self._lock:
                self._waiting.pop(future, None)

    def tell(self) -> None:
        """Something was applied: wake those whose wait is over."""
        with self._lock:
            over = [future for future, arrived in self._waiting.items() if arrived()]
            for future in over:
                del self._waiting[future]
        for future in over:
            with suppress(RuntimeError):  # the loop has ended, and with it whoever waited
                future.get_loop().call_soon_threadsafe(_wake, future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
