"""Whatever is lost, doubled or spoiled anywhere between a source and an index is found, and named."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.__main__ import main
from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import changes, chunks, documents, vectors
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestion import FeedPass
from include.quarry.records import DocumentKey
from include.quarry.routing.building import build_version
from include.quarry.routing.promotion import promote
from include.quarry.settings import load_settings
from include.quarry.verification.buckets import compare
from tests.unit.routing.corpus import SPEC, Corpus

Run = Callable[..., tuple[int, str]]


def key(doc_id: str) -> DocumentKey:
    return DocumentKey("main", "red", doc_id)


@settings(deadline=None)
@given(
    left=st.dictionaries(st.text(max_size=3), st.sampled_from("123"), max_size=40),
    right=st.dictionaries(st.text(max_size=3), st.sampled_from("123"), max_size=40),
)
def test_buckets_find_exactly_what_differs(left: dict[str, str], right: dict[str, str]) -> None:
    found = compare(
        lambda: ((key(doc_id), version) for doc_id, version in left.items()),
        lambda: ((key(doc_id), version) for doc_id, version in right.items()),
    )
    expected = {doc_id for doc_id in left.keys() | right.keys() if left.get(doc_id) != right.get(doc_id)}
    assert {each.key.doc_id for each in found.differences} == expected
    assert (found.left, found.right) == (len(left), len(right))


def test_equal_sides_are_read_once_each() -> None:
    reads = []

    def side() -> Iterator[tuple[DocumentKey, str]]:
        reads.append(1)
        return ((key(str(number)), "1") for number in range(1000))

    assert compare(side, side).differences == ()
    assert len(reads) == 2


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
    assert [line.split(":")[0] for line in printed.splitlines()] == ["equal"] * 4


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
