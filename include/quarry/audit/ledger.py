"""The ledger of one serving process: what it did is kept before its answers leave, and shipped in the background."""

import logging
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from include.quarry.audit.entry import AuditRecord
from include.quarry.audit.journal import Journal
from include.quarry.audit.refusals import Refusals
from include.quarry.errors import Unavailable

logger = logging.getLogger(__name__)
_COUNTED = frozenset({401, 429})
"""Refusals that cost the caller nothing, so that there may be any number of them."""
_FIRST_DIGITS = 8


class Ships(Protocol):
    """Whatever brings a journal's entries into the catalog: a `Shipper`, here or in a process of its own."""

    def try_step(self) -> object:
        """Ship what there is, as often as one likes."""
        ...

    def waiting_bytes(self) -> int:
        """How much of the journal is not in the catalog yet."""
        ...

    def behind_s(self) -> float:
        """For how long, at most, entries have been waiting; 0 when none does."""
        ...

    def close(self) -> None:
        """Let go of the catalog."""
        ...


class Ledger:
    """Keeps records and content. `failures` counts what could not be kept."""

    def __init__(self, journal: Journal, shipper: Ships, *, required: bool = True, query_share: float = 1.0) -> None:
        """Without `required`, answers leave although their record cannot be kept. `query_share` of the queries, 0 to
        1, are kept with their content."""
        self.failures = 0
        self._journal = journal
        self._shipper = shipper
        self._refusals = Refusals(journal)
        self._required = required
        self._logged_below = int(query_share * 16**_FIRST_DIGITS)
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()

    def keep(self, record: AuditRecord, content: Mapping[str, Any] | None = None) -> None:
        """Keep what was done. Raises `Unavailable` when it cannot be and must: then the answer must not leave.

        Refusals leave in any case.
        """
        try:
            if record.status in _COUNTED:
                self._refusals.keep((record.status, record.tenant, record.subject), record)
            else:
                self._journal.append(record, content)
        except Unavailable as error:
            self.failures += 1
            logger.error("a record could not be kept: %s", error)
            if self._required and record.status < 400:
                raise

    def logs(self, query_id: str) -> bool:
        """Whether the content of this query is kept: the same for everybody who asks."""
        return int(query_id[:_FIRST_DIGITS], 16) < self._logged_below

    def start(self, interval_s: float) -> None:
        """Ship in a thread of its own, until `stop`."""
        self._thread = threading.Thread(target=self._run, args=(interval_s,), name="audit", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        """Whether what is kept is also shipped."""
        return self._thread is not None and self._thread.is_alive()

    def stop(self) -> None:
        """Ship what there is and let go; what cannot be shipped now is adopted later."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self._shipper.close()
        self._journal.close()

    @property
    def written(self) -> int:
        """Records that this process has kept."""
        return self._journal.written

    def waiting_bytes(self) -> int:
        """How much is kept and not shipped."""
        return self._shipper.waiting_bytes()

    def behind_s(self) -> float:
        """For how long, at most, what is kept has been waiting to be shipped."""
        return self._shipper.behind_s()

    def _run(self, interval_s: float) -> None:
        ending = False
        while not ending:
            ending = self._stopped.wait(interval_s)
            self._count(all_of_them=ending)
            self._journal.look_after()
            self._shipper.try_step()

    def _count(self, *, all_of_them: bool) -> None:
        try:
            self._refusals.write_counts(all_of_them=all_of_them)
        except Unavailable as error:
            self.failures += 1
            logger.error("a count of refusals could not be kept: %s", error)
