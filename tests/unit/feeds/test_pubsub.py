"""Pub/Sub may send a message again, late, and to another reader: it counts once, in its turn, and is never lost."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.log import find_document
from include.quarry.catalog.quarantine import list_quarantine, read_original
from include.quarry.catalog.schema import changes
from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.feeds import pubsub as feed_module
from include.quarry.feeds.feed_specs import PubSubSpec
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.opening import open_change_feed
from include.quarry.feeds.stream import Stream
from include.quarry.operations.health import wait_until
from include.quarry.quarantine.rereading import read_again
from include.quarry.records import DocumentKey
from tests.servers.pubsub import PubSubServer, Topic, pubsub

MAX_BYTES = 10_000


@pytest.fixture(scope="module")
def server() -> Iterator[PubSubServer]:
    with pubsub() as server:
        yield server


@pytest.fixture
def topic(server: PubSubServer) -> Iterator[Topic]:
    topic = Topic()
    yield topic
    topic.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    migrate(f"sqlite:///{tmp_path / 'catalog.db'}")
    database = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield database
    database.close()


@pytest.fixture
def open_stream(database: Database):
    streams: list[Stream] = []

    def open_stream(topic: Topic) -> Stream:
        streams.append(Stream(open_change_feed(spec(topic), database, MAX_BYTES), ingestor(database), database))
        return streams[-1]

    yield open_stream
    for stream in streams:
        stream.close()


def spec(topic: Topic) -> PubSubSpec:
    return PubSubSpec(kind="pubsub", project=topic.project, subscription=topic.subscription)


def ingestor(database: Database) -> Ingestor:
    return Ingestor(database, make_chunker, MAX_BYTES)


def send(topic: Topic, doc_id: str, text: str | None) -> None:
    event = {"tenant": "red", "doc_id": doc_id} | ({"op": "upsert", "text": text} if text else {"op": "delete"})
    topic.publish(json.dumps(event).encode(), f"red/{doc_id}")


def stepped(stream: Stream) -> int:
    """How many changes the first pull brings that is answered in time."""
    return next((count for _ in range(60) if (count := stream.step())), 0)


def text_of(database: Database, doc_id: str) -> str | None:
    with database.read() as connection:
        row = find_document(connection, DocumentKey("main", "red", doc_id))
    return None if row is None or row.deleted else row.text


def log_of(database: Database, doc_id: str) -> list[str]:
    with database.read() as connection:
        query = sa.select(changes.c.kind).where(changes.c.doc_id == doc_id).order_by(changes.c.seq)
        return list(connection.scalars(query))


def test_a_message_is_acknowledged_once_the_catalog_has_it(server, topic, database, open_stream) -> None:
    for text in ("one", "two", None):
        send(topic, "a", text)
    assert stepped(open_stream(topic)) == 3
    assert log_of(database, "a") == ["upsert", "upsert", "delete"]
    assert server.outstanding(topic.path) == 0


def test_an_acknowledgement_that_got_lost_does_not_make_a_change_count_twice(
    server, topic, database, open_stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(topic, "a", "one")
    send(topic, "a", "two")
    stream = open_stream(topic)
    with monkeypatch.context() as patch:
        patch.setattr(server, "loses_acknowledgements", True)
        assert stepped(stream) == 2
    server.lapse()
    assert stepped(stream) == 2
    assert (log_of(database, "a"), text_of(database, "a")) == (["upsert", "upsert"], "two")
    assert stream.progress.changes == Counter(changed=2)
    assert server.outstanding(topic.path) == 0


def test_what_a_reader_held_for_too_long_cannot_overtake_what_came_after(server, topic, database, open_stream) -> None:
    send(topic, "a", "one")
    slow = open_change_feed(spec(topic), database, MAX_BYTES)
    (held,) = slow.pull(lambda _: None, limit=10, wait_s=30)
    server.lapse()
    send(topic, "a", "two")
    stepped(open_stream(topic))
    assert ingestor(database).accept(slow.name, [held]) == [Counter()]
    assert (log_of(database, "a"), text_of(database, "a")) == (["upsert", "upsert"], "two")
    slow.close()


def test_one_key_is_not_read_past_what_another_reader_has_in_hand(server, topic, database, open_stream) -> None:
    send(topic, "a", "one")
    first = open_change_feed(spec(topic), database, MAX_BYTES)
    (held,) = first.pull(lambda _: None, limit=10, wait_s=30)
    send(topic, "a", "two")
    second = open_stream(topic)
    assert second.step() == 0
    ingestor(database).accept(first.name, [held])
    first.accepted(held.partition, held.ends)
    wait_until(lambda: second.step() == 1, "the next change", 30, lambda _: None)
    assert text_of(database, "a") == "two"
    first.close()


def test_a_handful_larger_than_asked_for_is_given_in_parts(topic, database) -> None:
    for number in range(5):
        send(topic, "a", f"text {number}")
    feed = open_change_feed(spec(topic), database, MAX_BYTES)
    sizes = []
    for limit in (5, 2, 2, 2):  # the first is taken for lost
        for batch in feed.pull(lambda _: None, limit=limit, wait_s=30):
            sizes.append(len(batch.changes))
            if limit == 2:
                ingestor(database).accept(feed.name, [batch])
                feed.accepted(batch.partition, batch.ends)
    assert sizes == [5, 2, 2, 1]
    assert (log_of(database, "a"), text_of(database, "a")) == (["upsert"] * 5, "text 4")
    feed.close()


def test_leases_are_extended_while_a_handful_is_worked_on(
    server, topic, database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_EXTEND_EVERY_S", 0.01)
    send(topic, "a", "one")
    before, feed = server.extensions, open_change_feed(spec(topic), database, MAX_BYTES)
    (held,) = feed.pull(lambda _: None, limit=10, wait_s=30)
    wait_until(lambda: server.extensions > before + 3, "extensions", 30, lambda _: None)
    feed.accepted(held.partition, held.ends)
    feed.close()


def test_a_catalog_that_is_away_sends_nothing_to_the_dead_letters(
    server, database, open_stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = {"dead_letter_topic": "projects/quarry-tests/topics/dead", "max_delivery_attempts": 5}
    topic = Topic(dead_letter_policy=policy)
    send(topic, "a", "one")
    topic.publish(b"not JSON", "red/b")
    stream = open_stream(topic)

    def busy(*_batch: object) -> None:
        raise Unavailable("the catalog cannot take the request now")

    with monkeypatch.context() as patch:
        patch.setattr(Ingestor, "accept", busy)
        for _ in range(10):
            with pytest.raises(Unavailable):
                stepped(stream)
    stepped(stream)
    assert stream.progress.changes == Counter(changed=1, quarantined=1)
    assert (server.dead_letters, server.outstanding(topic.path)) == ([], 0)
    topic.close()


def test_what_cannot_be_understood_is_set_aside_and_can_be_read_again(topic, database, open_stream) -> None:
    event = {"tenant": "red", "doc_id": "a", "op": "upsert", "text": "one"}
    for data, key in ((b"\xff\x00", "red/b"), (json.dumps(event).encode(), ""), (b"[]", "red/c")):
        topic.publish(data, key)
    stream = open_stream(topic)
    wait_until(
        lambda: stream.step() == 0 and stream.progress.changes["quarantined"] == 3, "all messages", 30, lambda _: None
    )
    with database.read() as connection:
        aside = {found.reason: found for found in list_quarantine(connection, "main")}
        originals = {reason: read_original(connection, found.key) for reason, found in aside.items()}
    assert {original.content for original in originals.values()} == {b"\xff\x00", json.dumps(event).encode(), b"[]"}
    (unordered,) = (reason for reason in aside if "no ordering key" in reason)
    assert text_of(database, "a") is None
    change = read_again(aside[unordered], originals[unordered], [spec(topic)])
    assert change.raw.content == b"one"


def test_a_subscription_that_keeps_no_order_is_refused(server, database) -> None:
    topic = Topic(enable_message_ordering=False)
    feed = open_change_feed(spec(topic), database, MAX_BYTES)
    with pytest.raises(Misconfigured, match="keeps no order"):
        feed.pull(lambda _: None, limit=1, wait_s=0)
    feed.close()
    topic.close()


def test_a_subscription_that_does_not_exist_is_named(topic, database) -> None:
    nowhere = PubSubSpec(kind="pubsub", project=topic.project, subscription="nowhere")
    feed = open_change_feed(nowhere, database, MAX_BYTES)
    with pytest.raises(Misconfigured, match="projects/quarry-tests/subscriptions/nowhere"):
        feed.pull(lambda _: None, limit=1, wait_s=0)
    feed.close()


def test_a_feed_without_credentials_is_refused(topic, database, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(Misconfigured, match=topic.subscription):
        open_change_feed(spec(topic), database, MAX_BYTES)
