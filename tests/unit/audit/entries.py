"""Entries as a serving process would write them."""

from datetime import UTC, datetime
from typing import Any

from include.quarry.audit.entry import AuditRecord

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def record(query_id: str = "q1", *, at: datetime = START, **other: Any) -> AuditRecord:
    fields: dict[str, Any] = {"action": "POST /v1/retrieve", "status": 200, "tenant": "red", "subject": "ann"}
    facts = {
        "corpus": "main",
        "index_version": "v1",
        "watermark": 7,
        "chunks": [f"{query_id}-c1", f"{query_id}-c2"],
        "documents": ["a", "b"],
    }
    facts |= other.pop("facts", {})
    return AuditRecord(at=at, query_id=query_id, **(fields | other), facts=facts)


def content(query: str) -> dict[str, Any]:
    return {"kind": "retrieve", "query": query, "hits": [["c1", "a", 0.5, {"dense": 1}]]}
