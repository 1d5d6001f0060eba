"""The SQL side of the PostgreSQL feed: the table, its publication, and how its slot stands."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final, Literal

import psycopg2
from psycopg2 import sql

from include.quarry.errors import Misconfigured
from include.quarry.feeds.pgoutput import Values
from include.quarry.feeds.rows import RowMapping

_VALUES = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex"
_LIVELY = "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
SESSION: Final[dict[str, Any]] = {"client_encoding": "UTF8", "options": f"{_VALUES} {_LIVELY}"}
"""Every session writes values alike, whatever the database's encoding, so that a row read and a row sent give the same
document. The server finds out within half a minute that a reader's host is gone, and lets go of what it held."""

_SLOT = "SELECT wal_status, database = current_database() FROM pg_replication_slots WHERE slot_name = %s"
_BACKLOG = """
SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn) FROM pg_replication_slots WHERE slot_name = %s
"""

_KIND = """
SELECT (SELECT relkind = 'p' FROM pg_class WHERE oid = %(table)s::regclass), bool_and(relreplident = 'f')
FROM pg_class WHERE relkind <> 'p' AND (
    oid = %(table)s::regclass OR oid IN (SELECT relid FROM pg_partition_tree(%(table)s::regclass))
)
"""
_PUBLICATION = """
SELECT pubviaroot, pubinsert AND pubupdate AND pubdelete AND pubtruncate, EXISTS (
    SELECT FROM pg_publication_tables t
    JOIN pg_namespace n ON n.nspname = t.schemaname
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
    WHERE t.pubname = p.pubname AND c.oid = %(table)s::regclass
) FROM pg_publication p WHERE pubname = %(publication)s
"""


class PostgresTable:
    """One table, `schema.name`. Every call has a connection of its own; raises what psycopg2 raises."""

    def __init__(self, dsn: str, name: str, mapping: RowMapping) -> None:
        self._dsn = dsn
        self.name = name if "." in name else f"public.{name}"
        self._identifier = sql.Identifier(*self.name.split(".", 1))
        self._key = mapping.key
        self._needs_old_rows = mapping.tenant_column not in ("", *mapping.key)
        self._columns = sorted(mapping.columns)
        self._texts = sql.SQL(", ").join(_text(name) for name in self._columns)

    def publish(self, publication: str) -> None:
        """See that the publication is there, as a user has made it, or else a new one. A partitioned table is sent as
        one, under its own name. Raises `Misconfigured` for a server, a table or a publication that tells too little."""
        with closing(self._connect()) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SHOW wal_level")
            (level,) = cursor.fetchone() or ("",)
            if level != "logical":
                raise Misconfigured(f"the PostgreSQL server has wal_level={level}; set it to logical and start it anew")
            cursor.execute(_KIND, {"table": self.name})
            partitioned, whole_old_rows = cursor.fetchone() or (False, False)
            if self._needs_old_rows and whole_old_rows is False:
                raise Misconfigured(
                    f"the tenant column of {self.name} is not part of the key, so a delete would not say whose row it "
                    f"was; ALTER TABLE {self.name} REPLICA IDENTITY FULL, and each of its partitions"
                )
            cursor.execute(_PUBLICATION, {"publication": publication, "table": self.name})
            found = cursor.fetchone()
            if found is None:
                make = sql.SQL("CREATE PUBLICATION {} FOR TABLE {} WITH (publish_via_partition_root = true)")
                cursor.execute(make.format(sql.Identifier(publication), self._identifier))
                return
            via_root, has_all_changes, has_table = found
            if partitioned and not via_root:
                raise _incomplete(publication, self.name, "SET (publish_via_partition_root = true)")
            if not has_all_changes:
                raise _incomplete(publication, self.name, "SET (publish = 'insert, update, delete, truncate')")
            if not has_table:
                raise _incomplete(publication, self.name, f"ADD TABLE {self.name}")

    def slot_state(self, slot: str) -> Literal["absent", "usable", "lost"]:
        """Whether the slot is there, and whether the server still has what it needs. Raises `Misconfigured` for a slot
        of another database, which is not ours to drop."""
        row = self._one(_SLOT, slot)
        if row is not None and row[1] is not True:
            raise Misconfigured(
                f"slot {slot!r} of the server belongs to another database; give the feed another `slot`"
            )
        return "absent" if row is None else "lost" if row[0] == "lost" else "usable"

    def backlog_bytes(self, slot: str) -> int:
        """How much of the server's log the slot holds back."""
        row = self._one(_BACKLOG, slot)
        return int(row[0] or 0) if row else 0

    def rows(self, snapshot: str | None, size: int) -> Iterator[list[Values]]:
        """All rows as they were when the snapshot was taken, or as they are now, `size` at a time."""
        query = sql.SQL("SELECT {} FROM {}").format(self._texts, self._identifier)
        with closing(self._connect()) as connection, connection.cursor() as setting:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            if snapshot is not None:
                setting.execute("SET TRANSACTION SNAPSHOT %s", (snapshot,))
            with connection.cursor("quarry_rows") as cursor:
                cursor.execute(query)
                while found := cursor.fetchmany(size):
                    yield [dict(zip(self._columns, row, strict=True)) for row in found]

    def look_up(self, row: Values) -> Values | None:
        """The row with this key as it is now; None when it is gone."""
        same = sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in self._key)
        query = sql.SQL("SELECT {} FROM {} WHERE {}").format(self._texts, self._identifier, same)
        key = (row.get(name) for name in self._key)  # literals take the columns' types, so that an index serves
        found = self._one(query, *(value if isinstance(value, str) else None for value in key))
        return None if found is None else dict(zip(self._columns, found, strict=True))

    def _one(self, query: Any, *values: str | None) -> Any:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchone()

    def _connect(self) -> Any:
        return psycopg2.connect(self._dsn, application_name="quarry", **SESSION)


def _incomplete(publication: str, table: str, change: str) -> Misconfigured:
    return Misconfigured(
        f"the publication {publication} leaves out changes of {table}; ALTER PUBLICATION {publication} {change}, and "
        f"SELECT pg_drop_replication_slot('{publication}'), so that the table is read anew with what was left out"
    )


def _text(column: str) -> sql.Composable:
    """A column as its output function writes it, which is how logical replication sends it; null becomes empty."""
    return sql.SQL("concat({})").format(sql.Identifier(column))
