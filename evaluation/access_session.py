"""The report of an inspection of the audit: a page in the home, and the same, with the seal, in MLflow."""

from datetime import datetime
from pathlib import Path

from evaluation.access_report import Inspection, write_report
from evaluation.tracking import connect, kept_seals, log_access
from include.quarry.audit.odd_reads import odd_reads, read_window
from include.quarry.audit.seals import compare_kept, read_seals
from include.quarry.catalog.database import Database
from include.quarry.errors import NotFound
from include.quarry.settings import Settings


def report_access(
    since: datetime, until: datetime, settings: Settings, track: str | None
) -> tuple[Path, Inspection, str | None]:
    """Report the newest seal and the reads of `[since, until)`; gives the page, what was found, and MLflow's run id.

    `track` is MLflow's address, where earlier seals were kept and are held against the catalog's; None goes without.
    Raises `NotFound` when the audit was never sealed.
    """
    client = connect(track) if track is not None else None
    database = Database(settings.catalog_url)
    try:
        with database.read() as connection:
            seals, _ = read_seals(connection)
        if not seals:
            raise NotFound("the audit was never sealed; run the Dag audit_access")
        newest, known = seals[-1], {finding.key for finding in seals[-2].findings} if len(seals) > 1 else set()
        new = [finding for finding in newest.findings if finding.key not in known]
        if client is not None:
            new += compare_kept(seals, kept_seals(client))
        reads = read_window(database, since, until)
        odd = odd_reads(database, reads)
    finally:
        database.close()
    before = [finding for finding in newest.findings if finding.key in known]
    inspection = Inspection(since, until, newest, new, before, reads, odd)
    paths = write_report(settings.home.absolute() / "audit-reports" / f"{until:%Y%m%dT%H%M%S}", inspection)
    run_id = None if client is None else log_access(client, inspection, paths)
    return paths[0], inspection, run_id
