"""Requests before background work, in a process that has both."""

import sys

_SWITCH_S = 0.0005


def favour_requests() -> None:
    """Have threads that compute give the interpreter back ten times sooner than is usual.

    Those that ship the audit, follow the log and report would otherwise keep each request waiting up to 5 ms for every
    time it has let go: to write its record, and to read from and write to its connection.
    """
    sys.setswitchinterval(_SWITCH_S)
