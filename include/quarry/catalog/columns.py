"""Columns that several tables have, and types of columns that mean the same on every database."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

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
    """Who a document is."""
    return [sa.Column(name, sa.String, nullable=False) for name in ("corpus", "tenant", "doc_id")]
