"""The fresh tail: uploads at once, scheduled documents only after their grace."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.versions import create_version
from include.quarry.lake.claims import claim
from include.quarry.lake.fresh import FreshTail
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Vectors, hash_text
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


def test_an_upload_is_embedded_at_once_and_only_once(fresh: FreshTail, database: Database, engine: Engine) -> None:
    put(database, "a", "Uploaded.", at=datetime.now(UTC), feed="http")
    assert [fresh.step(), fresh.step()] == [1, 0]
    assert engine.texts == ["Uploaded."]


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


def test_a_later_upload_is_noticed_after_a_quiet_time(fresh: FreshTail, database: Database, engine: Engine) -> None:
    assert fresh.step() == 0
    put(database, "a", "First.", at=datetime.now(UTC), feed="http")
    assert fresh.step() == 1
    assert fresh.step() == 0
    put(database, "b", "Second.", at=datetime.now(UTC), feed="http")
    assert fresh.step() == 1
    assert engine.texts == ["First.", "Second."]
