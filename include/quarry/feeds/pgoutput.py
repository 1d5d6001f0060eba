"""PostgreSQL's logical replication protocol, version 1, as far as rows need it.

Message formats: PostgreSQL manual, "Logical Replication Message Formats". Values are text, as the columns' output
functions write them; `UNCHANGED` stands for a large value that was not sent because it did not change.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

Kind = Literal["insert", "update", "delete"]
UNCHANGED: Final = object()
Values = dict[str, object]
"""Column -> text, None or UNCHANGED."""

_KINDS: dict[bytes, Kind] = {b"I": "insert", b"U": "update", b"D": "delete"}
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction that is committed begins. `lsn` is where its commit stands in the log."""

    lsn: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Commit:
    """The transaction ends; the log goes on at `end_lsn`."""

    end_lsn: int


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row was inserted, updated or deleted. `old` holds the key, or the whole row, as the replica identity says."""

    table: str
    kind: Kind
    new: Values | None
    old: Values | None


@dataclass(frozen=True, slots=True)
class Truncate:
    """All rows of these tables are gone."""

    tables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Relation:
    table: str
    columns: tuple[str, ...]


Event = Begin | Commit | RowChange | Truncate


class Decoder:
    """Turns messages into events; remembers the tables that were described on the way."""

    def __init__(self) -> None:
        self._relations: dict[int, _Relation] = {}

    def decode(self, payload: bytes) -> Event | None:
        """The event of a message; None for a description or for what no row needs."""
        read = _Reader(payload, 1)
        event: Event | None = None
        match payload[:1]:
            case b"B":
                lsn, micros = read.u64(), read.u64()
                event = Begin(lsn, _EPOCH + timedelta(microseconds=micros))
            case b"C":
                read.skip(1 + 8)
                event = Commit(read.u64())
            case b"R":
                self._describe(read)
            case b"I" | b"U" | b"D" as kind:
                event = self._change(_KINDS[kind], read)
            case b"T":
                count = read.u32()
                read.skip(1)
                event = Truncate(tuple(self._relations[read.u32()].table for _ in range(count)))
        return event

    def _change(self, kind: Kind, read: "_Reader") -> RowChange:
        relation = self._relations[read.u32()]
        new = old = None
        if (which := read.char()) in (b"K", b"O"):
            old = read.row(relation.columns)
            which = read.char() if kind == "update" else b""
        if which == b"N":
            new = read.row(relation.columns)
        return RowChange(relation.table, kind, new, old)

    def _describe(self, read: "_Reader") -> None:
        number = read.u32()
        schema, name = read.string(), read.string()
        read.skip(1)
        columns = []
        for _ in range(read.u16()):
            read.skip(1)
            columns.append(read.string())
            read.skip(4 + 4)
        self._relations[number] = _Relation(f"{schema or 'pg_catalog'}.{name}", tuple(columns))


class _Reader:
    """Big-endian fields of a message, one after the other."""

    def __init__(self, payload: bytes, at: int) -> None:
        self._payload = payload
        self._at = at

    def skip(self, count: int) -> None:
        self._at += count

    def char(self) -> bytes:
        self._at += 1
        return self._payload[self._at - 1 : self._at]

    def u16(self) -> int:
        return int(self._number(">H", 2))

    def u32(self) -> int:
        return int(self._number(">I", 4))

    def u64(self) -> int:
        return int(self._number(">Q", 8))

    def string(self) -> str:
        end = self._payload.index(b"\0", self._at)
        text = self._payload[self._at : end].decode()
        self._at = end + 1
        return text

    def row(self, columns: tuple[str, ...]) -> Values:
        count = self.u16()
        return {name: self._value() for name in columns[:count]}

    def _value(self) -> object:
        match self.char():
            case b"n":
                return None
            case b"u":
                return UNCHANGED
            case _:
                length = self.u32()
                self._at += length
                return self._payload[self._at - length : self._at].decode("utf-8", "replace")

    def _number(self, form: str, size: int) -> int:
        (value,) = struct.unpack_from(form, self._payload, self._at)
        self._at += size
        return int(value)
