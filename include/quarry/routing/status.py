"""Where a corpus stands, read off the catalog."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.feed_activity import feed_activity
from include.quarry.catalog.indexing_work import read_work
from include.quarry.catalog.log import head
from include.quarry.catalog.quarantine import count_quarantine, list_quarantine
from include.quarry.catalog.routes import find_route
from include.quarry.catalog.schema import changes, chunks, documents
from include.quarry.catalog.versions import list_versions

_QUARANTINE_SHOWN = 20
_VERSIONS_SHOWN = 20


class Lag(NamedTuple):
    """How far an index is behind the log: changes not yet applied, and the age of the oldest of them."""

    changes: int
    seconds: float


def lag_of(database: Database, corpus: str, watermark: int) -> Lag:
    """The lag of an index of the corpus at a watermark."""
    with database.read() as connection:
        return _lag(connection, corpus, watermark)


def corpus_status(database: Database, corpus: str, tenant: str, watermark: int | None) -> dict[str, Any]:
    """The fields of `CorpusStatus`, with the quarantine of one tenant.

    `watermark` is what the answering replica reports; None when none answers.
    """
    with database.read() as connection:
        route = find_route(connection, corpus)
        lag = _lag(connection, corpus, watermark or 0)
        return {
            "corpus": corpus,
            "head": head(connection, corpus),
            "documents": _count(connection, documents, sa.and_(documents.c.corpus == corpus, ~documents.c.deleted)),
            "chunks": _count(connection, chunks, chunks.c.corpus == corpus),
            "live_version": None if route is None else route.live_version,
            "canary_version": None if route is None else route.canary_version,
            "watermark": watermark,
            "lag_changes": lag.changes,
            "lag_seconds": lag.seconds,
            "quarantined": count_quarantine(connection, corpus),
            "quarantine": [
                {"tenant": found.key.tenant, "doc_id": found.key.doc_id, "uri": found.uri, "reason": found.reason}
                for found in list_quarantine(connection, corpus, tenant, limit=_QUARANTINE_SHOWN)
            ],
            **read_work(connection, corpus),
            "feeds": feed_activity(connection, corpus, watermark or 0),
            "versions": [
                {
                    "version_id": version.version_id,
                    "state": version.state,
                    "spec": version.spec.fingerprint,
                    "watermark": version.watermark,
                    "chunks": version.chunk_count,
                    "created_at": version.created_at,
                }
                for version in list_versions(connection, corpus)[:_VERSIONS_SHOWN]
            ],
        }


def _lag(connection: sa.Connection, corpus: str, watermark: int) -> Lag:
    behind = sa.and_(changes.c.corpus == corpus, changes.c.seq > watermark)
    count, oldest = connection.execute(
        sa.select(sa.func.count(), sa.func.min(changes.c.accepted_at)).where(behind)
    ).one()
    return Lag(int(count), 0.0 if oldest is None else (datetime.now(UTC) - oldest).total_seconds())


def _count(connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> int:
    return int(connection.scalar(sa.select(sa.func.count()).select_from(table).where(where)) or 0)
