"""The whole audit held against itself: every chain record by record, every chain against the seals, the seals too.

What it cannot see: somebody who may write to the catalog and forges, hashes and all, the end of a chain whose process
is dead, before the next seal; or everything and all seals, where none is kept elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from include.quarry.audit.chain import START, ChainCheck, Finding, Point, left_over, read_chain
from include.quarry.audit.seals import Seal, compare_kept, read_seals, removed_points, sealed_points
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_chains, audit_records, audit_seals


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found. `heads` is how far each chain was checked, `seals` those there are."""

    findings: tuple[Finding, ...]
    records: int
    heads: Mapping[str, Point]
    removed: Mapping[str, Point]
    seals: tuple[Seal, ...]

    @property
    def intact(self) -> bool:
        """Whether everything fits."""
        return not self.findings


def verify(database: Database, kept_seals: Mapping[int, str] | None = None) -> Verification:
    """Check everything that is in the catalog now, and hashes of seals that were kept elsewhere, by number.

    A page at a time, so that a large audit is checked in little memory while more is shipped. What does not fit is
    looked at anew when somebody has sealed meanwhile, for then retention may have taken records from under this look.
    """
    while True:
        sealed, verified = _sealed(database), _look(database, kept_seals or {})
        if verified.intact or _sealed(database) == sealed:
            return verified


def _look(database: Database, kept_seals: Mapping[int, str]) -> Verification:
    with database.read() as connection:
        seals, findings = read_seals(connection)
        chains = {row.writer: Point(row.shipped, row.head) for row in connection.execute(sa.select(audit_chains))}
        newest = sa.select(audit_records.c.writer, sa.func.max(audit_records.c.number))
        ends = dict(connection.execute(newest.group_by(audit_records.c.writer)).tuples().all())
    findings += compare_kept(seals, kept_seals)
    sealed, removed = sealed_points(seals), removed_points(seals)
    heads, records = {}, 0
    for writer in sorted({*chains, *ends, *sealed}):
        start = removed.get(writer, START)
        left = {number: point for number, point in sealed.get(writer, {}).items() if number > start.number}
        if not left and writer not in chains and writer not in ends:  # retention has removed all of it
            continue
        findings += left_over(database, writer, start)
        check = ChainCheck(writer, start, left)
        for row in read_chain(database, writer, start, ends.get(writer, 0)):
            check.take(row)
            records += 1
        check.finish(chains.get(writer))
        findings += check.findings
        if check.reached != START:
            heads[writer] = check.reached
    return Verification(tuple(findings), records, heads, removed, tuple(seals))


def _sealed(database: Database) -> int:
    with database.read() as connection:
        return int(connection.scalar(sa.select(sa.func.max(audit_seals.c.number))) or 0)
