"""Refusals in numbers: whoever is sent away again and again fills no disk.

The first refusal of a kind is kept at once; those that follow within a while become one record that counts them. A
kill can lose such a count, never an answer.
"""

import time
from collections.abc import Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Lock

from include.quarry.audit.entry import AuditRecord
from include.quarry.audit.journal import Journal

_EVERY_S = 10.0


@dataclass(slots=True)
class _Repeated:
    first: AuditRecord
    until_s: float
    times: int = 0


class Refusals:
    """The refusals of one process. Threads may share it."""

    def __init__(self, journal: Journal, *, every_s: float = _EVERY_S) -> None:
        self._journal = journal
        self._every_s = every_s
        self._repeated: dict[Hashable, _Repeated] = {}
        self._lock = Lock()

    def keep(self, kind: Hashable, record: AuditRecord) -> None:
        """Keep a refusal, or count it. Raises `Unavailable` as the journal does."""
        with self._lock:
            known = self._repeated.get(kind)
            if known is not None:
                known.times += 1
                return
            self._repeated[kind] = _Repeated(record, time.monotonic() + self._every_s)
        self._journal.append(record)

    def write_counts(self, *, all_of_them: bool = False) -> None:
        """Keep the counts whose time is over."""
        now = time.monotonic()
        with self._lock:
            over = [kind for kind, repeated in self._repeated.items() if all_of_them or repeated.until_s <= now]
            counted = [self._repeated.pop(kind) for kind in over]
        for repeated in counted:
            if repeated.times:
                first = repeated.first
                facts = {**first.facts, "times": repeated.times, "since": first.at}
                self._journal.append(replace(first, at=datetime.now(UTC), query_id=None, facts=facts))
