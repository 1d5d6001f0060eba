"""Readers of one slot that come, wait, die and take over: no change of the table is lost between them."""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg2
import pytest

from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.offsets import store_offset
from include.quarry.errors import Unavailable
from include.quarry.feeds.postgres import PostgresFeed
from include.quarry.feeds.stream import Stream
from include.quarry.operations.health import wait_until
from include.quarry.records import DocumentKey
from tests.conftest import postgres_server
from tests.integration.shop import PATIENCE_S, Readers, Shop, held, shops, until_equal

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server("-c wal_level=logical") as url:
        yield url


@pytest.fixture
def shop(server: str) -> Iterator[Shop]:
    with shops(server) as shop:
        shop.do("INSERT INTO notes SELECT n, 'red', 'Note ' || n, 'v1' FROM generate_series(1, 60) n")
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


def begin(stream: Stream) -> None:
    """Step until the first rows are accepted."""
    while not stream.progress.changes:
        stream.step()


def patiently(act: Callable[[], object]) -> None:
    """Do it as soon as the reader before has gone, which the server notices a moment later."""

    def done() -> bool:
        try:
            act()
        except Unavailable:
            return False
        return True

    wait_until(done, "the reader before to be gone", PATIENCE_S, lambda _: None)


def test_a_second_reader_waits_while_the_first_one_reads_the_table(
    shop: Shop, database: Database, open_stream: Readers
) -> None:
    first, second = open_stream(least=8), open_stream(least=8)
    begin(first)
    shop.do("UPDATE notes SET body = 'v2' WHERE id = 1")
    with pytest.raises(Unavailable, match="another reader"):
        second.step()
    until_equal(shop, database, first)


def test_a_reader_that_dies_in_the_first_reading_is_followed_by_the_one_that_waits(
    shop: Shop, database: Database, open_stream: Readers
) -> None:
    first, second = open_stream(least=8), open_stream(least=8)
    begin(first)
    with pytest.raises(Unavailable):
        second.step()
    shop.do(
        "UPDATE notes SET body = 'v2' WHERE id = 1",
        "DELETE FROM notes WHERE id = 2",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    patiently(second.step)
    with pytest.raises(Unavailable):
        for _ in range(60):
            first.step()
    until_equal(shop, database, second)


def test_what_one_first_reading_brought_does_not_count_for_another(
    shop: Shop, database: Database, open_stream: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresFeed, "_claim", lambda _self: None, raising=False)  # as if both held the slot
    first, second = open_stream(least=8), open_stream(least=8)
    begin(first)
    shop.do("UPDATE notes SET body = 'v2' WHERE id = 1")
    begin(second)
    first.step()
    assert first.progress.fenced == 1
    until_equal(shop, database, second)


def test_the_last_batch_of_a_reader_that_died_does_not_count_once_another_has_begun(
    shop: Shop, database: Database, open_stream: Readers
) -> None:
    shop.do("TRUNCATE notes")
    first, second = open_stream(), open_stream()
    first.step()
    batches = first._feed.pull(first._offset, limit=8, wait_s=0.1)
    first.close()
    patiently(second.step)
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One')")
    assert first._ingestor.accept(first._feed.name, batches) == [None]
    until_equal(shop, database, second)


def test_a_first_reading_that_an_older_version_left_is_done_over(
    shop: Shop, database: Database, open_stream: Readers
) -> None:
    stream = open_stream(least=8)
    begin(stream)
    stream.close()
    shop.do("UPDATE notes SET body = 'v2' WHERE id = 1")
    with database.write() as connection:
        store_offset(connection, stream._feed.name, "public.notes", "snapshot/1")
    until_equal(shop, database, open_stream())


def test_a_catalog_that_is_away_at_the_end_of_the_first_reading_is_waited_for(
    shop: Shop, database: Database, open_stream: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_feed: str) -> list[DocumentKey]:
        raise Unavailable("the catalog does not answer")

    stream = open_stream()
    with monkeypatch.context() as patch:
        patch.setattr(stream._feed, "_known", away)
        with pytest.raises(Unavailable, match="catalog"):
            for _ in range(60):
                stream.step()
    shop.do("UPDATE notes SET body = 'v2' WHERE id = 1")
    until_equal(shop, database, stream)


def test_a_new_slot_is_never_taken_for_the_one_that_was_lost(
    shop: Shop, database: Database, open_stream: Readers
) -> None:
    first = open_stream()
    until_equal(shop, database, first)
    first.close()
    wait_until(lambda: dropped(shop, open_stream.slot), "the slot to be free", PATIENCE_S, lambda _: None)
    shop.do("UPDATE notes SET body = 'v2' WHERE id = 1", "DELETE FROM notes WHERE id = 2")
    for accepted in range(3):  # readers that die before the catalog has all that they read
        reader = open_stream(least=8)
        for _ in range(accepted):
            patiently(reader.step)
        patiently(partial(reader._feed.pull, reader._offset, limit=8, wait_s=0.1))
        reader.close()
    until_equal(shop, database, open_stream())
    assert "2" not in held(database)


def dropped(shop: Shop, slot: str) -> bool:
    with contextlib.suppress(psycopg2.errors.ObjectInUse):
        shop.do(f"SELECT pg_drop_replication_slot('{slot}')")
        return True
    return False
