"""The query log: what was asked and what came of it, kept for feedback and for learning from it.

Content, unlike the audit: a setting says what share of the queries is kept, another for how long.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from include.quarry.audit.entry import Entry
from include.quarry.catalog.database import insert_missing
from include.quarry.catalog.request_schema import queries, ratings

_OF_THE_RECORD = (
    *("query_id", "corpus", "tenant", "subject", "index_version"),
    *("tier", "grounded", "usage", "cost", "release"),
)
_RATED_TIMES = 4
_NEEDED = {"kind", "query", "hits"}


def store_queries(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    """Keep the content of entries that have any. The query log's side of a journal; see `audit.shipping.Sink`."""
    kept = [(entry.fields, entry.content) for entry in entries if entry.content and entry.content.keys() >= _NEEDED]
    insert_missing(connection, queries, [_row(record, content) for record, content in kept])


def forget_queries(connection: sa.Connection, retention_s: float) -> int:
    """Drop what was asked longer ago than its retention, and the ratings with it; gives how many queries that were.

    A rated query is kept longer, since ranking is to learn from it.
    """
    now, q = datetime.now(UTC), queries.c
    is_rated = sa.exists().where(ratings.c.query_id == q.query_id)
    old = sa.and_(q.asked_at < now - timedelta(seconds=retention_s), ~is_rated)
    since = now - timedelta(seconds=_RATED_TIMES * retention_s)
    older = q.asked_at < since
    of_older = ratings.c.query_id.in_(sa.select(q.query_id).where(older))
    connection.execute(sa.delete(ratings).where(sa.or_(of_older, ratings.c.rated_at < since)))
    return connection.execute(sa.delete(queries).where(sa.or_(old, older))).rowcount


def _row(record: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: record.get(name) for name in _OF_THE_RECORD},
        "asked_at": datetime.fromisoformat(record["at"]),
        "kind": content["kind"],
        "query": content["query"],
        "hits": content["hits"],
        "answer": content.get("answer"),
    }
