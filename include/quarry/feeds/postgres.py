"""The PostgreSQL feed: a table's rows, by logical replication from a slot of our own.

A slot through psycopg2, and not Debezium's engine, for three reasons: nothing but PostgreSQL is needed (no Java, no
200 MB), a transaction's place in the log is ours to keep in the catalog, and a large value that was not sent can be
looked up at once.

The first reading takes the snapshot that the slot begins with, so no write falls between the two. Whatever interrupts
it, or loses the slot (dropped, or too far behind for the server's limit), it is done over: what is unchanged costs
nothing, and what the table no longer has is deleted at its end. A slot has one reader, from before it is made until the
reader's connection ends; a second one waits.

A partitioned table is one table. PostgreSQL does not tell of a partition that is truncated, detached or dropped on its
own: delete its rows first.

Offsets: `snapshot/READING/N` while a first reading goes on, then `LSN` of a transaction that is accepted whole, or
`LSN+N` after N of its changes. Each reading has a name of its own, and the catalog knows it before the slot is made: so
no batch of another reader counts from there on, and nobody goes on from an older place with a younger slot.
"""

import json
import logging
import secrets
import select
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

import psycopg2
from psycopg2 import errors as pg
from psycopg2.extras import LogicalReplicationConnection

from include.quarry.errors import InvalidInput, Misconfigured, QuarryError, Unavailable
from include.quarry.feeds.pgoutput import UNCHANGED, Begin, Commit, Decoder, RowChange, Truncate, Values
from include.quarry.feeds.postgres_table import SESSION, PostgresTable
from include.quarry.feeds.protocol import Batch, Change, Cleared, Deleted, Garbled, OffsetOf, Upserted
from include.quarry.feeds.rows import RowMapping
from include.quarry.records import STREAM_FEEDS, DocumentKey

logger = logging.getLogger(__name__)
KnownKeys = Callable[[str], Iterable[DocumentKey]]
"""Feed -> the documents that it has brought and that are there now."""

_SNAPSHOT = "snapshot/"


class PostgresFeed:
    """See `ChangeFeed`. Its one partition is the table."""

    def __init__(self, dsn: str, table: str, mapping: RowMapping, *, slot: str, known: KnownKeys) -> None:
        """`table` is `schema.name`, `slot` also names the publication. The server needs wal_level=logical, and the
        user REPLICATION and the right to make a publication of the table, unless there is one of this name."""
        self._dsn = dsn
        self._table = PostgresTable(dsn, table, mapping)
        self._mapping = mapping
        self._slot = slot
        self._known = known
        self._connection: Any = None
        self._cursor: Any = None
        self._reading: Iterator[tuple[list[Change], str]] | None = None
        self._at: str | None = None
        self._decoder = Decoder()
        self._transaction, self._place, self._flushed = Begin(0, None), 0, 0  # type: ignore[arg-type]

    @property
    def name(self) -> str:
        return f"{STREAM_FEEDS}postgres:{self._slot}:{self._table.name}"

    def pull(self, offset_of: OffsetOf, *, limit: int, wait_s: float) -> list[Batch]:
        try:
            if self._connection is None:
                self._connect(offset_of, limit)
            found = self._read_on() if self._reading is not None else self._stream(limit, wait_s)
        except psycopg2.Error as error:
            self.close()
            raise _named(error, self._slot) from error
        except Exception:
            self.close()  # a first reading that was interrupted cannot be gone on with
            raise
        if found is None:
            return []
        changes, ends = found
        batch = Batch(self._table.name, self._at, changes, ends)
        self._at = ends
        return [batch]

    def accepted(self, partition: str, offset: str) -> None:
        if not offset.startswith(_SNAPSHOT) and "+" not in offset and self._cursor is not None:
            self._flushed = int(offset)
            with suppress(psycopg2.Error):  # the server is told again with the next one
                self._cursor.send_feedback(flush_lsn=self._flushed)

    def rewind(self, partition: str) -> None:
        self.close()

    def lag(self) -> dict[str, int]:
        """Bytes of the server's log that the slot holds back, since it does not count changes."""
        if self._connection is None:
            return {}
        try:
            return {self._table.name: self._table.backlog_bytes(self._slot)}
        except psycopg2.Error as error:
            raise _named(error, self._slot) from error

    def close(self) -> None:
        connection, self._connection, self._cursor, self._reading = self._connection, None, None, None
        if connection is not None:
            connection.close()

    def _connect(self, offset_of: OffsetOf, limit: int) -> None:
        """Go on from the slot, or begin with a snapshot where there is none to go on from."""
        self._table.publish(self._slot)
        self._connection = psycopg2.connect(self._dsn, connection_factory=LogicalReplicationConnection, **SESSION)
        self._cursor = self._connection.cursor()
        self._claim()
        self._at = offset_of(self._table.name)
        state = self._table.slot_state(self._slot)
        if state == "usable" and self._at is not None and not self._at.startswith(_SNAPSHOT):
            self._start(int(self._at.partition("+")[0]))
        else:
            self._reading = self._snapshot(state, limit)

    def _claim(self) -> None:
        """Be the slot's one reader for as long as the connection lives. The server itself sees to that only while
        changes are sent, and not while the table is read."""
        self._cursor.execute("SELECT pg_try_advisory_lock(hashtext('quarry'), hashtext(%s))", (self._slot,))
        if not self._cursor.fetchone()[0]:
            raise _taken(self._slot)

    def _start(self, lsn: int) -> None:
        options = {"proto_version": "1", "publication_names": f'"{self._slot}"'}
        self._decoder, self._flushed, self._place = Decoder(), lsn, 0
        self._cursor.start_replication(self._slot, start_lsn=lsn, decode=False, options=options)

    def _read_on(self) -> tuple[list[Change], str]:
        """The next rows of the first reading; after the last, the stream begins where the snapshot was taken."""
        assert self._reading is not None  # noqa: S101 - asked by the caller
        found = next(self._reading)
        if not found[1].startswith(_SNAPSHOT):
            self._reading = None
            self._start(int(found[1]))
        return found

    def _snapshot(self, state: str, size: int) -> Iterator[tuple[list[Change], str]]:
        reading = f"{_SNAPSHOT}{secrets.token_hex(8)}"
        yield [], f"{reading}/0"
        if state != "absent":
            logger.warning("slot %s begins anew: table %s is read from its first row", self._slot, self._table.name)
            self._cursor.drop_replication_slot(self._slot)
        self._cursor.create_replication_slot(self._slot, output_plugin="pgoutput")
        _, begins, snapshot, _ = self._cursor.fetchone()
        seen: set[DocumentKey] = set()
        number = 0
        for number, rows in enumerate(self._table.rows(snapshot, size), 1):
            changes = [self._read_row(row) for row in rows]
            seen |= {change.raw.key for change in changes if isinstance(change, Upserted)}
            yield changes, f"{reading}/{number}"
        gone: list[Change] = [Deleted(key) for key in self._known(self.name) if key not in seen]
        for start in range(0, len(gone), size):
            number += 1
            yield gone[start : start + size], f"{reading}/{number}"
        yield [], str(_lsn(begins))

    def _stream(self, limit: int, wait_s: float) -> tuple[list[Change], str] | None:
        """Changes up to the end of a transaction or to `limit`, with the offset after them."""
        changes: list[Change] = []
        ends: str | None = None
        while len(changes) < limit:
            message = self._cursor.read_message()
            if message is None:
                if ends is not None or changes:
                    break
                if not self._wait(wait_s):
                    return None
                wait_s = 0.0
                continue
            event = self._decoder.decode(message.payload)
            match event:
                case Begin():
                    self._transaction, self._place = event, 0
                case Commit(end_lsn):
                    ends = self._after(str(end_lsn), ends)
                case RowChange() | Truncate():
                    self._place += 1
                    if not self._is_known():
                        changes += self._changes(event)
                        ends = f"{self._transaction.lsn}+{self._place}"
                case None:
                    continue
        return None if ends is None else (changes, ends)

    def _after(self, commit: str, ends: str | None) -> str | None:
        """The offset after a commit, unless the catalog was there already."""
        at = int((self._at or "0").partition("+")[0])
        return commit if int(commit) > at or ends is not None else ends

    def _is_known(self) -> bool:
        """Whether the catalog has this change: the server sends a transaction again from its beginning."""
        at, _, place = (self._at or "0").partition("+")
        if place:
            return self._transaction.lsn < int(at) or (self._transaction.lsn == int(at) and self._place <= int(place))
        return self._transaction.lsn < int(at)

    def _wait(self, wait_s: float) -> bool:
        """Whether something came. A slot without news follows the server's log, so that it holds nothing back."""
        if select.select([self._cursor], [], [], wait_s)[0]:
            return True
        if self._at is not None and "+" not in self._at:
            self._cursor.send_feedback(flush_lsn=max(self._flushed, self._cursor.wal_end if self._idle() else 0))
        return False

    def _idle(self) -> bool:
        return self._flushed == int((self._at or "0").partition("+")[0])

    def _changes(self, event: RowChange | Truncate) -> list[Change]:
        at = self._transaction.at
        if isinstance(event, Truncate):
            return [Cleared(at)] if self._table.name in event.tables else []
        if event.table != self._table.name:
            return []
        if event.kind == "delete":
            return [self._deleted(event.old or {})]
        row = self._whole(event)
        return [] if row is None else [self._upserted(row, event.old)]

    def _read_row(self, row: Values) -> Change:
        self._place += 1
        return self._upserted(row, None)

    def _upserted(self, row: Values, old: Values | None) -> Change:
        at = self._transaction.at if self._transaction.lsn else None
        try:
            raw = self._mapping.document_of(row, f"postgres://{self._table.name}/{self._mapping.key_of(row).doc_id}")
            before = None if old is None else self._old_key(old)
            return Upserted(raw, at, before if before != raw.key else None)
        except InvalidInput as error:
            return self._garbled(row, error)

    def _deleted(self, old: Values) -> Change:
        try:
            return Deleted(self._mapping.key_of(old), self._transaction.at)
        except InvalidInput as error:
            return self._garbled(old, error, deleted=True)

    def _old_key(self, old: Values) -> DocumentKey | None:
        needed = {*self._mapping.key, *((self._mapping.tenant_column,) if self._mapping.tenant_column else ())}
        if any(old.get(name) is None for name in needed):
            return None
        with suppress(InvalidInput):  # a key that cannot be read never was a document
            return self._mapping.key_of(old)
        return None

    def _whole(self, event: RowChange) -> Values | None:
        """The new row with the large values that were not sent: from the old row, or from the table. None when the row
        is gone from there, since then its delete is on its way."""
        row = event.new or {}
        unsent = [name for name in row if row[name] is UNCHANGED]
        if not unsent:
            return row
        old = event.old or {}
        if all(old.get(name, UNCHANGED) is not UNCHANGED for name in unsent):
            return row | {name: old[name] for name in unsent}
        return self._table.look_up(row)

    def _garbled(self, row: Values, error: InvalidInput, *, deleted: bool = False) -> Garbled:
        place = f"{self._table.name}/{self._transaction.lsn}-{self._place}"
        key = DocumentKey(self._mapping.corpus, self._mapping.tenant, place)
        shown = {name: value for name, value in row.items() if value is not UNCHANGED}
        content = json.dumps(shown).encode()
        return Garbled(key, f"postgres://{place}", f"{error.title}: {error}", content, "row", {"deleted": deleted})


def _lsn(text: str) -> int:
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)


def _taken(slot: str) -> Unavailable:
    return Unavailable(f"slot {slot!r} has another reader now; waiting for it to end")


def _named(error: psycopg2.Error, slot: str) -> QuarryError:
    if isinstance(error, pg.ObjectInUse):
        return _taken(slot)
    if isinstance(error, (pg.CharacterNotInRepertoire, pg.UntranslatableCharacter)):  # from SQL_ASCII, say
        return Misconfigured(f"a text of the table cannot be had as UTF-8: {str(error).strip()}; mend the row")
    if isinstance(error, (pg.UndefinedTable, pg.UndefinedColumn, pg.InsufficientPrivilege)):
        return Misconfigured(f"PostgreSQL refuses: {str(error).strip()}; mend the feed's table, mapping or rights")
    return Unavailable(f"PostgreSQL does not answer: {str(error).strip() or type(error).__name__}")
