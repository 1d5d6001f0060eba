"""Who is reading at this moment, so that a writer can wait for those who began before its last change."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Readers:
    """Nobody who reads ever waits. A writer waits for those who read already, and for none who come later."""

    def __init__(self) -> None:
        self._change = Condition()
        self._turn = 0
        self._reading: set[int] = set()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """To be entered before the first look at what a writer may change."""
        with self._change:
            self._turn += 1
            turn = self._turn
            self._reading.add(turn)
        try:
            yield
        finally:
            with self._change:
                self._reading.discard(turn)
                self._change.notify_all()

    def wait_for_earlier(self) -> None:
        """Returns when everybody who reads now is done."""
        with self._change:
            last = self._turn
            self._change.wait_for(lambda: min(self._reading, default=last + 1) > last)
