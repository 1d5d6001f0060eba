"""The audit as the settings say it."""

from pathlib import Path

from include.quarry.audit.journal import Journal
from include.quarry.audit.ledger import Ledger
from include.quarry.audit.shipping import Shipper
from include.quarry.audit.trail import store_records
from include.quarry.catalog.database import Database
from include.quarry.feedback.query_log import store_queries
from include.quarry.limits.accounting import count_usage
from include.quarry.settings import Settings

SINKS = (count_usage, store_records, store_queries)
"""Where the entries of journals end up: the usage of tenants, the audit, and the query log."""


def open_ledger(settings: Settings, name: str) -> Ledger:
    """Where this process keeps what it did, being shipped; its records' writer begins with the name."""
    journal = Journal(audit_folder(settings), name, sync=settings.audit_sync)
    shipper = Shipper(journal, Database(settings.catalog_url), SINKS)
    ledger = Ledger(journal, shipper, required=settings.audit_required, query_share=settings.query_log_share)
    ledger.start(settings.audit_ship_interval_s)
    return ledger


def audit_folder(settings: Settings) -> Path:
    """Where the journals of an installation are."""
    return settings.home.absolute() / "audit"
