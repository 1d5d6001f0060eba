"""The quarantine: documents that could not be read, with the reason, until a readable version arrives."""

from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from include.quarry.catalog.schema import quarantine
from include.quarry.records import DocumentKey


@dataclass(frozen=True, slots=True)
class QuarantinedDocument:
    """A document that was set aside. An earlier, readable version of it stays searchable."""

    key: DocumentKey
    uri: str
    reason: str
    quarantined_at: datetime


def set_aside(connection: sa.Connection, key: DocumentKey, uri: str, feed: str, reason: str) -> None:
    """Record that a document could not be read; the newest reason replaces an older one."""
    columns = quarantine.c
    matches = sa.and_(columns.corpus == key.corpus, columns.tenant == key.tenant, columns.doc_id == key.doc_id)
    connection.execute(sa.delete(quarantine).where(matches))
    values = {"uri": uri, "feed": feed, "reason": reason, "quarantined_at": datetime.now(UTC)}
    connection.execute(sa.insert(quarantine).values(**key._asdict(), **values))


def list_quarantine(
    connection: sa.Connection, corpus: str, tenant: str | None = None, *, limit: int = 100
) -> list[QuarantinedDocument]:
    """The documents set aside most recently, newest first: of one tenant, or of all for the operator."""
    columns = quarantine.c
    query = sa.select(quarantine).where(columns.corpus == corpus).order_by(columns.quarantined_at.desc()).limit(limit)
    if tenant is not None:
        query = query.where(columns.tenant == tenant)
    return [
        QuarantinedDocument(DocumentKey(row.corpus, row.tenant, row.doc_id), row.uri, row.reason, row.quarantined_at)
        for row in connection.execute(query)
    ]


def count_quarantine(connection: sa.Connection, corpus: str) -> int:
    """How many documents of the corpus are set aside."""
    query = sa.select(sa.func.count()).select_from(quarantine).where(quarantine.c.corpus == corpus)
    return int(connection.scalar(query) or 0)
