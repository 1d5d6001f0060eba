"""Events become changes; what is no event is refused with the place where it is wrong."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.errors import InvalidInput
from include.quarry.feeds.events import read_event, read_tombstone
from include.quarry.feeds.protocol import Deleted, Upserted
from include.quarry.records import DocumentKey

KEY = DocumentKey("main", "red", "guide/a.md")
WHO = {"tenant": "red", "doc_id": "guide/a.md"}


def encoded(**fields: object) -> bytes:
    return json.dumps({**WHO, **fields}).encode()


def test_an_upsert_is_a_document() -> None:
    more = {"title": "A", "uri": "https://x/a", "metadata": {"lang": "en"}, "at": "2026-03-01T12:00:00Z"}
    change = read_event(encoded(op="upsert", text="Text.", content_type="text/markdown", **more), "main")
    assert isinstance(change, Upserted)
    raw = change.raw
    assert (raw.key, raw.content, raw.content_type) == (KEY, b"Text.", "text/markdown")
    assert (raw.title, raw.uri, raw.metadata) == ("A", "https://x/a", {"lang": "en"})
    assert change.at == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_bytes_come_in_base64() -> None:
    content = base64.b64encode(b"%PDF").decode()
    change = read_event(encoded(op="upsert", content=content, content_type="application/pdf"), "main")
    assert isinstance(change, Upserted)
    assert change.raw.content == b"%PDF"


def test_a_moved_document_says_what_it_was() -> None:
    change = read_event(encoded(op="upsert", text="x", replaces="old/a.md"), "main")
    assert isinstance(change, Upserted)
    assert change.replaces == DocumentKey("main", "red", "old/a.md")


def test_deletes_and_tombstones_are_deletes() -> None:
    assert read_event(encoded(op="delete"), "main") == Deleted(KEY)
    assert read_tombstone(b"red/guide/a.md", "main") == Deleted(KEY)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"not JSON", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "list, not an object"),
        (b'{"op": "upsert"}', '"doc_id" is a required property'),
        (encoded(op="upsert"), "either text, or content"),
        (encoded(op="upsert", text="x", content="eA=="), "either text, or content"),
        (encoded(op="upsert", content="eA=="), "either text, or content"),
        (encoded(op="upsert", content="no base64!", content_type="text/plain"), "not base64"),
        (encoded(op="merge", text="x"), 'op: "merge" is not one of'),
        (encoded(op="delete", text="x"), "a delete has no text"),
        (encoded(op="upsert", text="x", more=1), "more"),
        (encoded(op="upsert", text="x", metadata={"n": 1}), "metadata/n"),
        (encoded(op="upsert", text="x", at="yesterday"), "yesterday"),
        (encoded(op="delete", at="0001-01-01T00:00:00+01:00"), "0001-01-01"),
        (encoded(op="upsert", text="x", doc_id="../a"), "path segment"),
        (encoded(op="upsert", text="x", tenant="../a"), "tenant"),
        (encoded(op="upsert", text="x", replaces="../a"), "path segment"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(value: bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_event(value, "main")


@pytest.mark.parametrize("key", [None, b"", b"red", b"/a", b"red/", b"\xff/a", b"red/../a"])
def test_a_tombstone_without_a_document_is_refused(key: bytes | None) -> None:
    with pytest.raises(InvalidInput):
        read_tombstone(key, "main")


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(max_size=5), st.lists, max_leaves=5).map(
        lambda document: json.dumps(document).encode()
    )
)
def test_no_bytes_do_more_than_be_refused(value: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_event(value, "main")
