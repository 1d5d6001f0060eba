"""What Prometheus sees of the audit: every record once, what could not be kept, what waits, and the newest seal."""

import errno
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.quarry.audit import journal as journal_module
from include.quarry.audit.entry import GENESIS
from include.quarry.audit.journal import Journal
from include.quarry.audit.ledger import Ledger
from include.quarry.audit.seals import Seal, append_seal
from include.quarry.audit.shipping import Shipper
from include.quarry.audit.trail import store_records
from include.quarry.catalog.database import Database, migrate
from include.quarry.errors import Unavailable
from ray_apps.gateway import audit_metrics
from ray_apps.gateway.audit_metrics import AuditMetrics
from tests.unit.audit.entries import record


class Metric:
    """A gauge or a counter, as Ray's are called."""

    def __init__(self, _name: str, _description: str, _tags: tuple[str, ...] = ()) -> None:
        self.values: Counter[str] = Counter()

    def set(self, value: float, tags: dict[str, str] | None = None) -> None:
        self.values[(tags or {"of": ""})["of"]] = value  # type: ignore[assignment]

    def inc(self, value: int, tags: dict[str, str]) -> None:
        self.values[tags["of"]] += value


def test_the_metrics_follow_the_ledger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(audit_metrics, "Gauge", Metric)
    monkeypatch.setattr(audit_metrics, "Counter", Metric)
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrate(url)
    database = Database(url)
    journal = Journal(tmp_path / "audit", "gateway")
    shipper = Shipper(journal.origin, database, [store_records])
    ledger = Ledger(journal, shipper)
    metrics = AuditMetrics("gateway", ledger, database)
    written, failures = metrics._written.values, metrics._failures.values
    waiting, behind = metrics._waiting.values, metrics._behind.values

    ledger.keep(record("q1"))
    ledger.keep(record("q2"))
    metrics.report()
    metrics.report()
    assert (written, failures) == ({"gateway": 2}, {})
    assert waiting["gateway"] == ledger.waiting_bytes() > 0
    assert behind["gateway"] > 0
    shipper.step()
    metrics.report()
    assert (waiting["gateway"], behind["gateway"], written["gateway"]) == (0, 0, 2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(journal_module.os, "write", full)
    with pytest.raises(Unavailable):
        ledger.keep(record("q3"))
    metrics.report()
    assert (written["gateway"], failures["gateway"]) == (2, 1)


def test_the_metrics_tell_of_the_newest_seal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(audit_metrics, "Gauge", Metric)
    monkeypatch.setattr(audit_metrics, "Counter", Metric)
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrate(url)
    metrics = AuditMetrics("gateway", None, Database(url))
    metrics.report()
    metrics.report_seal()
    assert (metrics._written.values, metrics._sealed.values) == ({}, {})
    for number in (1, 2):
        at = datetime.now(UTC) - timedelta(hours=2)
        with Database(url).write() as connection:
            append_seal(connection, Seal(number, GENESIS, at, 40 * number, {}, {}, ()))
    metrics.report_seal()
    assert (metrics._sealed.values[""], metrics._findings.values[""]) == (80, 0)
    assert metrics._seal_age.values[""] >= 7200
