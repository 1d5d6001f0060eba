"""Whatever is lost, doubled or spoiled anywhere between a source and an index is found, and named."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import sqlalchemy as sa

from include.quarry.__main__ import main
from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import changes, chunks, documents, vectors
from include.quarry.catalog.versions import find_version
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestion import FeedPass
from include.quarry.records import Chunk, DocumentKey, RawDocument
from include.quarry.retrieval.passages import PassageTable
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.routing.retention import retire_version
from include.quarry.settings import load_settings
from include.quarry.verification import verify as verification
from tests.unit.routing.corpus import SPEC, Corpus

Run = Callable[..., tuple[int, str]]


class World:
    """A folder that was ingested, embedded, built and promoted."""

    def __init__(self, folder: Path, corpus: Corpus) -> None:
        self.folder = folder
        self.corpus = corpus
        self.database: Database = corpus.database
        for name in ("a", "b", "c"):
            (folder / f"{name}.txt").write_text(f"The stone {name} is hard.")
        self.ingest()
        self.corpus.embed()
        build_version("v1", "main", SPEC, corpus.settings)
        promote("v1", corpus.settings)

    def ingest(self) -> None:
        feed = FolderFeed(self.folder, "main", "default", 10**6)
        FeedPass(feed, "main", "default", self.corpus.ingestor, self.database).run()

    def spoil(self, statement: sa.Executable) -> None:
        with self.database.write() as connection:
            connection.execute(statement)


@pytest.fixture
def world(database: Database, catalog_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("QUARRY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QUARRY_DATABASE_URL", catalog_url)
    load_settings.cache_clear()
    (tmp_path / "docs").mkdir()
    yield World(tmp_path / "docs", Corpus(database, load_settings()))
    load_settings.cache_clear()


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `verify` over the folder: exit code, and what it printed."""

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        code = main(["verify", "--against", str(world.folder), "--patience", "0", *words])
        return code, capsys.readouterr().out

    return run


def test_what_is_whole_is_proven_line_by_line(run: Run) -> None:
    code, printed = run()
    assert code == 0, printed
    assert [line.split(":")[0] for line in printed.splitlines()] == ["equal"] * 5


def test_what_the_source_has_and_the_catalog_has_not_is_named(run: Run, world: World) -> None:
    (world.folder / "new.txt").write_text("Marl.")
    (world.folder / "a.txt").write_text("Granite, harder than before.")
    (world.folder / "b.txt").unlink()
    code, printed = run()
    assert code == 1
    assert "default/new.txt missing" in printed
    assert "default/a.txt differs" in printed
    assert "default/b.txt in excess" in printed
    world.ingest()
    world.corpus.embed()
    assert run()[0] == 0


def test_what_is_in_quarantine_or_was_changed_by_hand_is_explained(run: Run, world: World) -> None:
    (world.folder / "a.txt").write_bytes(b"\0 spoiled")
    world.ingest()
    world.corpus.delete("b.txt")
    code, printed = run()
    assert code == 0, printed
    assert "default/a.txt differs: in quarantine" in printed
    assert "default/b.txt missing: a user changed it here" in printed


SPOILED = {
    "a change is lost": (sa.delete(changes).where(changes.c.seq == 2), "log and documents"),
    "a document is lost": (sa.delete(documents).where(documents.c.doc_id == "a.txt"), "log and documents"),
    "a document is older than its log": (sa.update(documents).values(version=7), "log and documents"),
    "a passage is lost": (sa.delete(chunks).where(chunks.c.doc_id == "a.txt"), "and lake"),
    "a vector is lost": (sa.delete(vectors).where(vectors.c.id == 1), "and lake"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_what_is_spoiled_in_the_catalog_is_found(run: Run, world: World, what: str) -> None:
    statement, where = SPOILED[what]
    world.spoil(statement)
    code, printed = run()
    assert code == 1
    assert any(line.startswith("DIFFERENT") and where in line for line in printed.splitlines()), printed


def test_a_part_of_the_lake_that_is_gone_is_found(run: Run, world: World) -> None:
    parts = list(Path(world.corpus.settings.lake_uri).rglob("*.parquet"))
    assert parts
    parts[0].unlink()
    code, printed = run()
    assert code == 1
    assert "and lake" in next(line for line in printed.splitlines() if line.startswith("DIFFERENT"))


def test_an_index_that_holds_something_else_is_found(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.quarry.retrieval.index import Index

    contents = Index.contents
    monkeypatch.setattr(Index, "contents", lambda index: list(contents(index))[1:])
    code, printed = run()
    assert code == 1
    assert "DIFFERENT: log and index version v1" in printed


def test_a_source_that_is_not_there_is_named(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--against", "nowhere"]) == 1
    assert "'nowhere' is no folder, and no topic or table of QUARRY_FEEDS" in capsys.readouterr().err


class Stream:
    """Changes that never rest: some are always on their way into the catalog, and some into the lake."""

    def __init__(self, world: World) -> None:
        self._world, self._ended, self._count = world, Event(), 0
        self.under_way = Event()
        self._threads = [Thread(target=work) for work in (self._write, self._ingest, self._embed)]

    def __enter__(self) -> "Stream":
        for thread in self._threads:
            thread.start()
        assert self.under_way.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _write(self) -> None:
        while not self._ended.wait(0.02):
            (self._world.folder / f"stream-{self._count}.txt").write_text(f"Stone {self._count} of the stream.")
            self._count += 1

    def _ingest(self) -> None:
        while not self._ended.wait(0.2):
            self._world.ingest()

    def _embed(self) -> None:
        while not self._ended.wait(0.3):
            self._world.corpus.embed()
            self.under_way.set()


def test_what_changes_all_the_time_is_not_called_different(run: Run, world: World) -> None:
    with Stream(world):
        code, printed = run("--patience", "30")
    assert code == 0, printed


def test_what_is_stuck_is_found_though_everything_else_moves(run: Run, world: World) -> None:
    its = sa.select(chunks.c.text_hash).where(chunks.c.doc_id == "a.txt")
    world.spoil(sa.delete(vectors).where(vectors.c.text_hash.in_(its)))
    world.corpus.embed = lambda: None  # type: ignore[method-assign]
    with Stream(world):
        code, printed = run("--patience", "1")
    assert code == 1
    assert "main/default/a.txt missing" in printed


def test_a_corpus_without_an_index_is_compared_too(run: Run, world: World) -> None:
    raw = RawDocument(DocumentKey("drafts", "default", "a"), "file:///a", b"Chalk.", "text/plain")
    world.corpus.ingestor.upsert(raw, "http")
    world.spoil(sa.delete(changes).where(changes.c.corpus == "drafts"))
    code, printed = run()
    assert code == 1
    assert "DIFFERENT: log and documents of corpus drafts" in printed


def test_a_version_that_is_ended_meanwhile_is_left_out(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    check = verification.check_completeness
    build_version("v2", "main", SPEC, world.corpus.settings)

    def check_late(version_id: str, *args: Any, **named: Any) -> Any:
        if version_id == "v1":
            promote("v2", world.corpus.settings)
            retire_version("v1", world.corpus.settings)
        return check(version_id, *args, **named)

    monkeypatch.setattr(verification, "check_completeness", check_late)
    code, printed = run()
    assert code == 0, printed
    assert "index version v1" not in printed
    assert "equal: log and index version v2" in printed


def test_a_version_whose_files_are_gone_is_named_and_hides_no_other(run: Run, world: World) -> None:
    build_version("v2", "main", SPEC, world.corpus.settings)
    with world.database.read() as connection:
        shutil.rmtree(find_version(connection, "v1").snapshot)
    code, printed = run()
    assert code == 1
    assert "DIFFERENT: log and index version v1" in printed
    assert "equal: log and index version v2" in printed


LONG = chunks.c.doc_id == "long"
LAST = sa.select(sa.func.max(chunks.c.ordinal)).where(LONG).scalar_subquery()
LOST = {
    "a passage": (sa.delete(chunks).where(LONG, chunks.c.ordinal == 1), "long"),
    "the last passage, and the others are numbered without a gap": (
        sa.delete(chunks).where(LONG, chunks.c.ordinal == LAST),
        "long",
    ),
    "the present version of a passage": (
        sa.update(chunks).where(chunks.c.doc_id == "b.txt").values(doc_version=0),
        "b.txt",
    ),
}


@pytest.mark.parametrize("what", LOST)
def test_what_is_lost_of_a_document_is_found_though_every_index_has_followed(run: Run, world: World, what: str) -> None:
    statement, doc_id = LOST[what]
    world.corpus.put("long", " ".join(f"Sentence {number} about stone." for number in range(600)))
    world.corpus.embed()
    world.spoil(statement)
    build_version("v2", "main", SPEC, world.corpus.settings)
    promote("v2", world.corpus.settings)
    retire_version("v1", world.corpus.settings)
    code, printed = run()
    assert code == 1
    assert f"main/default/{doc_id} differs: version 1, not version 1 in part or doubled" in printed
    assert "equal: log and index version v2" in printed


@pytest.mark.parametrize("around", ["\n\n", " \t\r\n", "\u00a0\u3000\n", "\x0c\x1f", ""])
def test_white_space_around_a_text_is_no_lost_passage(run: Run, world: World, around: str) -> None:
    world.corpus.put("short", f"{around}Stone 🪨 and größe.{around}")
    world.corpus.put("long", around + " ".join(f"🪨 Sätze {number} über Stein." for number in range(600)) + around)
    world.corpus.embed()
    code, printed = run()
    assert code == 0, printed


@pytest.mark.parametrize("spoiled", [{"text": "Marble, says somebody."}, {"tenant": "blue"}])
def test_a_passage_that_says_something_else_than_the_log_is_found(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch, spoiled: dict[str, str]
) -> None:
    get = PassageTable.get

    def get_spoiled(table: PassageTable, chunk_ids: Sequence[str]) -> list[Chunk]:
        return [_spoil(chunk, **spoiled) for chunk in get(table, chunk_ids)]

    monkeypatch.setattr(PassageTable, "get", get_spoiled)
    code, printed = run()
    assert code == 1
    assert "3 of 3 passages say something else than the log" in printed


def _spoil(chunk: Chunk, text: str | None = None, tenant: str | None = None) -> Chunk:
    passage = chunk.passage if text is None else replace(chunk.passage, text=text)
    return replace(chunk, passage=passage, key=chunk.key if tenant is None else chunk.key._replace(tenant=tenant))
