"""Tables and databases of all sorts: partitioned, with a publication of the user's own, large values, not UTF-8."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg2 import sql

from include.quarry.catalog.database import Database, migrate
from include.quarry.errors import Misconfigured
from include.quarry.feeds.postgres_table import PostgresTable
from tests.conftest import postgres_server
from tests.integration.shop import MAPPING, TABLE, Readers, Shop, held, shops, until_equal

pytestmark = pytest.mark.integration
_PARTITIONED = f"""{TABLE} PARTITION BY RANGE (id);
CREATE TABLE notes_low PARTITION OF notes FOR VALUES FROM (0) TO (100);
CREATE TABLE notes_high PARTITION OF notes FOR VALUES FROM (100) TO (200)"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server("-c wal_level=logical") as url:
        yield url


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    migrate(f"sqlite:///{tmp_path / 'catalog.db'}")
    database = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield database
    database.close()


@pytest.fixture
def kind() -> dict[str, str]:
    """What the table and the database of a test are made with."""
    return {}


@pytest.fixture
def shop(server: str, kind: dict[str, str]) -> Iterator[Shop]:
    with shops(server, **kind) as shop:
        yield shop


@pytest.fixture
def open_stream(shop: Shop, database: Database) -> Iterator[Readers]:
    readers = Readers(shop, database)
    yield readers
    readers.close()


@pytest.mark.parametrize("kind", [{"table": _PARTITIONED}])
def test_a_partitioned_table_is_followed_as_one(shop: Shop, database: Database, open_stream: Readers) -> None:
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One'), (101, 'red', 'Many'), (2, 'red', 'Two')")
    stream = open_stream()
    until_equal(shop, database, stream)
    shop.do(
        "INSERT INTO notes VALUES (3, 'red', 'Three')",
        "UPDATE notes SET title = 'More' WHERE id = 101",
        "UPDATE notes SET id = 102 WHERE id = 2",
        "DELETE FROM notes WHERE id = 1",
    )
    until_equal(shop, database, stream)
    assert held(database).keys() == {"3", "101", "102"}
    shop.do("TRUNCATE notes")
    until_equal(shop, database, stream)


@pytest.mark.parametrize("kind", [{"table": _PARTITIONED}])
def test_a_publication_that_names_partitions_is_the_operator_s_to_mend(
    shop: Shop, database: Database, open_stream: Readers
) -> None:
    shop.do(f"CREATE PUBLICATION {open_stream.slot} FOR TABLE notes")
    stream = open_stream()
    with pytest.raises(Misconfigured, match="publish_via_partition_root = true") as refused:
        stream.step()
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One')", _remedy(refused.value))
    until_equal(shop, database, stream)


@pytest.mark.parametrize(
    ("of", "said"),
    [("FOR TABLE other", "ADD TABLE public.notes"), ("FOR TABLE notes WITH (publish = 'insert')", "SET .publish = ")],
)
def test_a_publication_that_leaves_something_out_is_the_operator_s_to_mend(
    shop: Shop, database: Database, open_stream: Readers, of: str, said: str
) -> None:
    shop.do("CREATE TABLE other (id int PRIMARY KEY)", f"CREATE PUBLICATION {open_stream.slot} {of}")
    stream = open_stream()
    with pytest.raises(Misconfigured, match=said) as refused:
        stream.step()
    shop.do(_remedy(refused.value))
    until_equal(shop, database, stream)
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One')")
    until_equal(shop, database, stream)


def test_a_publication_of_all_tables_will_do(shop: Shop, database: Database, open_stream: Readers) -> None:
    shop.do(f"CREATE PUBLICATION {open_stream.slot} FOR ALL TABLES")
    stream = open_stream()
    until_equal(shop, database, stream)
    shop.do("INSERT INTO notes VALUES (1, 'red', 'One')")
    until_equal(shop, database, stream)


def test_a_slot_of_another_database_is_left_alone(
    server: str, shop: Shop, database: Database, open_stream: Readers
) -> None:
    stream = open_stream()
    with shops(server) as other:
        other.do(f"SELECT pg_create_logical_replication_slot('{open_stream.slot}', 'pgoutput')")
        with pytest.raises(Misconfigured, match="another database"):
            for _ in range(2):
                stream.step()
        with other.connection.cursor() as cursor:
            cursor.execute(
                f"SELECT database = current_database() FROM pg_replication_slots WHERE slot_name = '{open_stream.slot}'"
            )
            assert cursor.fetchall() == [(True,)]


def test_a_large_value_that_was_not_sent_is_looked_up_by_the_key_s_index(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.do("INSERT INTO notes SELECT n, 'red', 'Note ' || n FROM generate_series(1, 100) n", "ANALYZE notes")
    table, asked = PostgresTable(shop.url, "notes", MAPPING), list[tuple[Any, tuple[str | None, ...]]]()
    one = table._one

    def heard(query: Any, *values: str | None) -> Any:
        asked.append((query, values))
        return one(query, *values)

    monkeypatch.setattr(table, "_one", heard)
    found = table.look_up({"id": "5", "title": "Note 5"})
    assert found is not None and found["title"] == "Note 5"
    assert table.look_up({"id": "500"}) is None
    assert table.look_up({"id": None}) is None
    shop.do("SET enable_seqscan = off")  # a table this small is scanned faster than its index
    with shop.connection.cursor() as cursor:
        cursor.execute(sql.SQL("EXPLAIN {}").format(asked[0][0]), asked[0][1])
        plan = " ".join(line for (line,) in cursor.fetchall())
    assert "Index Scan using notes_pkey" in plan
    assert "Seq Scan" not in plan


@pytest.mark.parametrize("kind", [{"of": "TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"}])
def test_a_database_that_is_not_utf_8_is_read_and_followed_alike(
    shop: Shop, database: Database, open_stream: Readers
) -> None:
    shop.do("ALTER TABLE notes ALTER body SET STORAGE EXTERNAL")
    shop.do("INSERT INTO notes VALUES (1, 'red', 'café', repeat('thé ', 5000))")
    stream = open_stream()
    until_equal(shop, database, stream)
    shop.do("INSERT INTO notes VALUES (2, 'red', 'crème')", "UPDATE notes SET title = 'Café' WHERE id = 1")
    until_equal(shop, database, stream)
    assert held(database)["2"] == "crème"


def _remedy(error: Misconfigured) -> str:
    """The statement that the message tells to give."""
    said = str(error)
    return said[said.index("ALTER PUBLICATION") :].split(", and ", maxsplit=1)[0]
