"""The audit's table in the catalog: where the entries of all journals end up, and where they are looked up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from include.quarry.audit.entry import Entry
from include.quarry.catalog.database import insert_missing
from include.quarry.catalog.request_schema import audit_chains, audit_records

COLUMNS = ("tenant", "subject", "action", "status", "query_id")
"""Fields of a body that columns repeat, besides the time."""


def store_records(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    """Append entries of one writer, in their order. Those that are there already are left out."""
    writer = entries[0].writer
    known = sa.select(audit_chains.c.shipped).where(audit_chains.c.writer == writer)
    shipped = connection.scalar(known)
    new = [entry for entry in entries if entry.number > (shipped or 0)]
    if not new:
        return
    insert_missing(connection, audit_records, [_row(entry) for entry in new])
    head = {"shipped": new[-1].number, "head": new[-1].hash}
    if shipped is None:
        connection.execute(sa.insert(audit_chains).values(writer=writer, **head))
    else:
        connection.execute(sa.update(audit_chains).where(audit_chains.c.writer == writer).values(**head))


def column_of(value: object) -> object:
    """What a column holds of a field: PostgreSQL has no text with a NUL, which JSON writes as `\\u0000`."""
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _row(entry: Entry) -> dict[str, Any]:
    fields = entry.fields
    return {
        "writer": entry.writer,
        "number": entry.number,
        "at": datetime.fromisoformat(fields["at"]),
        **{name: column_of(fields.get(name)) for name in COLUMNS},
        "body": entry.body,
        "hash": entry.hash,
    }
