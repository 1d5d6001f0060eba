"""A worker whose node is about to go: it finishes the units it has in hand, takes no other, and ends.

Whoever takes the node away says so to Ray, and Ray drains the node: `ray start --block` does it when it is sent SIGTERM
(as a machine that is shut down or a pod that is deleted is), `ray drain-node` for notices of another kind. A process
that ends here, early, is started again by Ray on a node that stays; one that waits for its node's end would idle.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOOK_EVERY_S = 1.0


class Departure:
    """`is_due` says whether the node is going; `leave` ends the process, and does not return."""

    def __init__(self, is_due: Callable[[], bool], leave: Callable[[], None], every_s: float = _LOOK_EVERY_S) -> None:
        self._is_due = is_due
        self._leave = leave
        self._every_s = every_s
        self._in_hand = 0
        self._due = False
        self._changed = threading.Condition()

    def watch(self) -> None:
        """Look for the notice in a thread of its own."""
        threading.Thread(target=self._watch, name="departure", daemon=True).start()

    @contextmanager
    def unit(self) -> Iterator[None]:
        """One unit in hand. Once the notice is there this never begins: the unit goes to another worker."""
        with self._changed:
            self._changed.wait_for(lambda: not self._due)
            self._in_hand += 1
        try:
            yield
        finally:
            with self._changed:
                self._in_hand -= 1
                self._changed.notify_all()

    def _watch(self) -> None:
        pause = threading.Event()
        while not self._is_due():
            pause.wait(self._every_s)
        with self._changed:
            self._due = True
            self._changed.wait_for(lambda: self._in_hand == 0)
        self._leave()
