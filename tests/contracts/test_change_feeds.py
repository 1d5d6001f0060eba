"""What every feed of changes keeps, whatever it reads: nothing lost, nothing twice, each document in its order."""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.log import documents_of_feed
from include.quarry.catalog.quarantine import list_quarantine, read_original
from include.quarry.catalog.schema import changes, documents
from include.quarry.errors import Unavailable
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.pace import Pace
from include.quarry.feeds.stream import Stream
from include.quarry.operations.health import wait_until
from include.quarry.records import DocumentKey
from tests.conftest import postgres_server
from tests.contracts.change_sources import FolderSource, KafkaSource, MemorySource, PostgresSource, PubSubSource, Source
from tests.servers.kafka import KafkaServer, kafka_server
from tests.servers.pubsub import PubSubServer, pubsub

_PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def kafka() -> Iterator[KafkaServer]:
    with kafka_server() as server:
        yield server


@pytest.fixture(scope="module")
def logging_postgres() -> Iterator[str]:
    with postgres_server("-c wal_level=logical") as url:
        yield url


@pytest.fixture(scope="module")
def pubsub_server() -> Iterator[PubSubServer | None]:
    if os.environ.get("PUBSUB_EMULATOR_HOST"):
        yield None
        return
    with pubsub() as server:
        yield server


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    migrate(f"sqlite:///{tmp_path / 'catalog.db'}")
    database = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield database
    database.close()


@pytest.fixture(params=["memory", "folder", "kafka", "postgres", "pubsub"])
def source(request: pytest.FixtureRequest, database: Database, tmp_path: Path) -> Source:
    def known(feed: str) -> list[DocumentKey]:
        with database.read() as connection:
            return documents_of_feed(connection, feed)

    match request.param:
        case "memory":
            return MemorySource()
        case "folder":
            return FolderSource(tmp_path / "documents", database)
        case "kafka":
            return KafkaSource(request.getfixturevalue("kafka"))
        case "postgres":
            return PostgresSource(request.getfixturevalue("logging_postgres"), known)
        case _:
            return PubSubSource(request.getfixturevalue("pubsub_server"))


OpenStream = Callable[[], Stream]


@pytest.fixture
def open_stream(source: Source, database: Database) -> Iterator[OpenStream]:
    """Readers that are closed in the end; the first has seen the source before anything is sent."""
    streams: list[Stream] = []

    def open_stream() -> Stream:
        ingestor = Ingestor(database, make_chunker, 10_000)
        streams.append(Stream(source.open(), ingestor, database, Pace(least=4, wait_s=0.1)))
        with suppress(Unavailable):
            for _ in range(2):  # a first reading begins by saying so
                streams[-1].step()
        return streams[-1]

    yield open_stream
    for stream in streams:
        stream.close()


def log_of(database: Database) -> list[tuple[str, str]]:
    with database.read() as connection:
        rows = connection.execute(sa.select(changes.c.doc_id, changes.c.kind))
        return [(row.doc_id.removesuffix(".txt"), row.kind) for row in rows]


def texts(database: Database) -> dict[str, str]:
    with database.read() as connection:
        there = sa.select(documents.c.doc_id, documents.c.text).where(~documents.c.deleted)
        return {row.doc_id.removesuffix(".txt"): row.text for row in connection.execute(there)}


def until(true: Callable[[], bool], *streams: Stream) -> None:
    """Step until it is true, then until nothing comes any more."""

    def done() -> bool:
        came = 0
        for stream in streams:
            with suppress(Unavailable):  # a source may have room for one reader only
                came += stream.step()
        return true() and came == 0

    wait_until(done, "all changes", _PATIENCE_S, lambda _: None)


def test_each_document_s_changes_count_once_and_in_their_order(
    source: Source, open_stream: OpenStream, database: Database
) -> None:
    stream = open_stream()
    for number in range(24):
        source.send(f"doc-{number % 4}", f"text {number}")
    source.send("doc-0", None)
    newest = {f"doc-{number}": f"text {20 + number}" for number in range(1, 4)}
    until(lambda: texts(database) == newest, stream)
    told = {("doc-0", "delete"): 1, **{(f"doc-{n}", "upsert"): 6 for n in range(4)}}
    assert Counter(log_of(database)) == (told if source.keeps_history else {(name, "upsert"): 1 for name in newest})


def test_a_second_reader_goes_on_where_the_catalog_stands(
    source: Source, open_stream: OpenStream, database: Database
) -> None:
    first = open_stream()
    source.send("a", "one")
    until(lambda: texts(database) == {"a": "one"}, first)
    first.close()
    source.send("a", "two")
    second = open_stream()
    until(lambda: texts(database) == {"a": "two"}, second)
    told = second.progress.changes
    if not source.keeps_history:  # a file that is still young may be looked at again, and has not changed
        del told["unchanged"]
    assert told == Counter(changed=1)


def test_what_the_catalog_did_not_take_comes_again_though_nothing_new_comes(
    source: Source, open_stream: OpenStream, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, refused = open_stream(), threading.Event()
    source.send("a", "one")
    source.send("b", "two")

    def busy(*_batch: object) -> None:
        refused.set()
        raise Unavailable("the catalog cannot take the request now")

    def step() -> bool:
        with suppress(Unavailable):
            stream.step()
        return refused.is_set()

    with monkeypatch.context() as patch:
        patch.setattr(Ingestor, "accept", busy)
        wait_until(step, "a batch", _PATIENCE_S, lambda _: None)
    until(lambda: len(log_of(database)) >= 2, stream)
    assert texts(database) == {"a": "one", "b": "two"}
    assert sorted(log_of(database)) == [("a", "upsert"), ("b", "upsert")]


def test_two_readers_at_once_apply_nothing_twice_and_skip_nothing(
    source: Source, open_stream: OpenStream, database: Database
) -> None:
    readers, ended = [open_stream(), open_stream()], threading.Event()

    def read(stream: Stream) -> None:
        while not ended.is_set():
            with suppress(Unavailable):
                stream.step()

    threads = [threading.Thread(target=read, args=(stream,)) for stream in readers]
    for thread in threads:
        thread.start()
    try:
        for number in range(60):
            source.send(f"doc-{number % 6}", f"text {number}")
        newest = {f"doc-{number}": f"text {54 + number}" for number in range(6)}
        wait_until(lambda: texts(database) == newest, "all changes", _PATIENCE_S, lambda _: None)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    until(lambda: True, *readers)
    assert texts(database) == newest
    counted = Counter(log_of(database))
    if source.keeps_history:
        assert counted == {(name, "upsert"): 10 for name in newest}
    else:
        assert counted.keys() == {(name, "upsert") for name in newest}
        assert max(counted.values()) <= 10


def test_what_waits_is_told_while_another_thread_reads(
    source: Source, open_stream: OpenStream, database: Database
) -> None:
    stream, ended = open_stream(), threading.Event()
    source.send("a", "one")
    until(lambda: texts(database) == {"a": "one"}, stream)

    def read() -> None:
        while not ended.is_set():
            stream.step()

    told: list[dict[str, int]] = []
    reading = threading.Thread(target=read)
    asking = threading.Thread(target=lambda: told.extend(stream.lag() for _ in range(3)))
    reading.start()
    asking.start()
    try:
        wait_until(lambda: not asking.is_alive(), "what waits", _PATIENCE_S, lambda _: None)
    finally:
        ended.set()
        reading.join()
    assert len(told) == 3
    if source.counts_what_waits:
        assert {sum(waiting.values()) for waiting in told} == {0}
        source.send("a", "two")
        source.send("b", "three")
        assert sum(stream.lag().values()) == 2


def test_garbage_is_set_aside_with_its_bytes_and_the_rest_flows(
    source: Source, open_stream: OpenStream, database: Database
) -> None:
    stream = open_stream()
    source.send("a", "before")
    source.garble()
    source.send("a", "after")
    until(lambda: texts(database) == {"a": "after"} and stream.progress.changes["quarantined"] > 0, stream)
    with database.read() as connection:
        (aside,) = list_quarantine(connection, "main")
        original = read_original(connection, aside.key)
    assert aside.reason.split(": ")[0] in ("Invalid input", "UnreadableContent")
    assert original is not None and b"merge" in original.content


def test_a_source_that_is_away_is_unavailable_and_is_read_on_when_it_is_back(
    source: Source, open_stream: OpenStream, database: Database
) -> None:
    if isinstance(source, PubSubSource) and source.stays:
        pytest.skip("Google's emulator cannot be sent away")
    stream = open_stream()
    source.send("a", "one")
    until(lambda: texts(database) == {"a": "one"}, stream)
    source.leave()

    def notices() -> bool:
        try:
            stream.step()
        except Unavailable:
            return True
        return False

    try:
        wait_until(notices, "Unavailable", _PATIENCE_S, lambda _: None)
    finally:
        source.come_back()
    source.send("a", "two")
    until(lambda: texts(database) == {"a": "two"}, stream)
    assert log_of(database) == [("a", "upsert")] * 2
