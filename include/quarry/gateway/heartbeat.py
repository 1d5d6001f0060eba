"""Signs of life in a stream of server-sent events."""

from collections.abc import AsyncGenerator

from include.quarry.generation.ahead import read_ahead

BEAT_S = 0.5
_COMMENT = ": waiting\n\n"


def beating(events: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """The events, and a comment, which clients skip, whenever none came for a moment.

    A proxy in front notices that a caller has left only when it writes to it: without these the generation would go on
    up to the next sentence.
    """
    return read_ahead(events, idle=lambda: _COMMENT, idle_s=BEAT_S)
