"""The daily act on the audit: verify it, seal it, and then remove the records whose retention is over."""

from collections.abc import Iterator, Mapping
from datetime import datetime

import sqlalchemy as sa

from include.quarry.audit.chain import START, Point
from include.quarry.audit.entry import GENESIS
from include.quarry.audit.seals import Seal, append_seal, sealed_points
from include.quarry.audit.verification import Verification
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_chains, audit_records

_BATCH = 10_000


def seal(database: Database, verified: Verification, *, now: datetime, keep_since: datetime | None) -> Seal:
    """Seal what was verified, with what was found; gives the new seal.

    Records of before `keep_since`, if any is given, are removed after that: the seal holds how far.
    """
    last = verified.seals[-1] if verified.seals else None
    sealed = {writer: max(points) for writer, points in sealed_points(verified.seals).items()}
    heads = {writer: head for writer, head in verified.heads.items() if head.number > sealed.get(writer, 0)}
    with database.write(in_turn=False) as connection:
        removed = {} if keep_since is None else dict(_expired(connection, verified.heads, keep_since))
        made = append_seal(
            connection,
            Seal(
                number=last.number + 1 if last else 1,
                before=last.hash if last else GENESIS,
                at=now,
                records=verified.records,
                heads=heads,
                removed={writer: point for writer, point in removed.items() if point != verified.removed.get(writer)},
                findings=verified.findings,
            ),
        )
    cut_short = {writer: point for writer, point in verified.removed.items() if writer in verified.heads}
    for writer, point in {**cut_short, **made.removed}.items():
        _remove(database, writer, point)
    return made


def _expired(
    connection: sa.Connection, heads: Mapping[str, Point], keep_since: datetime
) -> Iterator[tuple[str, Point]]:
    """How far each chain is older than `keep_since`, up to the first record that is not."""
    r = audit_records.c
    for writer in connection.scalars(sa.select(r.writer).where(r.at < keep_since).distinct()).all():
        head = heads.get(writer, START)
        young = sa.select(sa.func.min(r.number)).where(r.writer == writer, r.at >= keep_since)
        first_kept = connection.scalar(young)
        last = head.number if first_kept is None else min(head.number, first_kept - 1)
        found = connection.scalar(sa.select(r.hash).where(r.writer == writer, r.number == last))
        if found is not None:
            yield writer, Point(last, found)


def _remove(database: Database, writer: str, point: Point) -> None:
    """Remove a chain up to a point, some records a transaction; the chain itself when that was all of it."""
    r, c = audit_records.c, audit_chains.c
    old = sa.select(r.number).where(r.writer == writer, r.number <= point.number).order_by(r.number)
    while True:
        with database.write(in_turn=False) as connection:
            numbers = connection.scalars(old.limit(_BATCH)).all()
            if not numbers:
                connection.execute(sa.delete(audit_chains).where(c.writer == writer, c.shipped == point.number))
                return
            connection.execute(sa.delete(audit_records).where(r.writer == writer, r.number <= numbers[-1]))
