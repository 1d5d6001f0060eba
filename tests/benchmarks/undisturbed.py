"""Processor time that the host of a virtual machine gave to others: what is measured meanwhile is not the machine's."""

from collections.abc import Callable
from typing import TypeVar

import psutil

MOST_STOLEN = 0.02
MOST_STOLEN_OF_A_P99 = 0.005
"""A p99 is about one request of a hundred: at most half of those may be late because the host was."""
_TRIES = 8
_COUNTED = 8  # fields of the processor times; what guests of this machine take is part of what users take
Found = TypeVar("Found")


class Stolen:
    """The share of this machine's processor time that was taken from it since this was made; 0 where nobody tells."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()

    def share(self) -> float:
        """From 0 to 1."""
        before, now = self._before, psutil.cpu_times()
        passed = sum(now[:_COUNTED]) - sum(before[:_COUNTED])
        return (getattr(now, "steal", 0.0) - getattr(before, "steal", 0.0)) / passed if passed > 0 else 0.0


def undisturbed(measure: Callable[[], Found], most_stolen: float = MOST_STOLEN) -> Found:
    """What `measure` gives; it is called again while the host took a larger share meanwhile, some times."""
    for _ in range(_TRIES - 1):
        stolen = Stolen()
        found = measure()
        if (share := stolen.share()) <= most_stolen:
            return found
        print(f"  the host took {share:.1%} of the processors meanwhile: measured again", flush=True)
    return measure()
