"""A table that a user works on, in a database of its own, and readers that take it into a catalog."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import documents_of_feed
from include.quarry.catalog.schema import documents
from include.quarry.errors import Unavailable
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.pace import Pace
from include.quarry.feeds.postgres import PostgresFeed
from include.quarry.feeds.rows import RowMapping
from include.quarry.feeds.stream import Stream
from include.quarry.operations.health import wait_until
from include.quarry.records import DocumentKey

PATIENCE_S = 90.0
_STEPS = 1_000
MAPPING = RowMapping("main", ("id",), ("title", "body"), tenant="red", title="title", metadata=("price", "live"))
TABLE = """CREATE TABLE notes (
    id int PRIMARY KEY, shop text NOT NULL DEFAULT 'red', title text, body text, price numeric, live bool DEFAULT true
)"""


class Shop:
    """The table `notes`."""

    def __init__(self, url: str, table: str = TABLE) -> None:
        self.url = url
        self.connection: Any = psycopg2.connect(url)
        self.connection.autocommit = True
        self.do(table)

    def do(self, *statements: str) -> None:
        with self.connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def rows(self) -> dict[str, str]:
        """doc_id -> the text that the catalog must hold."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT id, title, body FROM notes")
            return {str(row[0]): "\n\n".join(text for text in row[1:] if text) for row in cursor.fetchall()}


@contextmanager
def shops(server: str, table: str = TABLE, of: str = "") -> Iterator[Shop]:
    """A shop on the server; `of` says what kind of database it has."""
    name = f"shop_{uuid.uuid4().hex[:8]}"
    admin = psycopg2.connect(server)
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} {of}")
    shop = Shop(server.rpartition("/")[0] + "/" + name, table)
    yield shop
    shop.connection.close()
    with admin.cursor() as cursor:
        cursor.execute("SELECT slot_name FROM pg_replication_slots WHERE database = %s AND NOT active", (name,))
        for (slot,) in cursor.fetchall():
            cursor.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
    admin.close()


class Readers:
    """Opens readers of one slot."""

    def __init__(self, shop: Shop, database: Database) -> None:
        self.slot = f"quarry_{uuid.uuid4().hex[:8]}"
        self._shop = shop
        self._database = database
        self._streams: list[Stream] = []

    def __call__(self, least: int = 16, mapping: RowMapping = MAPPING) -> Stream:
        feed = PostgresFeed(self._shop.url, "notes", mapping, slot=self.slot, known=self._known)
        pace = Pace(least=least, most=max(least, 64), wait_s=0.1)
        self._streams.append(Stream(feed, Ingestor(self._database, make_chunker, 1_000_000), self._database, pace))
        return self._streams[-1]

    def close(self) -> None:
        for stream in self._streams:
            stream.close()

    def _known(self, feed: str) -> list[DocumentKey]:
        with self._database.read() as connection:
            return documents_of_feed(connection, feed)


def held(database: Database) -> dict[str, str]:
    """doc_id -> the text that the catalog holds."""
    with database.read() as connection:
        rows = connection.execute(sa.select(documents.c.doc_id, documents.c.text).where(~documents.c.deleted))
        return {row.doc_id: row.text for row in rows}


def until_equal(shop: Shop, database: Database, stream: Stream) -> None:
    """Step until the first reading is over, and the catalog has what the table has."""

    def equal() -> bool:
        try:
            drained = any(stream.step() == 0 for _ in range(_STEPS))
            return drained and stream._feed._reading is None and held(database) == shop.rows()
        except Unavailable:  # a slot is given free a moment after its reader left
            return False

    wait_until(equal, "the catalog to equal the table", PATIENCE_S, lambda _: None)
