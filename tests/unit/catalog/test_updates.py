"""Following the log: what is ready is handed over, what waits for vectors holds the watermark but nobody else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from include.quarry.catalog import updates
from include.quarry.catalog.database import Database
from include.quarry.catalog.log import PreparedDocument, accept_delete, accept_upsert
from include.quarry.catalog.updates import (
    Follow,
    Page,
    Stretch,
    expected_contents,
    news,
    read_deletes,
    read_rest,
    read_stretch,
)
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentKey, Passage, RawDocument, Vectors, hash_text

FOLLOW = Follow("main", "chunker", "space")


class Catalog:
    """A catalog that says in one word what happens to a document."""

    def __init__(self, database: Database, lake: VectorLake) -> None:
        self.database = database
        self.lake = lake

    def put(self, doc_id: str, *texts: str, embed: bool = True) -> int:
        passages = [Passage(text, "", 0, len(text), 1) for text in texts]
        raw = RawDocument(DocumentKey("main", "default", doc_id), "u", b"", "text/plain")
        document = PreparedDocument(raw, doc_id, "".join(texts), [], str(texts), {"chunker": passages})
        with self.database.write() as connection:
            seq = accept_upsert(connection, document, "http").seq
        if embed:
            self.embed(*texts)
        return seq

    def embed(self, *texts: str) -> None:
        self.lake.put_inline(
            [hash_text(text) for text in texts], Vectors("space", np.ones((len(texts), 2), np.float32))
        )

    def delete(self, doc_id: str, moved_to: DocumentKey | None = None) -> int:
        with self.database.write() as connection:
            key = DocumentKey("main", "default", doc_id)
            accepted = accept_delete(connection, key, "http", moved_to=moved_to)
        assert accepted is not None
        return accepted.seq

    def stretch(self, after: int = 0, ahead: tuple[tuple[DocumentKey, int], ...] = ()) -> Stretch:
        with self.database.read() as connection:
            return read_stretch(connection, FOLLOW, after, ahead)


@pytest.fixture
def catalog(database: Database, tmp_path: object) -> Catalog:
    return Catalog(database, VectorLake(database, str(tmp_path)))


def ids(stretch: Stretch) -> list[str]:
    return [update.key.doc_id for update in stretch.updates]


def test_each_changed_document_comes_once_in_its_present_state(catalog: Catalog) -> None:
    catalog.put("a", "first")
    catalog.put("b", "other")
    newest = catalog.put("a", "second", "third")
    stretch = catalog.stretch()
    assert ids(stretch) == ["b", "a"]
    assert [chunk.passage.text for chunk in stretch.updates[1].chunks] == ["second", "third"]
    assert (stretch.watermark, stretch.waiting) == (newest, 0)


def test_a_deleted_document_comes_without_chunks(catalog: Catalog) -> None:
    catalog.put("a", "text", embed=False)
    seq = catalog.delete("a")
    (update,) = catalog.stretch().updates
    assert (update.chunks, update.seq) == ((), seq)


def test_a_document_without_vectors_holds_the_watermark_but_not_the_others(catalog: Catalog) -> None:
    first = catalog.put("a", "ready")
    catalog.put("slow", "not embedded yet", embed=False)
    catalog.put("c", "also ready")
    stretch = catalog.stretch()
    assert ids(stretch) == ["a", "c"]
    assert (stretch.watermark, stretch.waiting) == (first, 1)


def test_the_watermark_stays_below_a_skipped_change_of_a_waiting_document(catalog: Catalog) -> None:
    """A document whose newest version waits must not let the watermark pass its older, never applied version."""
    skipped = catalog.put("slow", "old version")
    catalog.put("b", "text")
    catalog.put("slow", "new version", embed=False)
    assert catalog.stretch().watermark == skipped - 1


def test_a_delete_wins_at_once_though_the_document_came_back_and_waits(catalog: Catalog) -> None:
    catalog.put("a", "withdrawn text")
    deleted = catalog.delete("a")
    catalog.put("a", "new text", embed=False)
    stretch = catalog.stretch(after=1)
    assert [(update.key.doc_id, update.seq, update.chunks) for update in stretch.updates] == [("a", deleted, ())]
    assert (stretch.watermark, stretch.waiting) == (1, 1)
    catalog.embed("new text")
    (update,) = catalog.stretch(after=1).updates
    assert [chunk.passage.text for chunk in update.chunks] == ["new text"]


def test_a_moved_document_stays_where_it_was_until_it_can_be_shown_where_it_went(
    catalog: Catalog, database: Database
) -> None:
    after = catalog.put("old", "text under its old name")
    catalog.put("new", "text under its new name", embed=False)
    catalog.delete("old", moved_to=DocumentKey("main", "default", "new"))
    stretch = catalog.stretch(after)
    assert (ids(stretch), stretch.watermark, stretch.waiting) == ([], after, 2)
    with database.read() as connection:
        assert read_deletes(connection, FOLLOW, after) == []
    catalog.embed("text under its new name")
    stretch = catalog.stretch(after)
    assert ([len(update.chunks) for update in stretch.updates], ids(stretch)) == ([1, 0], ["new", "old"])
    assert stretch.waiting == 0


def test_what_was_moved_goes_with_the_document_that_it_became(catalog: Catalog) -> None:
    after = catalog.put("old", "text")
    catalog.put("new", "not embedded", embed=False)
    catalog.delete("old", moved_to=DocumentKey("main", "default", "new"))
    catalog.delete("new")
    assert ids(catalog.stretch(after)) == ["old", "new"]


def test_what_was_moved_twice_waits_for_where_it_is_now(catalog: Catalog) -> None:
    after = catalog.put("old", "text")
    catalog.put("new", "not embedded", embed=False)
    catalog.delete("old", moved_to=DocumentKey("main", "default", "new"))
    catalog.put("newest", "not embedded either", embed=False)
    catalog.delete("new", moved_to=DocumentKey("main", "default", "newest"))
    assert "old" not in ids(catalog.stretch(after))
    catalog.embed("not embedded either")
    assert set(ids(catalog.stretch(after))) == {"old", "new", "newest"}


def test_what_was_moved_to_another_tenant_goes_at_once(catalog: Catalog) -> None:
    after = catalog.put("old", "text")
    catalog.put("new", "not embedded", embed=False)
    catalog.delete("old", moved_to=DocumentKey("main", "another", "new"))
    assert ids(catalog.stretch(after)) == ["old"]


def test_what_was_moved_and_came_back_is_there_again(catalog: Catalog) -> None:
    after = catalog.put("old", "text")
    catalog.put("new", "not embedded", embed=False)
    catalog.delete("old", moved_to=DocumentKey("main", "default", "new"))
    catalog.put("old", "text again")
    assert [(update.key.doc_id, len(update.chunks)) for update in catalog.stretch(after).updates] == [("old", 1)]


def test_the_deletes_can_be_had_alone_also_of_what_came_back(catalog: Catalog) -> None:
    catalog.put("a", "text")
    catalog.put("b", "text")
    after = catalog.delete("a")
    came_back = catalog.delete("b")
    catalog.put("b", "newer text")
    with catalog.database.read() as connection:
        deletes = read_deletes(connection, FOLLOW, after)
    assert [(update.key.doc_id, update.seq, update.chunks) for update in deletes] == [("b", came_back, ())]


def test_what_was_applied_ahead_is_not_handed_over_again(catalog: Catalog) -> None:
    catalog.put("slow", "waits", embed=False)
    catalog.put("b", "text")
    (update,) = catalog.stretch().updates
    assert catalog.stretch(ahead=((update.key, update.seq),)).updates == []
    catalog.put("b", "newer text")
    assert ids(catalog.stretch(ahead=((update.key, update.seq),))) == ["b"]


def pages(catalog: Catalog, between: Callable[[], object] = lambda: None, **how: Any) -> list[list[str]]:
    """The documents of each page of a stretch; `between` happens after the first."""
    with catalog.database.read() as connection:
        page = read_stretch(connection, FOLLOW, 0, **how).page
    read = [page]
    between()
    while page.rest is not None:
        with catalog.database.read() as connection:
            page = read_rest(connection, FOLLOW, page, **how)
        read.append(page)
    return [[update.key.doc_id for update in page.updates] for page in read]


def test_a_long_stretch_comes_page_by_page(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "_DOCUMENTS_PER_PAGE", 2)
    for doc_id in "abcde":
        catalog.put(doc_id, f"text of {doc_id}")
    catalog.delete("b")
    assert pages(catalog) == [["a", "c"], ["d", "e"], ["b"]]
    assert pages(catalog, takes=lambda update: update.key.doc_id in "bd") == [[], ["d"], ["b"]]


def test_what_changes_between_the_pages_is_left_to_the_next_stretch(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updates, "_DOCUMENTS_PER_PAGE", 2)
    for doc_id in "abcd":
        catalog.put(doc_id, f"text of {doc_id}")
    reached = catalog.stretch().watermark
    assert pages(catalog, lambda: (catalog.put("d", "newer text"), catalog.put("e", "late"))) == [["a", "b"], ["c"]]
    assert ids(catalog.stretch(after=reached)) == ["d", "e"]


def test_the_chunks_of_what_is_not_taken_are_not_read(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    catalog.put("a", "mine")
    catalog.put("b", "another shard's")
    read: list[str] = []
    chunk = updates._chunk
    monkeypatch.setattr(updates, "_chunk", lambda *row: read.append(row[1].doc_id) or chunk(*row))
    assert pages(catalog, takes=lambda update: update.key.doc_id == "a") == [["a"]]
    assert read == ["a"]


def test_a_change_is_read_without_looking_through_its_corpus(catalog: Catalog, database: Database) -> None:
    """Each look at the chunks names whole keys, else every change would cost as much as there are documents."""
    after = catalog.put("a", "One.")
    catalog.put("b", "Two.")
    asked: list[tuple[str, Any]] = []
    with database.read() as connection:
        if connection.dialect.name != "sqlite":
            pytest.skip("its planner prefers to read small tables whole")
        sa.event.listen(connection, "before_cursor_execute", lambda *told: asked.append((told[2], told[3])))
        assert [update.key.doc_id for update in read_stretch(connection, FOLLOW, after).updates] == ["b"]
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", values).all() for text, values in asked[:]]
    looks = [step.detail for plan in plans for step in plan if " chunks " in f"{step.detail} "]
    assert looks
    assert [look for look in looks if "doc_id=?" not in look] == []


def test_a_document_that_this_chunker_has_not_cut_waits(catalog: Catalog, database: Database) -> None:
    catalog.put("a", "text")
    with database.read() as connection:
        stretch = read_stretch(connection, Follow("main", "another chunker", "space"), 0)
    assert (stretch.updates, stretch.waiting) == ([], 1)


def test_news_differs_after_a_change_and_after_a_vector(catalog: Catalog, database: Database) -> None:
    def now() -> tuple[int, int]:
        with database.read() as connection:
            return news(connection, FOLLOW)

    seen = [now()]
    catalog.put("a", "text", embed=False)
    seen.append(now())
    catalog.embed("text")
    seen.append(now())
    catalog.delete("a")
    seen.append(now())
    assert len(set(seen)) == 4
    assert now() == seen[-1]


def test_the_expected_contents_are_the_chunks_of_present_documents(catalog: Catalog, database: Database) -> None:
    catalog.put("a", "one", "two")
    catalog.put("b", "three")
    catalog.delete("b")
    with database.read() as connection:
        assert {version for _, version in expected_contents(connection, FOLLOW)} == {1}
        assert len(expected_contents(connection, FOLLOW)) == 2


def test_another_corpus_is_not_followed(catalog: Catalog, database: Database) -> None:
    catalog.put("a", "text")
    with database.read() as connection:
        stretch = read_stretch(connection, Follow("other", "chunker", "space"), 0)
    assert stretch == Stretch(Page([], None, 0), 0, 0)
