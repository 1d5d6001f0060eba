"""`python -m include.quarry audit …`: what each verb does and prints."""

import argparse

from include.quarry.audit.export import export_parquet
from include.quarry.audit.lookup import Wanted
from include.quarry.audit.opening import audit_folder
from include.quarry.audit.shipping import adopt
from include.quarry.audit.sinks import SINKS
from include.quarry.audit.verification import Verification, verify
from include.quarry.catalog.database import Database
from include.quarry.errors import InvalidInput
from include.quarry.settings import Settings


def run(options: argparse.Namespace, settings: Settings) -> bool:
    """Do what was asked for and print the outcome; false when the audit does not fit together."""
    database = Database(settings.catalog_url)
    try:
        adopt(audit_folder(settings), database, SINKS)
        if options.verb == "verify":
            verified = verify(database, dict(options.seal))
            print("\n".join(lines_of(verified)))
            return verified.intact
        _export(options, database)
        return True
    finally:
        database.close()


def lines_of(verified: Verification) -> list[str]:
    """What was found, in words."""
    seals = f"{len(verified.seals)} seals"
    if verified.seals:
        seals += (
            f", the newest {verified.seals[-1].number}:{verified.seals[-1].hash} of {verified.seals[-1].at:%Y-%m-%d}"
        )
    counted = f"{verified.records} records in {len(verified.heads)} chains, {seals}"
    if verified.intact:
        return [f"intact: {counted}"]
    return [f"BROKEN: {counted}", *(f"  {finding.kind}: {finding.text}" for finding in verified.findings)]


def _export(options: argparse.Namespace, database: Database) -> None:
    wanted = Wanted(tenant=options.tenant, subject=options.subject, since=options.since, until=options.until)
    try:
        count = export_parquet(database, wanted, options.out)
    except OSError as error:
        raise InvalidInput(f"{options.out} cannot be written ({error.strerror or error}); name another file") from error
    print(f"{count} records in {options.out}")
