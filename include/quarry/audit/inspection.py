"""The daily inspection: ship what dead processes left, verify everything, seal it, end what retention has ended."""

from datetime import UTC, datetime, timedelta
from typing import Any

from include.quarry.audit.opening import audit_folder
from include.quarry.audit.sealing import seal
from include.quarry.audit.shipping import adopt
from include.quarry.audit.sinks import SINKS
from include.quarry.audit.verification import verify
from include.quarry.catalog.database import Database
from include.quarry.settings import Settings


def inspect(settings: Settings) -> dict[str, Any]:
    """Gives the number and hash of the new seal, and what does not fit; `new` are the findings since the seal before.

    Findings do not raise: they are sealed, so that the report of this seal can say them.
    """
    database = Database(settings.catalog_url)
    try:
        adopt(audit_folder(settings), database, SINKS)
        verified = verify(database)
        now = datetime.now(UTC)
        keep = timedelta(seconds=settings.audit_retention_s)
        made = seal(database, verified, now=now, keep_since=now - keep if keep else None)
        known = {finding.key for finding in verified.seals[-1].findings} if verified.seals else set()
        return {
            "seal": made.number,
            "hash": made.hash,
            "records": made.records,
            "findings": [finding.text for finding in made.findings],
            "new": [finding.text for finding in made.findings if finding.key not in known],
        }
    finally:
        database.close()
