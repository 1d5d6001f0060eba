"""Which request is which: our own number of it, and the trace that it is a part of (W3C Trace Context, level 1)."""

import re

from include.quarry.gateway.random_bytes import random_bytes

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16


def new_query_id() -> str:
    """32 hex digits that nobody can guess: whoever knows them may rate the answer."""
    return random_bytes(16).hex()


def continue_trace(traceparent: bytes | None) -> str:
    """The traceparent of this request: a new span in the caller's trace, or in a new one where none valid came.

    Its flags stay as they came; a trace that begins here is not sampled, as nothing here records spans.
    """
    span = random_bytes(8).hex()
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    # Version 00 has exactly four parts; a later one may have more, which are not looked at (section 4.3).
    if found is None or found[1] == _NO_TRACE or found[2] == _NO_SPAN or (found[4] and traceparent.startswith(b"00")):  # type: ignore[union-attr]
        return f"00-{random_bytes(16).hex()}-{span}-00"
    return f"00-{found[1].decode()}-{span}-{found[3].decode()}"
