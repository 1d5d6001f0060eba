"""The audit as the settings say it."""

from pathlib import Path

from include.quarry.audit.journal import Journal
from include.quarry.audit.ledger import Ledger
from include.quarry.audit.shipping_process import ShippingProcess
from include.quarry.settings import Settings


def open_ledger(settings: Settings, name: str) -> Ledger:
    """Where this process keeps what it did, being shipped; its records' writer begins with the name."""
    journal = Journal(audit_folder(settings), name, sync=settings.audit_sync)
    shipper = ShippingProcess(journal.origin, settings.catalog_url)
    ledger = Ledger(journal, shipper, required=settings.audit_required, query_share=settings.query_log_share)
    ledger.start(settings.audit_ship_interval_s)
    return ledger


def audit_folder(settings: Settings) -> Path:
    """Where the journals of an installation are."""
    return settings.home.absolute() / "audit"
