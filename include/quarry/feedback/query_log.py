"""The query log: what was asked and what came of it, kept for feedback and for learning from it.

Content, unlike the audit: a setting says what share of the queries is kept, another for how long.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from include.quarry.audit.entry import Entry
from include.quarry.catalog.database import insert_missing
from include.quarry.catalog.schema import queries

_OF_THE_RECORD = ("query_id", "corpus", "tenant", "subject", "index_version", "tier", "grounded", "usage", "cost")
_NEEDED = {"kind", "query", "hits"}


def store_queries(connection: sa.Connection, entries: Sequence[Entry]) -> None:
    """Keep the content of entries that have any. The query log's side of a journal; see `audit.shipping.Sink`."""
    kept = [(entry.fields, entry.content) for entry in entries if entry.content and entry.content.keys() >= _NEEDED]
    insert_missing(connection, queries, [_row(record, content) for record, content in kept])


def _row(record: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: record.get(name) for name in _OF_THE_RECORD},
        "asked_at": datetime.fromisoformat(record["at"]),
        "kind": content["kind"],
        "query": content["query"],
        "hits": content["hits"],
        "answer": content.get("answer"),
    }
