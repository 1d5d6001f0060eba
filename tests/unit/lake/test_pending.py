"""Which texts wait: each once, of the asked window and kind of feed, and only while they have no vector."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import PreparedDocument, accept_upsert
from include.quarry.catalog.schema import documents
from include.quarry.lake.claims import claim
from include.quarry.lake.pending import PendingQuery, count_texts, pending_texts
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentKey, Passage, RawDocument, Vectors, hash_text

DAY = datetime(2026, 11, 1, tzinfo=UTC)
CHUNKER = "chunker"


@pytest.fixture
def three_days(database: Database) -> Database:
    """One document a day, at the first instant of each; all share a sentence."""
    for day in range(3):
        put(database, f"day-{day}", f"Text of day {day}.", "The same on every day.", at=DAY + timedelta(days=day))
    return database


def put(database: Database, doc_id: str, *texts: str, at: datetime, feed: str = "folder") -> int:
    """The change that it is."""
    key = DocumentKey("main", "default", doc_id)
    passages = [Passage(text, "", 0, len(text), len(text.split())) for text in texts]
    raw = RawDocument(key, "u", b"", "text/plain")
    with database.write() as connection:
        prepared = PreparedDocument(raw, doc_id, "", [], str(texts), {CHUNKER: passages})
        seq = accept_upsert(connection, prepared, feed).seq
        connection.execute(sa.update(documents).where(documents.c.seq == seq).values(accepted_at=at))
    return seq


def pending(database: Database, **options: object) -> list[str]:
    with database.read() as connection:
        return [text.text for text in pending_texts(connection, PendingQuery("main", CHUNKER, "space", **options))]


def test_a_text_of_many_documents_waits_once(three_days: Database) -> None:
    texts = pending(three_days)
    assert len(texts) == len(set(texts)) == 4


def test_a_window_takes_its_first_instant_and_leaves_its_last(three_days: Database) -> None:
    window = {"changed_from": DAY + timedelta(days=1), "changed_until": DAY + timedelta(days=2)}
    assert pending(three_days, **window) == ["Text of day 1.", "The same on every day."]


def test_a_document_belongs_to_the_day_of_its_newest_change(three_days: Database) -> None:
    put(three_days, "day-0", "Text of day 0, changed.", at=DAY + timedelta(days=2))
    assert pending(three_days, changed_until=DAY + timedelta(days=1)) == []
    assert "Text of day 0, changed." in pending(three_days, changed_from=DAY + timedelta(days=2))


def test_an_embedded_text_no_longer_waits(three_days: Database, tmp_path: object) -> None:
    lake = VectorLake(three_days, str(tmp_path))
    lake.put_inline([hash_text("The same on every day.")], Vectors("space", np.ones((1, 2), np.float32)))
    assert "The same on every day." not in pending(three_days)
    with three_days.read() as connection:
        assert count_texts(connection, "main", CHUNKER, "space") == (1, 4)


def test_texts_that_another_owner_has_claimed_fill_up_no_limit(three_days: Database) -> None:
    claim(three_days, "space", [hash_text("Text of day 0."), hash_text("Text of day 1.")], "backfill", 60)
    assert pending(three_days, claimant="me", limit=1) == ["The same on every day."]
    assert "Text of day 0." in pending(three_days, claimant="backfill")
    assert "Text of day 0." in pending(three_days)


def test_an_expired_claim_holds_nobody_off(three_days: Database) -> None:
    claim(three_days, "space", [hash_text("Text of day 0.")], "backfill", -1)
    assert "Text of day 0." in pending(three_days, claimant="me")


def test_a_claim_in_another_space_holds_nobody_off(three_days: Database) -> None:
    claim(three_days, "elsewhere", [hash_text("Text of day 0.")], "backfill", 60)
    assert "Text of day 0." in pending(three_days, claimant="me")


def test_what_users_send_and_streams_bring_can_be_asked_for_alone(three_days: Database) -> None:
    put(three_days, "upload", "Uploaded.", at=DAY, feed="http")
    put(three_days, "row", "Streamed.", at=DAY, feed="stream:postgres:slot:notes")
    put(three_days, "file", "Watched.", at=DAY, feed="folder:main:default:/watched")
    assert pending(three_days, fresh=True) == ["Uploaded.", "Streamed."]
    assert "Watched." in pending(three_days, fresh=True, streams=("folder:main:default:/watched",))
