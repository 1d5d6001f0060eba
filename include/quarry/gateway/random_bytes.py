"""Random bytes of the system's own source, taken in one piece for many requests.

Each call of it lets go of the interpreter's lock, and a thread that computes meanwhile (one that ships the audit, say)
keeps it for milliseconds: three calls a request were most of what the slowest hits of the cache waited for.
"""

import os
from threading import Lock

_PIECE_BYTES = 4096
_turn = Lock()
_left = bytearray()
os.register_at_fork(after_in_child=_left.clear)


def random_bytes(count: int) -> bytes:
    """As `os.urandom`: nobody can guess them, and they are given out once. For at most 4096 at a time."""
    with _turn:
        if len(_left) < count:
            _left[:] = os.urandom(_PIECE_BYTES)
        taken = bytes(_left[-count:])
        del _left[-count:]
    return taken
