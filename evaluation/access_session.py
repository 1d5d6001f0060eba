"""The report of an inspection of the audit: a page in the home, and the same, with the seal, in MLflow."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from evaluation.access_report import Inspection, write_report
from evaluation.tracking import connect, kept_seals, log_access, reported_seal
from include.quarry.audit.chain import Finding
from include.quarry.audit.odd_reads import odd_reads, read_window
from include.quarry.audit.seals import Seal, compare_kept, read_seals
from include.quarry.catalog.database import Database
from include.quarry.errors import NotFound
from include.quarry.settings import Settings


def report_access(
    since: datetime, until: datetime, settings: Settings, track: str | None
) -> tuple[Path, Inspection, str | None]:
    """Report the newest seal and the reads of `[since, until)`; gives the page, what was found, and MLflow's run id.

    `track` is MLflow's address, where earlier seals were kept and are held against the catalog's; None goes without.
    What was found is new until a report of it has got there, however often the audit was sealed meanwhile. Raises
    `NotFound` when the audit was never sealed.
    """
    client = connect(track) if track is not None else None
    database = Database(settings.catalog_url)
    try:
        with database.read() as connection:
            seals, _ = read_seals(connection)
        if not seals:
            raise NotFound("the audit was never sealed; run the Dag audit_access")
        newest, told = seals[-1], _findings(seals[-2:-1])
        unreported = seals[-1:]
        if client is not None:
            reported = reported_seal(client, newest.number)
            told = _findings([seal for seal in seals if seal.number == reported])
            unreported = [seal for seal in seals if seal.number > reported]
        new = [finding for key, finding in _findings(unreported).items() if key not in told]
        if client is not None:
            new += compare_kept(seals, kept_seals(client))
        reads = read_window(database, since, until)
        odd = odd_reads(database, reads)
    finally:
        database.close()
    known = [finding for finding in newest.findings if finding.key in told]
    inspection = Inspection(since, until, newest, new, known, reads, odd)
    paths = write_report(settings.home.absolute() / "audit-reports" / f"{until:%Y%m%dT%H%M%S}", inspection)
    run_id = None if client is None else log_access(client, inspection, paths)
    return paths[0], inspection, run_id


def _findings(seals: Sequence[Seal]) -> dict[tuple[str, str], Finding]:
    """All that the seals hold, each once."""
    return {finding.key: finding for seal in seals for finding in seal.findings}
