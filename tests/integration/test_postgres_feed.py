"""The PostgreSQL feed against a real server that logs logically: whatever happens to the table, the catalog follows."""

import contextlib
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.log import documents_of_feed, find_document
from include.quarry.catalog.quarantine import list_quarantine
from include.quarry.catalog.schema import changes
from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.feeds.rows import RowMapping
from include.quarry.operations.health import wait_until
from include.quarry.records import DocumentKey
from tests.conftest import postgres_server
from tests.integration.shop import MAPPING, PATIENCE_S, Readers, Shop, held, shops, until_equal

pytestmark = pytest.mark.integration
BY_SHOP = replace(MAPPING, tenant="", tenant_column="shop")
_OPTIONS = (
    "-c wal_level=logical -c max_slot_wal_keep_size=32MB -c wal_keep_size=0 -c max_wal_size=32MB -c min_wal_size=32MB"
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server(_OPTIONS) as url:
        yield url


@pytest.fixture
def shop(server: str) -> Iterator[Shop]:
    with shops(server) as shop:
        yield shop


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    migrate(f"sqlite:///{tmp_path / 'catalog.db'}")
    database = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield database
    database.close()


@pytest.fixture
def open_stream(shop: Shop, database: Database) -> Iterator[Readers]:
    readers = Readers(shop, database)
    yield readers
    readers.close()


def test_inserts_updates_deletes_and_new_keys_are_followed(shop: Shop, database: Database, open_stream) -> None:
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One', 'first', 1.50), (2, 'blue', 'Two', NULL, NULL)")
    stream = open_stream()
    until_equal(shop, database, stream)
    shop.do(
        "INSERT INTO notes VALUES (3, 'red', 'Three', 'third', 3)",
        "UPDATE notes SET body = 'second' WHERE id = 2",
        "UPDATE notes SET id = 30 WHERE id = 3",
        "DELETE FROM notes WHERE id = 1",
    )
    until_equal(shop, database, stream)
    with database.read() as connection:
        row = find_document(connection, DocumentKey("main", "red", "2"))
        assert row is not None
        assert (row.title, row.text, row.metadata) == ("Two", "Two\n\nsecond", {"live": "t"})
        assert find_document(connection, DocumentKey("main", "red", "3")).deleted


def test_a_row_that_goes_to_another_tenant_is_gone_from_the_first(shop: Shop, database: Database, open_stream) -> None:
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One'), (2, 'red', 'Two')")
    with pytest.raises(Misconfigured, match="REPLICA IDENTITY FULL"):
        open_stream(mapping=BY_SHOP).step()
    shop.do("ALTER TABLE notes REPLICA IDENTITY FULL")
    stream = open_stream(mapping=BY_SHOP)
    until_equal(shop, database, stream)
    shop.do("UPDATE notes SET shop = 'blue' WHERE id = 1", "DELETE FROM notes WHERE id = 2")

    def moved() -> bool:
        stream.step()
        with database.read() as connection:
            return documents_of_feed(connection, stream._feed.name) == [DocumentKey("main", "blue", "1")]

    wait_until(moved, "the row to have one tenant", PATIENCE_S, lambda _: None)


def test_a_row_read_and_the_same_row_sent_are_the_same_document(shop: Shop, database: Database, open_stream) -> None:
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One', 'first', 1.50, false)")
    stream = open_stream()
    until_equal(shop, database, stream)
    shop.do("UPDATE notes SET title = title", "INSERT INTO notes VALUES (2, 'red', 'Two', 'x', 2, false)")
    until_equal(shop, database, stream)
    with database.read() as connection:
        assert Counter(connection.scalars(sa.select(changes.c.doc_id))) == {"1": 1, "2": 1}


def test_a_large_value_that_was_not_sent_is_kept(shop: Shop, database: Database, open_stream) -> None:
    shop.do(
        "ALTER TABLE notes ALTER body SET STORAGE EXTERNAL",
        "INSERT INTO notes VALUES (1, 'red', 'One', repeat('large ', 5000))",
    )
    stream = open_stream()
    until_equal(shop, database, stream)
    shop.do("UPDATE notes SET title = 'Uno' WHERE id = 1")
    until_equal(shop, database, stream)
    shop.do("ALTER TABLE notes REPLICA IDENTITY FULL", "UPDATE notes SET title = 'Ein' WHERE id = 1")
    until_equal(shop, database, stream)


def test_a_truncate_deletes_what_the_table_had_and_nothing_else(shop: Shop, database: Database, open_stream) -> None:
    shop.do("INSERT INTO notes SELECT n, 'red', 'Note ' || n FROM generate_series(1, 40) n")
    stream = open_stream()
    until_equal(shop, database, stream)
    shop.do("TRUNCATE notes", "INSERT INTO notes VALUES (7, 'red', 'Seven again')")
    until_equal(shop, database, stream)


def test_a_new_column_does_no_harm_and_a_lost_one_sets_rows_aside(shop: Shop, database: Database, open_stream) -> None:
    stream = open_stream()
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One')", "ALTER TABLE notes ADD extra text DEFAULT 'x'")
    shop.do("INSERT INTO notes VALUES (2, 'red', 'Two')")
    until_equal(shop, database, stream)
    before = held(database)
    shop.do("ALTER TABLE notes RENAME body TO words", "INSERT INTO notes (id, title) VALUES (3, 'Three')")

    def set_aside() -> bool:
        stream.step()
        with database.read() as connection:
            return any("no column 'body'" in found.reason for found in list_quarantine(connection, "main"))

    wait_until(set_aside, "the row to be set aside", PATIENCE_S, lambda _: None)
    assert held(database) == before


def test_writes_during_the_first_reading_are_neither_lost_nor_doubled(
    shop: Shop, database: Database, open_stream
) -> None:
    shop.do("INSERT INTO notes SELECT n, 'red', 'Note ' || n, 'as it began' FROM generate_series(1, 300) n")
    ended = threading.Event()

    def write() -> None:
        other = psycopg2.connect(shop.url)
        other.autocommit = True
        with other.cursor() as cursor:
            for number in itertools.count(1):
                if ended.is_set():
                    break
                cursor.execute("UPDATE notes SET body = %s WHERE id = %s", (f"write {number}", number % 300 + 1))
                cursor.execute("DELETE FROM notes WHERE id = %s", (number * 7 % 300 + 1,))
                cursor.execute("INSERT INTO notes VALUES (%s, 'red', 'New')", (1000 + number,))
        other.close()

    writer = threading.Thread(target=write)
    writer.start()
    stream = open_stream(least=8)
    try:
        for _ in range(60):
            stream.step()
    finally:
        ended.set()
        writer.join()
    until_equal(shop, database, stream)
    with database.read() as connection:
        versions = Counter(connection.execute(sa.select(changes.c.doc_id, changes.c.doc_version)).tuples())
    assert set(versions.values()) == {1}


def test_a_first_reading_that_was_cut_off_is_done_over_and_deletes_are_not_missed(
    shop: Shop, database: Database, open_stream
) -> None:
    shop.do("INSERT INTO notes SELECT n, 'red', 'Note ' || n FROM generate_series(1, 100) n")
    first = open_stream(least=8)
    for _ in range(4):
        first.step()
    first.close()
    assert 0 < len(held(database)) < 100
    shop.do("DELETE FROM notes WHERE id <= 10")
    second = open_stream()
    until_equal(shop, database, second)
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).where(changes.c.doc_id == "20")) == 1


def test_a_slot_that_was_dropped_is_made_again_and_nothing_is_lost(shop: Shop, database: Database, open_stream) -> None:
    shop.do("INSERT INTO notes SELECT n, 'red', 'Note ' || n FROM generate_series(1, 20) n")
    first = open_stream()
    until_equal(shop, database, first)
    slot = first._feed._slot
    first.close()
    wait_until(lambda: _dropped(shop, slot), "the slot to be free", PATIENCE_S, lambda _: None)
    shop.do("DELETE FROM notes WHERE id = 3", "UPDATE notes SET title = 'Changed' WHERE id = 4")
    until_equal(shop, database, open_stream())


def test_a_slot_that_fell_too_far_behind_is_made_again(shop: Shop, database: Database, open_stream) -> None:
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One'), (2, 'red', 'Two')")
    first = open_stream()
    until_equal(shop, database, first)
    first.close()
    shop.do("DELETE FROM notes WHERE id = 1", "CREATE TABLE bulk (t text)")
    slot = first._feed._slot

    def lost() -> bool:
        shop.do("INSERT INTO bulk SELECT repeat(md5(n::text), 100) FROM generate_series(1, 8000) n", "CHECKPOINT")
        return first._feed._table.slot_state(slot) == "lost"

    wait_until(lost, "the server to drop the slot's log", PATIENCE_S, lambda _: None)
    until_equal(shop, database, open_stream())


def test_a_transaction_larger_than_a_batch_is_gone_on_with_in_its_middle(
    shop: Shop, database: Database, open_stream
) -> None:
    first = open_stream(least=8)
    until_equal(shop, database, first)
    shop.do("INSERT INTO notes SELECT n, 'red', 'Note ' || n FROM generate_series(1, 100) n")
    wait_until(lambda: first.step() > 0, "the first batch", PATIENCE_S, lambda _: None)
    first.close()
    assert 0 < len(held(database)) < 100
    until_equal(shop, database, open_stream(least=8))
    with database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(changes)) == 100


def test_a_second_reader_waits_for_the_first_to_leave(shop: Shop, database: Database, open_stream) -> None:
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One')")
    first, second = open_stream(), open_stream()
    until_equal(shop, database, first)
    with pytest.raises(Unavailable, match="another reader"):
        second.step()
    first.close()
    shop.do("INSERT INTO notes VALUES (2, 'red', 'Two')")
    until_equal(shop, database, second)


def test_a_mapping_that_does_not_fit_the_table_is_the_operator_s_to_mend(open_stream) -> None:
    stream = open_stream(mapping=RowMapping("main", ("nowhere",), ("title",)))
    with pytest.raises(Misconfigured, match="nowhere"):
        for _ in range(2):
            stream.step()


def _dropped(shop: Shop, slot: str) -> bool:
    with contextlib.suppress(psycopg2.errors.ObjectInUse):
        shop.do(f"SELECT pg_drop_replication_slot('{slot}')")
        return True
    return False
