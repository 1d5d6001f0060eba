"""How the audit stands in one replica, as metrics on Ray's Prometheus endpoint."""

import logging
import threading
from datetime import UTC, datetime

from ray.util.metrics import Counter, Gauge

from include.quarry.audit.ledger import Ledger
from include.quarry.audit.seals import newest_seal
from include.quarry.catalog.database import Database
from include.quarry.errors import Unavailable

logger = logging.getLogger(__name__)
_REPORT_EVERY_S = 5.0
_LOOK_FOR_SEALS_EVERY = 12


class AuditMetrics:
    """Reports until the process ends. `of` says which journal; the seals are everybody's. A door without a ledger has
    nothing to report."""

    def __init__(self, of: str, ledger: Ledger | None, database: Database) -> None:
        self._tags = {"of": of}
        self._ledger = ledger
        self._database = database
        self._told = {"written": 0, "failures": 0}
        self._written = Counter("quarry_audit_records", "Records kept in journals", ("of",))
        self._failures = Counter("quarry_audit_failures", "Records that a journal could not keep", ("of",))
        self._waiting = Gauge("quarry_audit_waiting_bytes", "Kept in the journal, not yet in the catalog", ("of",))
        self._behind = Gauge("quarry_audit_behind_seconds", "How long records have waited to be shipped", ("of",))
        self._sealed = Gauge("quarry_audit_sealed_records", "Records that were checked before the newest seal")
        self._findings = Gauge("quarry_audit_findings", "What did not fit at the newest seal; must stay 0")
        self._seal_age = Gauge("quarry_audit_seal_age_seconds", "Age of the newest seal")
        threading.Thread(target=self._report_for_ever, name="audit-metrics", daemon=True).start()

    def report(self) -> None:
        """Tell what changed since the last time, and how far shipping is."""
        ledger = self._ledger
        if ledger is None:
            return
        now = {"written": ledger.written, "failures": ledger.failures}
        for name, counter in (("written", self._written), ("failures", self._failures)):
            if now[name] > self._told[name]:
                counter.inc(now[name] - self._told[name], self._tags)
        self._told = now
        self._waiting.set(ledger.waiting_bytes(), self._tags)
        self._behind.set(ledger.behind_s(), self._tags)

    def report_seal(self) -> None:
        """Tell of the newest seal, if there is one."""
        try:
            with self._database.read() as connection:
                seal = newest_seal(connection)
        except (Unavailable, ValueError) as error:
            logger.warning("the newest seal of the audit cannot be read now: %s", error)
            return
        if seal is not None:
            self._sealed.set(seal.records)
            self._findings.set(len(seal.findings))
            self._seal_age.set((datetime.now(UTC) - seal.at).total_seconds())

    def _report_for_ever(self) -> None:
        pause, times = threading.Event(), 0
        while not pause.wait(_REPORT_EVERY_S):
            self.report()
            if times % _LOOK_FOR_SEALS_EVERY == 0:
                self.report_seal()
            times += 1
