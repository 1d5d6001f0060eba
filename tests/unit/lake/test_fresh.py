"""The fresh tail: uploads at once, scheduled documents only after their grace."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import chunks, claims
from include.quarry.catalog.versions import create_version
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.protocol import Batch, Upserted
from include.quarry.lake.backfill import Unit, embed_unit
from include.quarry.lake.claims import claim
from include.quarry.lake.fresh import FreshTail
from include.quarry.lake.pending import PendingQuery, PendingText, pending_texts
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentKey, RawDocument, Vectors, hash_text
from include.quarry.specs import EmbeddingSpec, IndexSpec
from tests.unit.lake.test_pending import put

SPEC = IndexSpec(embedding=EmbeddingSpec(dimensions=2))
GRACE_S = 900.0


class Engine:
    """Remembers what it embedded."""

    spec = SPEC.embedding

    def __init__(self) -> None:
        self.texts: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.texts.extend(texts)
        return Vectors(self.spec.fingerprint, np.ones((len(texts), 2), np.float32))


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def fresh(database: Database, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FreshTail:
    monkeypatch.setattr("tests.unit.lake.test_pending.CHUNKER", SPEC.chunker.fingerprint)
    with database.write() as connection:
        create_version(connection, "v1", "main", SPEC)
    lake = VectorLake(database, str(tmp_path))
    return FreshTail(database, lake, lambda spec: engine, "me", bulk_grace_s=GRACE_S)


def wait_for_vectors(database: Database, folder: Path, count: int) -> None:
    """Until every chunk, of which there must be so many, has its vector."""
    with database.read() as connection:
        hashes = list(connection.scalars(sa.select(chunks.c.text_hash)))
    assert len(hashes) == count
    lake, deadline = VectorLake(database, str(folder)), time.monotonic() + 60
    while lake.missing(SPEC.embedding.fingerprint, hashes):
        assert time.monotonic() < deadline, "nobody embedded it"
        time.sleep(0.01)


def test_an_upload_is_embedded_at_once_and_only_once(fresh: FreshTail, database: Database, engine: Engine) -> None:
    put(database, "a", "Uploaded.", at=datetime.now(UTC), feed="http")
    assert [fresh.step(), fresh.step()] == [1, 0]
    assert engine.texts == ["Uploaded."]


def test_what_was_accepted_is_embedded_as_soon_as_it_is_told_of(
    fresh: FreshTail, database: Database, tmp_path: Path
) -> None:
    """Who looks by itself looks once an hour here."""
    ingestor = Ingestor(database, make_chunker, 1000, accepted=fresh.wake)
    thread = threading.Thread(target=fresh.run, args=(3600.0,))
    thread.start()
    try:
        ingestor.upsert(_upsert("a", "Uploaded and told of.").raw, "http")
        wait_for_vectors(database, tmp_path, 1)
        ingestor.accept("stream:kafka:quarry:notes", [Batch("notes/0", None, [_upsert("b", "Streamed.")], "1")])
        wait_for_vectors(database, tmp_path, 2)
    finally:
        fresh.stop()
        thread.join()


def test_what_a_scheduled_feed_brought_is_left_to_its_backfill(
    fresh: FreshTail, database: Database, engine: Engine
) -> None:
    put(database, "a", "From a folder.", at=datetime.now(UTC))
    assert fresh.step() == 0
    assert engine.texts == []


def test_a_scheduled_document_whose_backfill_never_came_is_embedded_after_the_grace(
    fresh: FreshTail, database: Database, engine: Engine
) -> None:
    put(database, "a", "From a folder.", at=datetime.now(UTC) - timedelta(seconds=GRACE_S + 1))
    assert fresh.step() == 1
    assert engine.texts == ["From a folder."]


def test_a_text_that_a_backfill_has_claimed_is_left_to_it(fresh: FreshTail, database: Database, engine: Engine) -> None:
    put(database, "a", "Uploaded.", at=datetime.now(UTC), feed="http")
    claim(database, SPEC.embedding.fingerprint, [hash_text("Uploaded.")], "backfill", 60)
    assert fresh.step() == 0
    assert engine.texts == []


def test_a_batch_of_long_texts_ends_within_a_lease(
    fresh: FreshTail, database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By tokens, not only by texts; one that is longer than a batch may be is alone in it."""
    monkeypatch.setattr("include.quarry.lake.fresh.BATCH_TOKENS", 6)
    texts = ["One two three.", "Four five six.", "Seven " * 12, "Eight nine."]
    for number, text in enumerate(texts):
        put(database, f"{number}", text, at=datetime.now(UTC), feed="http")
    assert [fresh.step() for _ in range(4)] == [2, 1, 1, 0]


def test_the_fresh_tail_works_on_past_what_a_backfill_has_claimed(
    fresh: FreshTail, database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many claimed texts as a batch holds must not hide the one behind them."""
    monkeypatch.setattr(fresh, "_batch_size", 2)
    for number in range(3):
        put(database, f"{number}", f"Text {number}.", at=datetime.now(UTC), feed="http")
    claim(database, SPEC.embedding.fingerprint, [hash_text("Text 0."), hash_text("Text 1.")], "backfill", 60)
    assert fresh.step() == 1
    assert engine.texts == ["Text 2."]


def test_the_fresh_tail_takes_over_from_a_backfill_that_died(
    fresh: FreshTail, database: Database, engine: Engine
) -> None:
    """Though it had found nothing to do, and nothing was accepted since."""
    put(database, "a", "Uploaded.", at=datetime.now(UTC), feed="http")
    claim(database, SPEC.embedding.fingerprint, [hash_text("Uploaded.")], "backfill", 60)
    assert fresh.step() == 0
    with database.write() as connection:
        connection.execute(sa.update(claims).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert fresh.step() == 1
    assert engine.texts == ["Uploaded."]


def test_a_backfill_leaves_alone_what_the_fresh_tail_is_embedding(
    database: Database, fresh: FreshTail, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backfill, receipts = Engine(), []
    unit = Unit("unit", [hash_text("Uploaded."), hash_text("Bulk.")], ["Uploaded.", "Bulk."])

    def encode_while_a_backfill_runs(texts: Sequence[str]) -> Vectors:
        receipts.append(embed_unit(unit, database, VectorLake(database, str(tmp_path)), backfill, "backfill"))
        return Engine.encode(engine, texts)

    put(database, "a", "Uploaded.", at=datetime.now(UTC), feed="http")
    put(database, "b", "Bulk.", at=datetime.now(UTC))
    monkeypatch.setattr(engine, "encode", encode_while_a_backfill_runs)
    assert fresh.step() == 1
    assert (engine.texts, backfill.texts) == (["Uploaded."], ["Bulk."])
    assert [receipt.embedded for receipt in receipts] == [1]
    assert fresh.step() == 0


def test_a_later_upload_is_noticed_after_a_quiet_time(fresh: FreshTail, database: Database, engine: Engine) -> None:
    assert fresh.step() == 0
    put(database, "a", "First.", at=datetime.now(UTC), feed="http")
    assert fresh.step() == 1
    assert fresh.step() == 0
    put(database, "b", "Second.", at=datetime.now(UTC), feed="http")
    assert fresh.step() == 1
    assert engine.texts == ["First.", "Second."]


def test_the_same_text_and_title_in_a_thousand_documents_is_embedded_once(
    fresh: FreshTail, database: Database, engine: Engine
) -> None:
    ingestor = Ingestor(database, make_chunker, 10**6)
    upserts = [_upsert(f"doc-{number}", "Granite is quarried behind the hill.") for number in range(1000)]
    ingestor.accept("stream:kafka:quarry:notes", [Batch("notes/0", None, upserts, "1000")])
    while fresh.step():
        pass
    assert len(engine.texts) == 1


def test_a_typo_mended_in_a_long_document_embeds_three_texts_at_most(
    fresh: FreshTail, database: Database, engine: Engine
) -> None:
    ingestor = Ingestor(database, make_chunker, 10**6)
    paragraphs = [f"Layer {number} holds " + f"granite of the kind {number} and slate " * 30 for number in range(200)]
    text = "\n\n".join(paragraphs)
    ingestor.accept("stream:kafka:quarry:notes", [Batch("notes/0", None, [_upsert("long", text)], "1")])
    while fresh.step():
        pass
    assert len(engine.texts) >= 200
    engine.texts.clear()
    mended = text.replace("Layer 100 holds", "Layer 100 contains")
    ingestor.accept("stream:kafka:quarry:notes", [Batch("notes/0", "1", [_upsert("long", mended)], "2")])
    while fresh.step():
        pass
    assert 1 <= len(engine.texts) <= 3


def _upsert(doc_id: str, text: str) -> Upserted:
    key = DocumentKey("main", "red", doc_id)
    return Upserted(RawDocument(key, f"kafka://{doc_id}", text.encode(), "text/plain", title="Notes"))


def test_a_look_begins_where_the_last_one_found_something(
    fresh: FreshTail, database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "_batch_size", 2)
    began: list[int] = []

    def looks(connection: sa.Connection, query: PendingQuery) -> list[PendingText]:
        began.append(query.after)
        return pending_texts(connection, query)

    monkeypatch.setattr("include.quarry.lake.fresh.pending_texts", looks)
    seqs = [put(database, f"{number}", f"Text {number}.", at=datetime.now(UTC), feed="http") for number in range(6)]
    assert [fresh.step(), fresh.step(), fresh.step()] == [2, 2, 2]
    assert began == [0, seqs[0] - 1, seqs[2] - 1]
    put(database, "0", "Text 0 anew.", at=datetime.now(UTC), feed="http")
    assert fresh.step() == 1
    assert engine.texts == [*(f"Text {number}." for number in range(6)), "Text 0 anew."]


def test_an_upload_has_nothing_looked_through_that_was_found_embedded(
    fresh: FreshTail, database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each of a million uploads would pass a million documents."""
    for number in range(4):
        put(database, f"{number}", f"Text {number}.", at=datetime.now(UTC), feed="http")
    while fresh.step():
        pass
    began: list[int] = []

    def looks(connection: sa.Connection, query: PendingQuery) -> list[PendingText]:
        began.append(query.after)
        return pending_texts(connection, query)

    monkeypatch.setattr("include.quarry.lake.fresh.pending_texts", looks)
    for number in range(2):
        last = put(database, f"late-{number}", f"Late text {number}.", at=datetime.now(UTC), feed="http")
        while fresh.step():
            pass
        assert engine.texts[-1] == f"Late text {number}."
        assert min(began) >= last - 2
        began.clear()


def test_what_another_holds_is_looked_for_where_it_stands_and_found_when_it_is_let_go(
    fresh: FreshTail, database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, "old", "Old.", at=datetime.now(UTC), feed="http")
    while fresh.step():
        pass
    held = put(database, "held", "Held.", at=datetime.now(UTC), feed="http")
    claim(database, SPEC.embedding.fingerprint, [hash_text("Held.")], "another", 60)
    put(database, "mine", "Mine.", at=datetime.now(UTC), feed="http")
    began: list[int] = []

    def looks(connection: sa.Connection, query: PendingQuery) -> list[PendingText]:
        began.append(query.after)
        return pending_texts(connection, query)

    monkeypatch.setattr("include.quarry.lake.fresh.pending_texts", looks)
    assert [fresh.step(), fresh.step(), fresh.step()] == [1, 0, 0]
    with database.write() as connection:
        connection.execute(sa.update(claims).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert fresh.step() == 1
    assert engine.texts == ["Old.", "Mine.", "Held."]
    assert min(began) >= held - 1


def test_what_a_dead_owner_had_claimed_is_embedded_though_more_comes_all_the_time(
    fresh: FreshTail, database: Database, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("include.quarry.lake.fresh._LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr(fresh, "_batch_size", 1)
    put(database, "first", "Claimed.", at=datetime.now(UTC), feed="http")
    claim(database, SPEC.embedding.fingerprint, [hash_text("Claimed.")], "dead", 60)
    for number in range(3):
        put(database, f"{number}", f"Text {number}.", at=datetime.now(UTC), feed="http")
    assert fresh.step() == 1
    with database.write() as connection:
        connection.execute(sa.update(claims).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))
    assert fresh.step() == 1
    assert engine.texts == ["Text 0.", "Claimed."]
