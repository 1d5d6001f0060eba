"""The Kafka feed against a real broker: order, going on, garbage, rebalances, tombstones."""

import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from confluent_kafka import Producer

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.log import find_document
from include.quarry.catalog.offsets import load_offsets
from include.quarry.catalog.quarantine import list_quarantine, read_original
from include.quarry.catalog.schema import changes
from include.quarry.errors import Unavailable
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.kafka import KafkaFeed
from include.quarry.feeds.stream import Stream
from include.quarry.operations.health import wait_until
from include.quarry.records import DocumentKey
from tests.servers.kafka import kafka, make_topic

pytestmark = pytest.mark.integration
_PATIENCE_S = 120.0
_MAX_BYTES = 1_000_000


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with kafka() as address:
        yield address


@pytest.fixture
def topic(broker: str) -> str:
    name = f"documents-{uuid.uuid4().hex[:8]}"
    make_topic(broker, name, 3)
    return name


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    migrate(f"sqlite:///{tmp_path / 'catalog.db'}")
    database = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield database
    database.close()


class Source:
    """A producer of events, every document in a partition of its own choosing."""

    def __init__(self, broker: str, topic: str) -> None:
        self._producer = Producer({"bootstrap.servers": broker, "message.max.bytes": 30_000_000})
        self._topic = topic
        self.sent = 0

    def send(self, doc_id: str, text: str | None) -> None:
        event = {"tenant": "red", "doc_id": doc_id}
        event |= {"op": "delete"} if text is None else {"op": "upsert", "text": text}
        self.raw(f"red/{doc_id}".encode(), json.dumps(event).encode())

    def raw(self, key: bytes | None, value: bytes | None) -> None:
        self._producer.produce(self._topic, value, key)
        self.sent += 1

    def flush(self) -> None:
        assert self._producer.flush(30) == 0


@pytest.fixture
def source(broker: str, topic: str) -> Source:
    return Source(broker, topic)


@pytest.fixture
def open_stream(broker: str, topic: str, database: Database):
    streams: list[Stream] = []

    def open_stream() -> Stream:
        feed = KafkaFeed(broker, topic, group="quarry", corpus="main", options={"session.timeout.ms": "6000"})
        streams.append(Stream(feed, Ingestor(database, make_chunker, _MAX_BYTES), database))
        return streams[-1]

    yield open_stream
    for stream in streams:
        stream.close()


def accepted(database: Database, topic: str) -> int:
    """How many messages the catalog has taken in."""
    with database.read() as connection:
        return sum(map(int, load_offsets(connection, f"stream:kafka:quarry:{topic}").values()))


def step(stream: Stream) -> None:
    """A broker that is late once is asked again."""
    with suppress(Unavailable):
        stream.step()


def until_all(database: Database, topic: str, source: Source, *streams: Stream) -> None:
    source.flush()

    def done() -> bool:
        for stream in streams:
            step(stream)
        return accepted(database, topic) == source.sent

    wait_until(done, "all messages", _PATIENCE_S, lambda _: None)


def text_of(database: Database, doc_id: str) -> str | None:
    with database.read() as connection:
        row = find_document(connection, DocumentKey("main", "red", doc_id))
    return None if row is None or row.deleted else row.text


def test_each_document_s_changes_are_applied_in_order(database, topic, source, open_stream) -> None:
    for number in range(60):
        source.send(f"doc-{number % 6}", f"text {number}")
    source.send("doc-0", None)
    source.raw(b"red/doc-1", None)
    until_all(database, topic, source, open_stream())
    assert [text_of(database, f"doc-{n}") for n in range(6)] == [None, None, *(f"text {54 + n}" for n in range(2, 6))]
    with database.read() as connection:
        versions = Counter(connection.scalars(sa.select(changes.c.doc_id)))
    assert versions == {"doc-0": 11, "doc-1": 11, **{f"doc-{n}": 10 for n in range(2, 6)}}


def test_a_new_reader_goes_on_where_the_catalog_stands(database, topic, source, open_stream) -> None:
    source.send("a", "one")
    first = open_stream()
    until_all(database, topic, source, first)
    first.close()
    source.send("a", "two")
    second = open_stream()
    until_all(database, topic, source, second)
    assert text_of(database, "a") == "two"
    assert second.progress.changes == Counter(changed=1)


def test_garbage_is_set_aside_with_its_reason_and_the_rest_flows(database, topic, source, open_stream) -> None:
    source.send("before", "text")
    garbage = {b"k1": b"not JSON", b"k2": b'{"op": "merge"}', b"k3": b"\xff" * 20_000_000, b"k4": b"[]"}
    for key, value in garbage.items():
        source.raw(key, value)
    source.raw(None, b'{"op": "upsert", "tenant": "red", "text": "no id"}')
    source.raw(None, None)
    source.send("too-large", "x" * (_MAX_BYTES + 1))
    source.send("after", "text")
    until_all(database, topic, source, open_stream())
    assert (text_of(database, "before"), text_of(database, "after")) == ("text", "text")
    with database.read() as connection:
        aside = list_quarantine(connection, "main")
        originals = [read_original(connection, found.key) for found in aside]
    large = [found.size_bytes for found in aside if not found.kept]
    assert large == [20_000_000]
    assert {original.content for original in originals if original} >= {b"not JSON", b'{"op": "merge"}', b"[]", b""}
    reasons = [found.reason for found in aside]
    assert len(reasons) == len(garbage) + 3
    assert all(reason.partition(": ")[2] for reason in reasons)


def test_two_readers_and_rebalances_apply_each_change_once(database, topic, source, open_stream) -> None:
    steady, ended = open_stream(), threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            other = open_stream()
            for _ in range(10):
                step(other)
            other.close()

    guest = threading.Thread(target=come_and_go)
    guest.start()
    try:
        for round_ in range(12):
            for number in range(50):
                source.send(f"doc-{number}", f"round {round_}")
            source.flush()
            for _ in range(4):
                step(steady)
    finally:
        ended.set()
        guest.join()
    until_all(database, topic, source, steady)
    with database.read() as connection:
        applied = Counter(connection.scalars(sa.select(changes.c.doc_id)))
    assert applied == {f"doc-{number}": 12 for number in range(50)}
    assert {text_of(database, f"doc-{number}") for number in range(50)} == {"round 11"}
