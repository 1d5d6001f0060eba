"""Content and windows are read in bounded memory, and in time that grows with what changed, not with its square."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.drift import content
from include.quarry.drift.content import large_tenants, read_content, read_window
from include.quarry.drift.window import Embedded, Window
from include.quarry.settings import Settings
from tests.unit.routing.corpus import SPEC, Corpus

ON_SQLITE = pytest.mark.parametrize("catalog_url", ["sqlite"], indirect=True)
EVER = {"since": datetime(2000, 1, 1, tzinfo=UTC), "until": datetime.now(UTC) + timedelta(days=1)}


@pytest.fixture
def corpus(database: Database, catalog_url: str, tmp_path: Path) -> Corpus:
    return Corpus(database, Settings(home=tmp_path / "home", database_url=catalog_url))


def fill(corpus: Corpus, numbers: range, tenant: str = "default") -> None:
    for number in numbers:
        corpus.put(f"d{number}", f"Stone number {number} of {tenant}.", tenant)


def window(corpus: Corpus, tenant: str | None = None) -> Window:
    return read_window(corpus.database, corpus.lake, "main", SPEC, **EVER, tenant=tenant)


def everything(corpus: Corpus, tenant: str | None = None) -> Embedded:
    return read_content(corpus.database, corpus.lake, "main", SPEC, tenant)


@ON_SQLITE
def test_random_documents_stand_for_many_and_always_the_same(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(corpus, range(30))
    corpus.embed()
    assert (everything(corpus).document_count, window(corpus).texts.document_count) == (30, 30)
    monkeypatch.setattr(content, "MOST_DOCUMENTS", 12)
    monkeypatch.setattr(content, "MAX_DOCUMENTS", 7)
    some, changed = everything(corpus), window(corpus).texts
    assert (some.document_count, changed.document_count) == (12, 7)
    assert everything(corpus).chunk_ids == some.chunk_ids
    assert window(corpus).texts.chunk_ids == changed.chunk_ids


@ON_SQLITE
def test_a_long_document_has_no_more_passages_than_are_needed(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus.put("long", " ".join(f"Sentence {number} about stone." for number in range(600)))
    corpus.embed()
    assert len(everything(corpus)) > 4
    monkeypatch.setattr(content, "_MOST_CHUNKS", 4)
    assert len(everything(corpus)) == 4


@ON_SQLITE
def test_vectors_and_words_are_those_of_their_passages(corpus: Corpus) -> None:
    fill(corpus, range(20))
    corpus.embed()
    found = everything(corpus)
    with corpus.database.read() as connection:
        rows = {row.chunk_id: row for row in connection.execute(sa.select(content.chunks))}
    vectors = corpus.lake.look_up(SPEC.embedding.fingerprint, [row.text_hash for row in rows.values()])
    for place, chunk_id in enumerate(found.chunk_ids):
        row = rows[chunk_id]
        assert found.documents[place] == f"default/{row.doc_id}"
        assert (found.values[place] == vectors[row.text_hash]).all()
        assert found.words[place].tolist() == content.words_of(row.text).tolist()


def test_all_that_wait_are_counted_and_tenants_apart(corpus: Corpus) -> None:
    fill(corpus, range(6))
    corpus.embed()
    fill(corpus, range(10, 13))
    fill(corpus, range(2), "blue")
    assert (window(corpus).waiting, window(corpus).texts.document_count) == (5, 6)
    assert (window(corpus, "blue").waiting, len(window(corpus, "blue"))) == (2, 0)
    assert everything(corpus, "blue").document_count == 0
    assert large_tenants(corpus.database, "main") == []


@ON_SQLITE
def test_a_window_takes_steps_by_its_documents_and_not_by_their_square(corpus: Corpus) -> None:
    def steps() -> int:
        counted: list[int] = []

        def count(connection: Any, *_: object) -> None:
            connection.set_progress_handler(lambda: counted.append(1), 100)

        sa.event.listen(corpus.database._engine, "checkout", count)
        window(corpus)
        sa.event.remove(corpus.database._engine, "checkout", count)
        return len(counted)

    fill(corpus, range(50))
    corpus.embed()
    few = steps()
    fill(corpus, range(50, 200))
    corpus.embed()
    assert steps() < 8 * few
