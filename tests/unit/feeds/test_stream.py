"""A stream is read once and in order, whoever reads it, however often it is read again, whatever is in it."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.log import find_document
from include.quarry.catalog.offsets import load_offset
from include.quarry.catalog.quarantine import list_quarantine
from include.quarry.catalog.schema import changes
from include.quarry.errors import Unavailable
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.protocol import Batch, Cleared, Deleted, Garbled, Upserted
from include.quarry.feeds.stream import Stream
from include.quarry.records import DocumentKey, RawDocument
from tests.unit.feeds.memory_feed import MemoryFeed, MemoryTopic


def key(doc_id: str) -> DocumentKey:
    return DocumentKey("main", "red", doc_id)


def upsert(doc_id: str, text: str, content_type: str = "text/plain") -> Upserted:
    return Upserted(RawDocument(key(doc_id), f"memory://{doc_id}", text.encode(), content_type))


def reader(database: Database, topic: MemoryTopic) -> Stream:
    return Stream(MemoryFeed(topic), Ingestor(database, make_chunker, 10_000), database)


def text_of(database: Database, doc_id: str) -> str | None:
    with database.read() as connection:
        row = find_document(connection, key(doc_id))
    return None if row is None or row.deleted else row.text


def log_of(database: Database, doc_id: str) -> list[str]:
    with database.read() as connection:
        query = sa.select(changes.c.kind).where(changes.c.doc_id == doc_id).order_by(changes.c.seq)
        return list(connection.scalars(query))


def test_changes_are_applied_in_order_and_the_source_is_told_afterwards(database: Database) -> None:
    topic = MemoryTopic()
    for change in (upsert("a", "one"), upsert("a", "two"), upsert("b", "three"), Deleted(key("b"))):
        topic.send("p", change)
    stream = reader(database, topic)
    assert stream.step() == 4
    assert (text_of(database, "a"), text_of(database, "b")) == ("two", None)
    assert log_of(database, "b") == ["upsert", "delete"]
    assert stream._feed.told == {"p": "4"}
    assert stream.step() == 0


def test_what_a_busy_catalog_did_not_take_is_given_again_though_nothing_new_comes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = MemoryTopic()
    topic.send("p", upsert("a", "one"))
    topic.send("q", upsert("b", "two"))
    stream = reader(database, topic)

    def busy(*_batch: object) -> None:
        raise Unavailable("the catalog cannot take the request now")

    with monkeypatch.context() as patch:
        patch.setattr(Ingestor, "accept", busy)
        with pytest.raises(Unavailable):
            stream.step()
    assert stream.step() == 2
    assert (text_of(database, "a"), text_of(database, "b")) == ("one", "two")


def test_a_second_reader_goes_on_where_the_first_stopped(database: Database) -> None:
    topic = MemoryTopic()
    topic.send("p", upsert("a", "one"))
    reader(database, topic).step()
    topic.send("p", upsert("a", "two"))
    assert reader(database, topic).step() == 1
    assert log_of(database, "a") == ["upsert", "upsert"]


def test_of_two_readers_with_the_same_changes_in_hand_one_counts(database: Database) -> None:
    topic = MemoryTopic()
    topic.send("p", upsert("a", "one"))
    slow, quick = MemoryFeed(topic), reader(database, topic)
    (held,) = slow.pull(lambda partition: None, limit=10, wait_s=0)
    quick.step()
    topic.send("p", upsert("a", "two"))
    quick.step()
    other = Batch("q", None, [upsert("b", "beside it")], "1")
    assert Ingestor(database, make_chunker, 10_000).accept("memory:topic", [held, other]) == [None, Counter(changed=1)]
    assert (text_of(database, "a"), log_of(database, "a")) == ("two", ["upsert", "upsert"])


def test_a_fenced_reader_begins_again_at_the_catalog_s_offset(database: Database) -> None:
    topic = MemoryTopic()
    topic.send("p", upsert("a", "one"))
    first, second = reader(database, topic), reader(database, topic)
    first.step()
    assert second.step() == 0
    late = MemoryFeed(topic)
    late._next["p"] = 0  # it held the partition before `first` moved on
    third = Stream(late, Ingestor(database, make_chunker, 10_000), database)
    third.step()
    assert third.progress.fenced == 1
    topic.send("p", upsert("a", "two"))
    assert third.step() == 1
    assert third.progress.changes == Counter(changed=1)


def test_poison_is_set_aside_with_its_reason_and_the_rest_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: object, content: bytes) -> list[object]:
        raise RecursionError("what nobody thought of")

    monkeypatch.setattr("include.quarry.parsing.markdown.MarkdownParser.blocks", broken)
    topic = MemoryTopic()
    poison = [
        upsert("type", "x", "application/unknown"),
        upsert("large", "x" * 10_001),
        upsert("empty", " "),
        upsert("crash", "# x", "text/markdown"),
        Garbled(key("offset-7"), "memory://7", "not JSON", b"\xff"),
    ]
    for change in (upsert("a", "before"), *poison, upsert("b", "after")):
        topic.send("p", change)
    stream = reader(database, topic)
    stream.step()
    assert (text_of(database, "a"), text_of(database, "b")) == ("before", "after")
    assert stream.progress.changes == Counter(changed=2, quarantined=5)
    with database.read() as connection:
        reasons = {found.key.doc_id: found.reason for found in list_quarantine(connection, "main")}
    assert set(reasons) == {"type", "large", "empty", "crash", "offset-7"}
    assert "nobody thought of" in reasons["crash"]


def test_a_stream_that_is_cleared_takes_all_it_brought_and_nothing_else(database: Database) -> None:
    Ingestor(database, make_chunker, 10_000).upsert(upsert("theirs", "stays").raw, "http")
    topic = MemoryTopic()
    for change in (upsert("a", "one"), upsert("b", "two"), Cleared(), upsert("b", "two")):
        topic.send("p", change)
    reader(database, topic).step()
    assert [text_of(database, doc_id) for doc_id in ("theirs", "a", "b")] == ["stays", None, "two"]


def test_a_moved_document_is_in_one_place_at_any_moment(database: Database) -> None:
    topic = MemoryTopic()
    topic.send("p", upsert("old", "text"))
    topic.send("p", replace(upsert("new", "text"), replaces=key("old")))
    reader(database, topic).step()
    assert (text_of(database, "old"), text_of(database, "new")) == (None, "text")
    assert log_of(database, "old") == ["upsert", "delete"]


@pytest.mark.parametrize("then", [Deleted(key("new")), upsert("new", "readable")])
def test_what_an_unreadable_move_left_standing_goes_with_the_next_of_its_changes(
    database: Database, then: Upserted | Deleted
) -> None:
    topic = MemoryTopic()
    topic.send("p", upsert("old", "text"))
    topic.send("p", replace(upsert("new", "x", "application/unknown"), replaces=key("old")))
    topic.send("p", upsert("new", "y", "application/unknown"))
    stream = reader(database, topic)
    stream.step()
    assert text_of(database, "old") == "text"
    topic.send("p", then)
    stream.step()
    assert log_of(database, "old") == ["upsert", "delete"]
    assert text_of(database, "new") == (None if isinstance(then, Deleted) else "readable")


def test_what_was_written_anew_after_an_unreadable_move_stays(database: Database) -> None:
    topic = MemoryTopic()
    topic.send("p", upsert("old", "text"))
    topic.send("p", replace(upsert("new", "x", "application/unknown"), replaces=key("old")))
    topic.send("p", upsert("old", "another text"))
    topic.send("p", upsert("new", "readable"))
    reader(database, topic).step()
    assert (text_of(database, "old"), text_of(database, "new")) == ("another text", "readable")


def test_a_batch_that_fails_leaves_neither_changes_nor_offset(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = MemoryTopic()
    for doc_id in "abc":
        topic.send("p", upsert(doc_id, "text"))
    topic.send("p", Deleted(key("a")))

    def dies(*_arguments: object, **_more: object) -> object:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("include.quarry.feeds.applying.accept_delete", dies)
        reader(database, topic).step()
    assert text_of(database, "a") is None
    with database.read() as connection:
        assert load_offset(connection, "memory:topic", "p") is None
    assert reader(database, topic).step() == 4
    assert log_of(database, "a") == ["upsert", "delete"]


def test_a_document_that_comes_twice_among_others_keeps_its_order(database: Database) -> None:
    topic = MemoryTopic()
    moved = replace(upsert("c", "moved"), replaces=key("b"))
    for change in (upsert("a", "one"), upsert("b", "one"), upsert("a", "two"), moved, upsert("b", "new")):
        topic.send("p", change)
    assert reader(database, topic).step() == 5
    assert [text_of(database, doc_id) for doc_id in "abc"] == ["two", "new", "moved"]
    assert log_of(database, "b") == ["upsert", "delete", "upsert"]


def test_a_batch_without_changes_moves_the_offset(database: Database) -> None:
    Ingestor(database, make_chunker, 10).accept("f", [Batch("p", None, [], "5")])
    with database.read() as connection:
        assert load_offset(connection, "f", "p") == "5"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sent=st.lists(st.tuples(st.sampled_from("pq"), st.sampled_from("abc"), st.booleans()), max_size=20),
    turns=st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=20),
)
def test_any_interleaving_of_readers_that_die_ends_as_one_calm_reader(
    tmp_path: Path, sent: list[tuple[str, str, bool]], turns: list[tuple[int, bool]]
) -> None:
    topic = MemoryTopic()
    for number, (partition, doc_id, deleted) in enumerate(sent):
        name = f"{partition}-{doc_id}"  # a document stays in its partition
        topic.send(partition, Deleted(key(name)) if deleted else upsert(name, f"text {number}"))
    calm, stormy = (_catalog(tmp_path / name) for name in ("calm.db", "stormy.db"))
    while reader(calm, topic).step():
        pass
    readers = [reader(stormy, topic) for _ in range(3)]
    for who, dies in turns:
        readers[who].step()
        if dies:
            readers[who] = reader(stormy, topic)
    for each in readers:
        while each.step():
            pass
    for partition, doc_id in {(p, d) for p, d, _ in sent}:
        name = f"{partition}-{doc_id}"
        assert text_of(stormy, name) == text_of(calm, name)
        assert log_of(stormy, name) == log_of(calm, name)
    calm.close()
    stormy.close()


def _catalog(path: Path) -> Database:
    path.unlink(missing_ok=True)
    migrate(f"sqlite:///{path}")
    return Database(f"sqlite:///{path}")
