"""What was set aside can be looked at, tried again and dropped; and what is newer always wins."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from include.quarry.__main__ import main
from include.quarry.catalog.database import Database
from include.quarry.catalog.log import find_document
from include.quarry.catalog.quarantine import KEPT_BYTES, list_quarantine
from include.quarry.feeds.feed_specs import load_feed_specs
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.opening import open_change_feed
from include.quarry.feeds.protocol import Batch, Change, Deleted, Garbled, Upserted
from include.quarry.records import DocumentKey, RawDocument
from include.quarry.settings import load_settings

MAX_BYTES = 3 * KEPT_BYTES
FEEDS = {
    "feeds": [
        {"kind": "kafka", "servers": "nowhere:1", "topic": "events"},
        {
            "kind": "postgres",
            "dsn": "postgresql://nowhere",
            "table": "notes",
            "rows": {"key": ["id"], "text": ["body"], "tenant": "red"},
        },
    ]
}
Run = Callable[..., tuple[int, Any]]


def key(doc_id: str) -> DocumentKey:
    return DocumentKey("main", "red", doc_id)


def upsert(doc_id: str, content: bytes | str, content_type: str = "text/plain", **more: Any) -> Upserted:
    encoded = content.encode() if isinstance(content, str) else content
    return Upserted(RawDocument(key(doc_id), f"memory://{doc_id}", encoded, content_type), **more)


def message(value: bytes, offset: int, reason: str = "Invalid input: a bug") -> Garbled:
    """A message of the topic that an earlier release could not read."""
    place = f"events/0/{offset}"
    detail = {"key": None, "tombstone": False}
    return Garbled(DocumentKey("main", "default", place), f"kafka://{place}", reason, value, "message", detail)


def event(doc_id: str, text: str) -> bytes:
    return json.dumps({"op": "upsert", "tenant": "red", "doc_id": doc_id, "text": text}).encode()


class Stream:
    """A stream that brings changes one batch at a time."""

    def __init__(self, database: Database, feed: str) -> None:
        self._database = database
        self._ingestor = Ingestor(database, make_chunker, MAX_BYTES)
        self._feed = feed
        self._at: str | None = None

    def bring(self, *changes: Change) -> dict[str, int]:
        ends = str(int(self._at or "0") + len(changes))
        (counts,) = self._ingestor.accept(self._feed, [Batch("p", self._at, changes, ends)])
        self._at = ends
        return dict(counts)

    def text(self, doc_id: str) -> str | None:
        with self._database.read() as connection:
            row = find_document(connection, key(doc_id))
        return None if row is None or row.deleted else row.text

    def aside(self) -> list[str]:
        with self._database.read() as connection:
            return [found.handle for found in list_quarantine(connection, "main")]


@pytest.fixture
def events(database: Database, catalog_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stream]:
    feeds = tmp_path / "feeds.yaml"
    feeds.write_text(json.dumps(FEEDS))
    for name, value in {"HOME": tmp_path / "home", "DATABASE_URL": catalog_url, "FEEDS": feeds}.items():
        monkeypatch.setenv(f"QUARRY_{name}", str(value))
    monkeypatch.setenv("QUARRY_MAX_DOCUMENT_BYTES", str(MAX_BYTES))
    load_settings.cache_clear()
    yield Stream(database, load_feed_specs(feeds)[0].feed)
    load_settings.cache_clear()


@pytest.fixture
def run(events: Stream, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `quarantine … --json`: exit code, and the document."""

    def run(*words: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = main(["quarantine", *words, "--json"])
        printed = capsys.readouterr().out
        return code, json.loads(printed) if printed else None

    return run


def test_the_original_bytes_come_back_as_they_were(events: Stream, run: Run, tmp_path: Path) -> None:
    poison = bytes(range(256)) * 10
    assert events.bring(upsert("a", poison), message(b"\xff{", 7)) == {"quarantined": 2}
    listed = {found["doc_id"]: found for found in run("list")[1]}
    assert set(listed) == {"a", "events/0/7"}
    assert "NUL" in listed["a"]["reason"] or "UTF-8" in listed["a"]["reason"]
    for doc_id, content in (("a", poison), ("events/0/7", b"\xff{")):
        out = tmp_path / "original"
        code, shown = run("show", listed[doc_id]["id"], "--out", str(out))
        assert (code, out.read_bytes()) == (0, content)
        assert (shown["size_bytes"], shown["kept"]) == (len(content), True)


def test_of_what_is_too_large_its_digest_its_length_and_its_origin_are_kept(
    events: Stream, run: Run, tmp_path: Path
) -> None:
    events.bring(message(b"\xff" * (KEPT_BYTES + 1), 3))
    (handle,) = events.aside()
    shown = run("show", handle)[1]
    assert (shown["size_bytes"], shown["kept"], len(shown["sha256"])) == (KEPT_BYTES + 1, False, 64)
    assert shown["uri"] == "kafka://events/0/3"
    assert run("show", handle, "--out", str(tmp_path / "x"))[0] == 1
    code, (said,) = run("replay", handle)
    assert (code, said["outcome"]) == (1, "impossible")
    assert shown["sha256"] in said["reason"]
    assert events.aside() == [handle]


def test_a_message_that_can_be_read_by_now_is_applied_once(events: Stream, run: Run) -> None:
    events.bring(message(event("a", "Granite."), 1))
    (handle,) = events.aside()
    assert run("replay", handle) == (
        0,
        [{"id": handle, "doc_id": "events/0/1", "outcome": "applied", "reason": ""}],
    )
    assert (events.text("a"), events.aside()) == ("Granite.", [])
    assert run("replay", handle)[0] == 1
    assert events.text("a") == "Granite."


def test_a_document_that_can_be_read_by_now_takes_the_place_of_the_one_it_replaces(
    events: Stream, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Any:
        raise RecursionError("what nobody thought of")

    events.bring(upsert("old", "Granite."))
    with monkeypatch.context() as patch:
        patch.setattr("include.quarry.parsing.markdown.MarkdownParser.blocks", broken)
        moved = upsert("new", "# Basalt\n\nHard.", "text/markdown", replaces=key("old"))
        assert events.bring(moved) == {"quarantined": 1}
        assert events.text("old") == "Granite."
        code, (said,) = run("replay", "--all")
        assert (code, said["outcome"]) == (1, "unreadable")
        assert "nobody thought of" in said["reason"]
    assert run("replay", "--all")[0] == 0
    assert events.text("old") is None
    assert "Basalt" in (events.text("new") or "")


@pytest.mark.parametrize("newer", [upsert("a", "Basalt."), Deleted(key("a"))])
def test_a_newer_version_wins_over_a_replay(events: Stream, run: Run, newer: Change) -> None:
    events.bring(upsert("a", "Chalk."), message(event("a", "Granite."), 1), newer)
    before = events.text("a")
    code, (said,) = run("replay", "--all")
    assert (code, said["outcome"]) == (0, "superseded")
    assert (events.text("a"), events.aside()) == (before, [])


def test_of_two_messages_about_one_document_the_later_one_wins_and_an_older_version_does_not(
    events: Stream, run: Run
) -> None:
    events.bring(message(event("a", "first"), 1))
    events.bring(upsert("b", "between"))
    events.bring(message(event("a", "second"), 2), message(event("b", "third"), 3))
    assert [said["outcome"] for said in run("replay", "--all")[1]] == ["applied", "applied", "applied"]
    assert (events.text("a"), events.text("b")) == ("second", "third")


def test_an_older_message_that_is_replayed_last_does_not_win(events: Stream, run: Run) -> None:
    events.bring(message(event("a", "first"), 1))
    events.bring(upsert("b", "between"))
    events.bring(message(event("a", "second"), 2))
    newest, oldest = events.aside()
    run("replay", newest)
    assert run("replay", oldest)[1][0]["outcome"] == "superseded"
    assert events.text("a") == "second"


def test_a_row_is_read_again_by_its_mapping(events: Stream, run: Run, database: Database) -> None:
    table = Stream(database, load_feed_specs(Path(load_settings().feeds))[1].feed)
    row = Garbled(key("public.notes/1-1"), "postgres://x", "a bug", b'{"id": "7", "body": "Slate."}', "row", {})
    gone = Garbled(key("public.notes/2-1"), "postgres://x", "a bug", b'{"id": "8"}', "row", {"deleted": True})
    table.bring(upsert("8", "Marl."), row, gone)
    assert run("replay", "--all")[0] == 0
    assert (table.text("7"), table.text("8")) == ("Slate.", None)


def test_what_is_dropped_is_gone_and_a_feed_that_is_not_described_is_named(events: Stream, run: Run) -> None:
    Stream(events._database, "stream:kafka:other:topic").bring(message(event("a", "x"), 9))
    code, (said,) = run("replay", "--all")
    assert (code, said["outcome"]) == (1, "impossible")
    assert "stream:kafka:other:topic" in said["reason"]
    (handle,) = events.aside()
    assert run("drop", handle)[1][0]["outcome"] == "dropped"
    assert run("list") == (0, [])
    assert run("drop", handle)[0] == 1


def test_what_the_catalog_cannot_store_is_set_aside_and_the_partition_goes_on(
    events: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL takes no NUL in a text, SQLite no lone surrogate."""
    poison = Upserted(RawDocument(key("a"), "memory://\0\ud800", b"Granite.", "text/plain", "a\0\ud800 title"))
    assert events.bring(upsert("b", "before"), poison, upsert("c", "after")) == {"changed": 2, "quarantined": 1}
    assert [events.text(doc_id) for doc_id in "abc"] == [None, "before", "after"]


def test_the_feed_is_found_by_the_name_that_its_reader_gives_it(events: Stream) -> None:
    topic, table = load_feed_specs(Path(load_settings().feeds))
    for spec in (topic, table):
        feed = open_change_feed(spec, events._database, 10**6)
        assert feed.name == spec.feed
        feed.close()


@pytest.mark.parametrize("words", [["replay"], ["show", "xyz"], ["drop", "zz", "--all"]])
def test_what_is_not_understood_is_refused(run: Run, words: list[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        run(*words)
    assert refused.value.code == 2
