"""Envelopes as Debezium's PostgreSQL connector writes them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from include.quarry.errors import InvalidInput
from include.quarry.feeds.debezium import UNAVAILABLE, read_envelope, read_key
from include.quarry.feeds.protocol import Deleted, Upserted
from include.quarry.feeds.rows import RowMapping
from include.quarry.records import DocumentKey

MAPPING = RowMapping("main", ("id",), ("body",), tenant="red")
SOURCE = {"connector": "postgresql", "db": "shop", "schema": "public", "table": "notes", "ts_ms": 1772366400000}


def envelope(op: str, before: object = None, after: object = None) -> bytes:
    return json.dumps({"op": op, "before": before, "after": after, "source": SOURCE}).encode()


@pytest.mark.parametrize("op", ["c", "r", "u"])
def test_what_a_row_is_now_is_the_document(op: str) -> None:
    change = read_envelope(envelope(op, after={"id": 1, "body": "Text."}), MAPPING)
    assert isinstance(change, Upserted)
    assert (change.raw.key, change.raw.content) == (DocumentKey("main", "red", "1"), b"Text.")
    assert change.raw.uri == "postgresql://shop.public.notes/1"
    assert change.at == datetime.fromtimestamp(1772366400, UTC)
    assert change.replaces is None


def test_the_schema_around_it_changes_nothing() -> None:
    bare = envelope("c", after={"id": 1, "body": "Text."})
    wrapped = json.dumps({"schema": {}, "payload": json.loads(bare)}).encode()
    assert read_envelope(wrapped, MAPPING) == read_envelope(bare, MAPPING)


def test_a_delete_is_of_the_row_that_was() -> None:
    change = read_envelope(envelope("d", before={"id": 1, "body": None}), MAPPING)
    assert isinstance(change, Deleted)
    assert change.key.doc_id == "1"
    assert read_key(b'{"payload": {"id": 1}}', MAPPING).key.doc_id == "1"


def test_a_row_whose_key_changed_replaces_what_it_was() -> None:
    change = read_envelope(envelope("u", {"id": 1, "body": "x"}, {"id": 2, "body": "x"}), MAPPING)
    assert isinstance(change, Upserted)
    assert change.replaces == DocumentKey("main", "red", "1")
    same = read_envelope(envelope("u", {"id": 2, "body": "y"}, {"id": 2, "body": "x"}), MAPPING)
    assert isinstance(same, Upserted)
    assert same.replaces is None


def test_a_row_whose_key_could_not_be_read_before_replaces_nothing() -> None:
    mapping = RowMapping("main", ("id",), ("body",), tenant_column="owner")
    before, after = ({"id": 1, "body": "x", "owner": owner} for owner in ("ACME Inc", "acme"))
    change = read_envelope(envelope("u", before, after), mapping)
    assert isinstance(change, Upserted)
    assert (change.raw.key, change.replaces) == (DocumentKey("main", "acme", "1"), None)


@pytest.mark.parametrize("source", ["x", 7, [], {"ts_ms": 1e20}, {"ts_ms": float("nan")}, {"ts_ms": 1772366400000000}])
def test_a_row_counts_whatever_its_source_says_of_itself(source: object) -> None:
    told = json.loads(envelope("c", after={"id": 1, "body": "Text."})) | {"source": source}
    change = read_envelope(json.dumps(told).encode(), MAPPING)
    assert isinstance(change, Upserted)
    assert (change.raw.content, change.at) == (b"Text.", None)


@pytest.mark.parametrize("op", ["t", "m"])
def test_what_is_no_row_is_no_change(op: str) -> None:
    assert read_envelope(envelope(op), MAPPING) is None


@pytest.mark.parametrize(
    "value",
    [
        b"x",
        b"{}",
        b'{"payload": null}',
        b'{"payload": 1}',
        envelope("c"),
        envelope("d"),
        envelope("x", after={"id": 1, "body": ""}),
        envelope("c", after={"id": None, "body": "x"}),
        envelope("c", after={"id": 1}),
        envelope("u", after={"id": 1, "body": UNAVAILABLE}),
    ],
)
def test_garbage_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_envelope(value, MAPPING)


@pytest.mark.parametrize("key", [None, b"", b"7", b"[]", b'{"payload": 7}', b'{"other": 7}'])
def test_a_tombstone_without_a_key_is_refused(key: Any) -> None:
    with pytest.raises(InvalidInput):
        read_key(key, MAPPING)
