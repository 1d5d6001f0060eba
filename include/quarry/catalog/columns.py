"""The columns that say who a document is, and types of columns that mean the same on every database."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from include.quarry.records import DocumentKey

BigSerial = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # only INTEGER counts by itself in SQLite


class UtcDateTime(sa.types.TypeDecorator[datetime]):
    """An aware UTC time on every database; SQLite forgets time zones, so they are taken off and put back here."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


def document_key_columns() -> list[sa.Column[Any]]:
    """New columns that say who a document is, for a table that is declared."""
    return [sa.Column(name, sa.String, nullable=False) for name in DocumentKey._fields]


def key_of(table: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    """The columns of a table that say who a document is, in the order of `DocumentKey`."""
    return [table.c[name] for name in DocumentKey._fields]


def same_document(left: sa.FromClause, right: sa.FromClause) -> sa.ColumnElement[bool]:
    """Whether a row of one table and a row of another are about one document."""
    return sa.and_(*(ours == theirs for ours, theirs in zip(key_of(left), key_of(right), strict=True)))
