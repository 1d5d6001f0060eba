"""What the contract of change feeds asks of a source: documents that change in it, garbage, and that it goes away."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import psycopg2
from confluent_kafka import Producer

from include.quarry.catalog.database import Database
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.kafka import KafkaFeed
from include.quarry.feeds.listing import ListedFeed
from include.quarry.feeds.postgres import PostgresFeed
from include.quarry.feeds.protocol import ChangeFeed, Deleted, Garbled, Upserted
from include.quarry.feeds.pubsub import PubSubFeed
from include.quarry.feeds.rows import RowMapping
from include.quarry.records import DocumentKey, RawDocument
from tests.servers.kafka import KafkaServer, make_topic
from tests.servers.pubsub import PubSubServer, Topic
from tests.unit.feeds.memory_feed import MemoryFeed, MemoryTopic

GARBAGE = b'{"op": "merge \xf0\x9f\x90\x99"}'


class Source(Protocol):
    """A place where the documents of tenant `red` change. What `garble` sends holds the word `merge`.

    One that keeps no history shows what is there, and not what was there between two looks.
    """

    keeps_history: bool
    counts_what_waits: bool

    def open(self) -> ChangeFeed: ...

    def send(self, doc_id: str, text: str | None) -> None: ...

    def garble(self) -> None: ...

    def leave(self) -> None: ...

    def come_back(self) -> None: ...


def event(doc_id: str, text: str | None) -> bytes:
    of = {"tenant": "red", "doc_id": doc_id}
    return json.dumps(of | ({"op": "delete"} if text is None else {"op": "upsert", "text": text})).encode()


class MemorySource:
    keeps_history = True
    counts_what_waits = True

    def __init__(self) -> None:
        self._topic = MemoryTopic()

    def open(self) -> ChangeFeed:
        return MemoryFeed(self._topic)

    def send(self, doc_id: str, text: str | None) -> None:
        key = DocumentKey("main", "red", doc_id)
        raw = RawDocument(key, f"memory://{doc_id}", (text or "").encode(), "text/plain")
        self._topic.send(doc_id[-1], Deleted(key) if text is None else Upserted(raw))

    def garble(self) -> None:
        key = DocumentKey("main", "default", "memory/1")
        self._topic.send("0", Garbled(key, "memory://1", "Invalid input: no such op", GARBAGE))

    def leave(self) -> None:
        self._topic.away = True

    def come_back(self) -> None:
        self._topic.away = False


class FolderSource:
    """Each document is a text file."""

    keeps_history = False
    counts_what_waits = False

    def __init__(self, folder: Path, database: Database) -> None:
        self._folder = folder
        self._folder.mkdir()
        self._database = database

    def open(self) -> ChangeFeed:
        return ListedFeed(FolderFeed(self._folder, "main", "red", 10_000), "main", "red", self._database)

    def send(self, doc_id: str, text: str | None) -> None:
        path = self._folder / f"{doc_id}.txt"
        if text is None:
            path.unlink()
            return
        draft = self._folder / f".{doc_id}"
        draft.write_text(text)
        draft.rename(path)

    def garble(self) -> None:
        (self._folder / "garbage.pdf").write_bytes(GARBAGE)

    def leave(self) -> None:
        self._folder.rename(self._folder.with_name("elsewhere"))

    def come_back(self) -> None:
        self._folder.with_name("elsewhere").rename(self._folder)


class KafkaSource:
    keeps_history = True
    counts_what_waits = True

    def __init__(self, server: KafkaServer) -> None:
        self._server = server
        self._topic = f"documents-{uuid.uuid4().hex[:8]}"
        make_topic(server.address, self._topic, 2)
        self._producer = Producer({"bootstrap.servers": server.address})

    def open(self) -> ChangeFeed:
        options = {"session.timeout.ms": "6000", "socket.timeout.ms": "2000"}
        return KafkaFeed(self._server.address, self._topic, group="quarry", corpus="main", options=options)

    def send(self, doc_id: str, text: str | None) -> None:
        self._produce(event(doc_id, text), f"red/{doc_id}")

    def garble(self) -> None:
        self._produce(GARBAGE, "red/a")

    def _produce(self, value: bytes, key: str) -> None:
        self._producer.produce(self._topic, value, key)
        assert self._producer.flush(30) == 0

    def leave(self) -> None:
        self._server.pause()

    def come_back(self) -> None:
        self._server.go_on()


class PostgresSource:
    """A table in a database of its own, which lets nobody in while the source is away."""

    keeps_history = True
    counts_what_waits = False

    def __init__(self, server: str, known: Callable[[str], list[DocumentKey]]) -> None:
        self._name, self._known = f"shop_{uuid.uuid4().hex[:8]}", known
        self._admin = psycopg2.connect(server)
        self._admin.autocommit = True
        self._do(self._admin, f"CREATE DATABASE {self._name}")
        self._url = server.rpartition("/")[0] + "/" + self._name
        self.come_back()
        self._do(self._connection, "CREATE TABLE notes (id text PRIMARY KEY, body text)")

    def open(self) -> ChangeFeed:
        mapping = RowMapping("main", ("id",), ("body",), tenant="red")
        return PostgresFeed(self._url, "notes", mapping, slot=self._name, known=self._known)

    def send(self, doc_id: str, text: str | None) -> None:
        if text is None:
            self._do(self._connection, "DELETE FROM notes WHERE id = %s", doc_id)
        else:
            upsert = "INSERT INTO notes VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
            self._do(self._connection, upsert, doc_id, text)

    def garble(self) -> None:
        self.send("../merge", "A row whose key is no name of a document.")

    def leave(self) -> None:
        self._connection.close()
        self._do(self._admin, f"ALTER DATABASE {self._name} WITH ALLOW_CONNECTIONS false")
        self._do(self._admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", self._name)

    def come_back(self) -> None:
        self._do(self._admin, f"ALTER DATABASE {self._name} WITH ALLOW_CONNECTIONS true")
        self._connection = psycopg2.connect(self._url)
        self._connection.autocommit = True

    def _do(self, connection: Any, statement: str, *values: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)


class PubSubSource:
    """`server` is None where Google's emulator stands in for it, which cannot be sent away."""

    keeps_history = True
    counts_what_waits = False

    def __init__(self, server: PubSubServer | None) -> None:
        self._server = server
        self.stays = server is None
        self._topic = Topic()

    def open(self) -> ChangeFeed:
        return PubSubFeed(self._topic.project, self._topic.subscription, corpus="main")

    def send(self, doc_id: str, text: str | None) -> None:
        self._topic.publish(event(doc_id, text), f"red/{doc_id}")

    def garble(self) -> None:
        self._topic.publish(GARBAGE, "red/a")

    def leave(self) -> None:
        assert self._server is not None
        self._server.stop()

    def come_back(self) -> None:
        assert self._server is not None
        self._server.start()
