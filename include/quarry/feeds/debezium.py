"""Debezium's envelopes: what a row was and what it is, as its connectors write it, with its schema or without."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from include.quarry.errors import InvalidInput
from include.quarry.feeds.events import read_object
from include.quarry.feeds.protocol import Deleted, Upserted
from include.quarry.feeds.rows import RowMapping
from include.quarry.records import DocumentKey

UNAVAILABLE = "__debezium_unavailable_value"
"""What stands for a large value that PostgreSQL did not log because it did not change."""


def read_envelope(value: bytes, mapping: RowMapping) -> Upserted | Deleted | None:
    """The change that an envelope tells of; None for what is no change of a row (a schema, a heartbeat, a truncate's
    marker). A row whose key changed replaces the document that it was. Raises `InvalidInput`."""
    message = read_object(value)
    envelope = message.get("payload", message)
    if not isinstance(envelope, dict) or "op" not in envelope:
        raise InvalidInput("the message is no Debezium envelope: it has no `op`; see the connector's converter")
    op, before, after = envelope["op"], envelope.get("before"), envelope.get("after")
    at = _time(envelope)
    match op:
        case "c" | "r" | "u":
            row = _row(after, op, "after")
            _check_whole(row, mapping)
            key = mapping.key_of(row)
            old = _old_key(before, mapping)
            return Upserted(mapping.document_of(row, _uri(envelope, key.doc_id)), at, old if old != key else None)
        case "d":
            return Deleted(mapping.key_of(_row(before, op, "before")), at)
        case "m" | "t":
            return None
        case _:
            raise InvalidInput(f"op is {str(op)[:40]!r}; allowed are c, r, u, d, t and m")


def read_key(message_key: bytes | None, mapping: RowMapping) -> Deleted:
    """The delete that a tombstone stands for, whose key holds the columns of the row's key. Raises `InvalidInput`."""
    message = read_object(message_key or b"")
    columns = message.get("payload", message)
    if not isinstance(columns, dict):
        raise InvalidInput("the key of the message holds no columns; configure the connector's key converter as JSON")
    return Deleted(mapping.key_of(columns))


def _row(row: object, op: str, which: str) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise InvalidInput(
            f"an envelope with op {op!r} needs `{which}`; set REPLICA IDENTITY of the table so that it holds the key"
        )
    return row


def _check_whole(row: Mapping[str, Any], mapping: RowMapping) -> None:
    for name in mapping.columns:
        if row.get(name) == UNAVAILABLE:
            raise InvalidInput(
                f"column {name!r} did not change and so was not sent; ALTER TABLE ... REPLICA IDENTITY FULL, or read "
                "the table by the postgres feed, which keeps such values"
            )


def _old_key(before: object, mapping: RowMapping) -> DocumentKey | None:
    if not isinstance(before, dict) or any(before.get(name) is None for name in mapping.key):
        return None
    with suppress(InvalidInput):  # a key that cannot be read never was a document
        return mapping.key_of(before)
    return None


def _source(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    source = envelope.get("source")
    return source if isinstance(source, dict) else {}


def _uri(envelope: Mapping[str, Any], doc_id: str) -> str:
    source = _source(envelope)
    place = ".".join(str(source[name]) for name in ("db", "schema", "table") if source.get(name))
    return f"{source.get('connector', 'debezium')}://{place}/{doc_id}"


def _time(envelope: Mapping[str, Any]) -> datetime | None:
    at_ms = _source(envelope).get("ts_ms") or envelope.get("ts_ms")
    if not isinstance(at_ms, (int, float)):
        return None
    with suppress(ValueError, OverflowError, OSError):  # the row counts, whenever its clock says that it changed
        return datetime.fromtimestamp(at_ms / 1000, UTC)
    return None
