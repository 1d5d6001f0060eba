"""Looking records up: newest first for people, a page at a time; by writer and number for whoever exports them."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
import sqlalchemy as sa

from include.quarry.audit.entry import read_fields
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_records
from include.quarry.errors import InvalidInput

_BATCH = 5000
_ENVELOPE = ("writer", "number", "at", "tenant", "subject", "action", "status", "query_id")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records; None leaves a field open. `since` is included, `until` is not."""

    tenant: str | None = None
    subject: str | None = None
    query_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def restrict(self, query: sa.Select[Any]) -> sa.Select[Any]:
        """The query, for these records only."""
        r = audit_records.c
        for name in ("tenant", "subject", "query_id"):
            value = getattr(self, name)
            query = query if value is None else query.where(r[name] == value)
        query = query if self.since is None else query.where(r.at >= self.since)
        return query if self.until is None else query.where(r.at < self.until)


class AuditDesk:
    """What administrators ask of the audit. Its verbs block, so the routes call them on threads of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(self, wanted: Wanted, limit: int, cursor: str | None = None) -> tuple[list[dict[str, Any]], str | None]:
        """Up to `limit` records, newest first, and the cursor of the page after it, None at the end.

        Raises `InvalidInput` for a cursor that no page has given.
        """
        r = audit_records.c
        query = wanted.restrict(sa.select(audit_records))
        if cursor is not None:
            query = query.where(sa.tuple_(r.at, r.writer, r.number) < sa.tuple_(*_bound(*_read_cursor(cursor))))
        query = query.order_by(r.at.desc(), r.writer.desc(), r.number.desc()).limit(limit + 1)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        shown = rows[:limit]
        return [view(row) for row in shown], _cursor_of(shown[-1]) if len(rows) > limit else None


def view(row: sa.Row[Any]) -> dict[str, Any]:
    """A record as it is shown: the fields that all have, its hash, and in `facts` those of its action. The columns are
    what can be shown of one whose body somebody has spoiled."""
    facts = {name: value for name, value in read_fields(row.body).items() if name not in (*_ENVELOPE, "before")}
    return {name: getattr(row, name) for name in (*_ENVELOPE, "hash")} | {"facts": facts}


def read_all(database: Database, wanted: Wanted) -> Iterator[list[sa.Row[Any]]]:
    """All records in the order of their chains, in batches; a batch a transaction."""
    r = audit_records.c
    query = wanted.restrict(sa.select(audit_records)).order_by(r.writer, r.number).limit(_BATCH)
    after: tuple[str, int] | None = None
    while True:
        batch = query
        if after is not None:
            batch = query.where(sa.tuple_(r.writer, r.number) > sa.tuple_(sa.literal(after[0]), sa.literal(after[1])))
        with database.read() as connection:
            rows = list(connection.execute(batch).all())
        if rows:
            yield rows
        if len(rows) < _BATCH:
            return
        after = rows[-1].writer, rows[-1].number


def _bound(at: datetime, writer: str, number: int) -> tuple[sa.ColumnElement[Any], ...]:
    return sa.literal(at, audit_records.c.at.type), sa.literal(writer), sa.literal(number, sa.BigInteger)


def _cursor_of(row: sa.Row[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([row.at, row.writer, row.number])).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, str, int]:
    try:
        at, writer, number = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        found = datetime.fromisoformat(at).astimezone(UTC), str(writer), int(number)
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise InvalidInput(f"cursor {cursor[:40]!r} is none; send the `next` of the page before, or none") from None
    if "\0" in found[1] or not 0 <= found[2] < 2**63:
        raise InvalidInput(f"cursor {cursor[:40]!r} is none; send the `next` of the page before, or none")
    return found
