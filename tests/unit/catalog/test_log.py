"""The log: what is accepted is there once, in order, together with its chunks and its feed's offset."""

import threading

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import (
    PreparedDocument,
    accept_delete,
    accept_upsert,
    accept_upserts,
    find_document,
    head,
)
from include.quarry.catalog.offsets import load_offsets, store_offset
from include.quarry.catalog.quarantine import count_quarantine, set_aside
from include.quarry.catalog.schema import changes, chunks
from include.quarry.records import DocumentKey, Passage, RawDocument

KEY = DocumentKey("main", "default", "guide/start.md")


def prepared(text: str = "Quarry keeps a log.", key: DocumentKey = KEY, copies: int = 1) -> PreparedDocument:
    passages = [Passage(text, "Guide", 0, len(text), 5)] * copies
    raw = RawDocument(key, "file:///guide/start.md", text.encode(), "text/markdown")
    return PreparedDocument(raw, "Guide", text, [("prose", 0, len(text))], f"hash of {text}", {"chunker": passages})


def chunk_rows(database: Database) -> list[tuple[str, int]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(chunks.c.chunk_id, chunks.c.doc_version))]


def test_a_document_offered_twice_is_one_change(database: Database) -> None:
    with database.write() as connection:
        first = accept_upsert(connection, prepared(), "http")
    with database.write() as connection:
        second = accept_upsert(connection, prepared(), "http")
    assert first.changed
    assert not second.changed
    assert (second.seq, second.doc_version) == (first.seq, first.doc_version)
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(changes)) == 1


def test_a_new_version_replaces_the_chunks_and_an_unchanged_passage_keeps_its_id(database: Database) -> None:
    with database.write() as connection:
        accept_upsert(connection, prepared("one"), "http")
    ((before, _),) = chunk_rows(database)
    with database.write() as connection:
        accept_upsert(connection, prepared("two"), "http")
        accept_upsert(connection, prepared("one"), "http")
    assert chunk_rows(database) == [(before, 3)]


def test_a_repeated_passage_gets_an_id_of_its_own(database: Database) -> None:
    with database.write() as connection:
        accept_upsert(connection, prepared("again", copies=3), "http")
    assert len({chunk_id for chunk_id, _ in chunk_rows(database)}) == 3


def test_the_same_text_of_two_tenants_has_two_chunks(database: Database) -> None:
    with database.write() as connection:
        accept_upsert(connection, prepared(key=DocumentKey("main", "red", "a")), "http")
        accept_upsert(connection, prepared(key=DocumentKey("main", "blue", "a")), "http")
    assert len(chunk_rows(database)) == 2


def test_a_delete_removes_text_and_chunks_and_can_be_undone_by_a_new_upsert(database: Database) -> None:
    with database.write() as connection:
        accept_upsert(connection, prepared(), "http")
        deleted = accept_delete(connection, KEY, "http")
        again = accept_delete(connection, KEY, "http")
    assert deleted is not None
    assert deleted.changed
    assert again is not None
    assert not again.changed
    with database.read() as connection:
        row = find_document(connection, KEY)
        assert row is not None
        assert (row.deleted, row.text) == (True, "")
    assert chunk_rows(database) == []
    with database.write() as connection:
        back = accept_upsert(connection, prepared(), "http")
    assert back.changed
    assert back.doc_version == 3


def test_what_a_user_deleted_stays_deleted_while_a_feed_offers_the_same_content(database: Database) -> None:
    with database.write() as connection:
        accept_upsert(connection, prepared("old"), "folder")
        accept_delete(connection, KEY, "http")
        assert not accept_upsert(connection, prepared("old"), "folder").changed
        assert accept_upsert(connection, prepared("new"), "folder").changed


def test_a_user_can_bring_back_what_a_feed_deleted(database: Database) -> None:
    with database.write() as connection:
        accept_upsert(connection, prepared("old"), "folder")
        accept_delete(connection, KEY, "folder")
        assert accept_upsert(connection, prepared("old"), "http").changed


def test_the_content_that_was_good_before_leaves_the_quarantine_too(database: Database) -> None:
    with database.write() as connection:
        accept_upsert(connection, prepared(), "folder")
        set_aside(connection, KEY, "file:///x", "folder", "broken")
        assert not accept_upsert(connection, prepared(), "folder").changed
        assert count_quarantine(connection, "main") == 0


def test_deleting_what_never_was_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        assert accept_delete(connection, KEY, "http") is None
        assert head(connection, "main") == 0


def test_a_change_and_its_offset_are_stored_together_or_not_at_all(database: Database) -> None:
    class Killed(Exception):
        pass

    with pytest.raises(Killed), database.write() as connection:
        accept_upsert(connection, prepared(), "folder")
        store_offset(connection, "folder", "guide/start.md", "1")
        raise Killed
    with database.read() as connection:
        assert find_document(connection, KEY) is None
        assert load_offsets(connection, "folder") == {}
        assert head(connection, "main") == 0


def test_a_readable_version_leaves_the_quarantine(database: Database) -> None:
    with database.write() as connection:
        set_aside(connection, KEY, "file:///x", "folder", "broken")
        set_aside(connection, KEY, "file:///x", "folder", "still broken")
        assert count_quarantine(connection, "main") == 1
        accept_upsert(connection, prepared(), "folder")
        assert count_quarantine(connection, "main") == 0


def test_changes_become_visible_in_the_order_of_their_seq(database: Database) -> None:
    """A follower that polls while eight writers race never sees a seq appear below one it has seen."""
    writers, changes_each = 8, 12

    def write(writer: int) -> None:
        for number in range(changes_each):
            key = DocumentKey("main", "default", f"{writer}-{number}")
            with database.write() as connection:
                accept_upsert(connection, prepared(key=key), "http")

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    seen: list[int] = []
    while len(seen) < writers * changes_each:
        with database.read() as connection:
            last = seen[-1] if seen else 0
            news = list(
                connection.scalars(sa.select(changes.c.seq).where(changes.c.seq > last).order_by(changes.c.seq))
            )
            late = connection.scalar(sa.select(sa.func.count()).select_from(changes).where(changes.c.seq <= last))
        assert late == len(seen)
        seen.extend(news)
    for thread in threads:
        thread.join()
    assert seen == sorted(seen)


def test_documents_accepted_together_are_as_if_they_had_come_one_by_one(database: Database) -> None:
    """New, known, changed, deleted, deleted by hand, over more keys than one query takes."""
    few = [DocumentKey("main", tenant, name) for tenant in ("red", "blue") for name in ("same", "changed", "gone")]
    kept_away = DocumentKey("main", "red", "by-hand")
    many = [DocumentKey("main", "red", f"new-{number}") for number in range(900)]
    with database.write() as connection:
        for key in (*few, kept_away):
            accept_upsert(connection, prepared("one", key), "folder")
        for key in few:
            if key.doc_id == "gone":
                accept_delete(connection, key, "folder")
        accept_delete(connection, kept_away, "http")
        set_aside(connection, many[7], "file:///x", "folder", "broken")
        before = head(connection, "main")
    offered = [prepared("two" if key.doc_id == "changed" else "one", key, copies=2) for key in (*few, kept_away, *many)]
    with database.write() as connection:
        accepted = accept_upserts(connection, [(each, None) for each in offered], "folder")
    came = dict(zip((each.raw.key for each in offered), accepted, strict=True))
    stays = {key for key in came if key.doc_id in ("same", "by-hand")}
    assert {key for key, each in came.items() if not each.changed} == stays
    assert [each.seq for each in accepted if each.changed] == list(range(before + 1, before + 1 + len(came) - 3))
    assert {came[key].doc_version for key in few} == {1, 2, 3}
    with database.read() as connection:
        assert count_quarantine(connection, "main") == 0
        for key, each in came.items():
            row = find_document(connection, key)
            assert row is not None
            assert (row.seq, row.version, row.deleted) == (each.seq, each.doc_version, key == kept_away)
    assert len(chunk_rows(database)) == 2 * (len(came) - 3) + 2
