"""What /v1/status says of streams: how far they are read, and how much of that is not searchable yet."""

from datetime import UTC, datetime, timedelta

import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.feed_activity import feed_activity
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.protocol import Batch, Garbled, Upserted
from include.quarry.records import STREAM_FEEDS, DocumentKey, RawDocument

TOPIC = f"{STREAM_FEEDS}kafka:quarry:documents"


def test_a_stream_shows_its_offsets_its_lag_since_the_source_changed_and_its_quarantine(database: Database) -> None:
    ingestor, hour_ago = Ingestor(database, make_chunker, 1000), datetime.now(UTC) - timedelta(hours=1)
    ingestor.upsert(RawDocument(DocumentKey("main", "red", "by-hand"), "x", b"Chalk.", "text/plain"), "http")
    changes = [
        Upserted(RawDocument(DocumentKey("main", "red", doc_id), "x", b"Granite.", "text/plain"), at)
        for doc_id, at in (("a", hour_ago), ("b", None))
    ]
    poison = Garbled(DocumentKey("main", "default", "documents/0/2"), "x", "not JSON", b"\xff")
    ingestor.accept(TOPIC, [Batch("documents/0", None, [*changes, poison], "3")])
    with database.read() as connection:
        (behind,) = feed_activity(connection, "main", 1)
        (level,) = feed_activity(connection, "main", 3)
        assert feed_activity(connection, "other", 0) == []
    assert (behind["feed"], behind["offsets"]) == (TOPIC, {"documents/0": "3"})
    assert (behind["lag_changes"], behind["quarantined"]) == (2, 1)
    assert behind["lag_seconds"] == pytest.approx(3600, abs=600)
    assert behind["changes_per_s"] == pytest.approx(2 / 60)
    assert (level["lag_changes"], level["lag_seconds"]) == (0, 0.0)
