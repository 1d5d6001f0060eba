"""The catalog's database: SQLite in WAL mode by default, PostgreSQL by URL, with the same promises on both.

`read` sees one consistent snapshot. `write` is atomic and durable when it returns, and writers take turns, so that
changes become visible in the order of their `seq`: a follower that has seen 7 will never find a late 6.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.dialects import postgresql, sqlite

from include.quarry.errors import Misconfigured, Unavailable

_BUSY_TIMEOUT_MS = 30_000
_NO_TABLES = ("unable to open database file", "no such table", "no such column")
_WRITER_LOCK = 0x51554152  # "QUAR": PostgreSQL's advisory lock that writers of the log queue for


class Database:
    """Connections to one catalog. Safe to share between threads; a process that forks must make its own.

    Transactions raise `Unavailable` when the database is busy beyond its timeout, or gone.
    """

    def __init__(self, url: str) -> None:
        # An error of the database would otherwise quote the row that it is about: texts of documents, in the log.
        self._engine = sa.create_engine(
            _with_driver(url),
            pool_pre_ping=True,
            hide_parameters=True,
            json_serializer=_to_json,
            json_deserializer=orjson.loads,
        )
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        if self._is_sqlite:
            sa.event.listen(self._engine, "connect", _prepare_sqlite)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A read-only transaction over one snapshot of the catalog."""
        with _available(), self._engine.connect() as connection:
            if self._is_sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    @contextmanager
    def write(self, *, in_turn: bool = True) -> Iterator[sa.Connection]:
        """A transaction that commits when the block ends and rolls back when it raises.

        Out of turn, writers of tables that nobody follows by `seq` need not queue where the database can do without.
        """
        with _available(), self._engine.connect() as connection:
            if self._is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_BUSY_TIMEOUT_MS}")  # else it waits for ever
                if in_turn:
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER_LOCK)))
            yield connection
            connection.commit()

    def close(self) -> None:
        """Give all connections back."""
        self._engine.dispose()


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A catalog for the length of a block."""
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def migrate(url: str) -> None:
    """Bring the catalog's tables up to the newest revision, creating the SQLite file where there is none.

    Raises `Unavailable` when the database does not answer.
    """
    parsed = _with_driver(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = parsed
    with _available():
        command.upgrade(config, "head")


@contextmanager
def _available() -> Iterator[None]:
    try:
        yield
    except (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError, sa.exc.ProgrammingError) as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
        wrong = isinstance(error, sa.exc.ProgrammingError)  # PostgreSQL's word for what SQLite calls operational
        if any(words in reason for words in _NO_TABLES) or (wrong and " does not exist" in reason):
            raise Unavailable(
                f"the catalog is not there, or of another version than this code ({reason}); `make up` makes it, "
                "or `python -m include.quarry migrate`; then try again"
            ) from error
        if wrong:
            raise
        raise Unavailable(f"the catalog cannot take the request now ({reason}); try again") from error


def _with_driver(url: str) -> sa.URL:
    """The URL with the driver that Quarry is tested with. No message shows the URL: it may hold a password."""
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise Misconfigured(
            "QUARRY_DATABASE_URL cannot be read; write postgresql://USER:PASSWORD@HOST:PORT/NAME, with the password's "
            "special characters as %XX"
        ) from None
    drivers = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}
    backend = parsed.get_backend_name()
    if backend not in drivers:
        raise Misconfigured(f"catalog URL names {backend!r}; allowed are {sorted(drivers)}; set QUARRY_DATABASE_URL")
    return parsed.set(drivername=drivers[backend])


def _to_json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # half a surrogate pair, or a whole number of more than 64 bits
        return json.dumps(value)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `read` and `write`, not by the driver
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",  # an acknowledged change survives a power cut, not only a killed process
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def insert_many(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows, all of the same columns, with one statement: only one that returns something may hold many.

    One each would have SQLite's driver let go of the interpreter, and wait for it, once a row.
    """
    if rows:
        connection.execute(sa.insert(table).returning(sa.literal_column("1")), list(rows))


def insert_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """`insert_many` of those rows whose unique key is not there yet; the others stay as they are."""
    if rows:
        dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
        missing = dialect.insert(table).on_conflict_do_nothing().returning(sa.literal_column("1"))
        connection.execute(missing, list(rows))
