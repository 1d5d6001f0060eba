"""What every lexical index promises. A new adapter joins by one line in ADAPTERS."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.quarry.errors import Conflict, IncompleteIndex, InvalidInput, NotFound
from include.quarry.lexical.protocol import LexicalIndex
from include.quarry.lexical.tantivy import TantivyIndex
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage, Scope, WordCounts
from include.quarry.specs import LexicalSpec


@dataclass(frozen=True)
class Adapter:
    """`make` takes an empty scratch folder, `load` a snapshot and an empty scratch folder."""

    make: Callable[[Path], LexicalIndex]
    load: Callable[[Path, Path], LexicalIndex]


ADAPTERS = {"tantivy": Adapter(lambda scratch: TantivyIndex(LexicalSpec(), scratch), TantivyIndex.load)}


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return ADAPTERS[request.param]


@pytest.fixture
def index(adapter: Adapter, tmp_path: Path) -> LexicalIndex:
    return adapter.make(tmp_path / "index")


def update(doc: str, seq: int, texts: Sequence[str] = (), *, tenant="t1", context="", ids=None, **metadata: str):
    """A document with one chunk a text; no texts delete it. Chunk ids default to `doc/ordinal`."""
    key = DocumentKey("main", tenant, doc)
    names = ids or [f"{doc}/{i}" for i in range(len(texts))]
    chunks = tuple(
        Chunk(name, key, seq, i, f"file:///{doc}", doc, Passage(text, context, 0, len(text), 2), metadata)
        for i, (name, text) in enumerate(zip(names, texts, strict=True))
    )
    return DocumentUpdate(seq, key, seq, chunks)


def found(index: LexicalIndex, query: str, k: int = 10, tenant: str = "t1", **filters: str) -> list[str]:
    return [hit.chunk_id for hit in index.search(query, k, Scope(tenant, filters))]


def test_finds_the_chunk_with_more_of_the_rarer_words_first(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["wing lift", "wing drag", "wing flutter"]), update("b", 2, ["boundary layer"])])
    assert found(index, "flutter of a wing")[0] == "a/2"
    assert found(index, "layers") == ["b/0"]
    scores = [hit.score for hit in index.search("flutter of a wing", 10, Scope("t1"))]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0


def test_words_are_as_rare_as_the_given_counts_say(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["wing lift", "flutter drag", "wing drag"]), update("b", 2, ["boundary layer"])])
    own = index.counts("wing flutter")
    assert own == WordCounts(4, {"wing": 2, "flutter": 1})
    alone = index.search("wing flutter", 10, Scope("t1"))
    assert alone[0].chunk_id == "a/1"
    assert index.search("wing flutter", 10, Scope("t1"), own) == alone
    elsewhere = WordCounts(100, {"wing": 2, "flutter": 90})
    assert index.search("wing flutter", 10, Scope("t1"), elsewhere)[-1].chunk_id == "a/1"
    assert index.search("wing flutter", 10, Scope("t1"), WordCounts(0, {})) != []


def test_words_match_by_stem_and_without_case_or_accents(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["Calculating the Résumé of compressors"])])
    for query in ("calculated", "resume", "COMPRESSOR"):
        assert found(index, query) == ["a/0"]


def test_the_headings_above_a_passage_are_searched_too(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["see below"], context="Installation > Windows")])
    assert found(index, "windows installation") == ["a/0"]


@pytest.mark.parametrize(
    "query",
    [
        "AND ( foo:bar^",
        '"',
        "wing OR",
        "*",
        "text:[a TO b]",
        "a" * 100_000,
        "\x00",
        "\ud800 wing",
        "+-!",
        "~5 wing~",
        "{}",
    ],
)
def test_any_text_is_a_query_and_none_is_syntax(index: LexicalIndex, query: str) -> None:
    index.apply([update("a", 1, ["wing and tail"]), update("b", 2, ["rudder"])])
    assert found(index, query) == (["a/0"] if "wing" in query else [])


def test_a_very_long_query_is_answered_by_its_first_words(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["wing"])])
    assert found(index, "wing " + " ".join(f"w{i}" for i in range(20_000))) == ["a/0"]


@pytest.mark.parametrize("query", ["", "   ", "to be or not to be", "?!"])
def test_a_query_without_words_finds_nothing(index: LexicalIndex, query: str) -> None:
    index.apply([update("a", 1, ["to be or not to be, wing"])])
    assert found(index, query) == []


def test_breaks_ties_by_chunk_id_also_where_k_cuts_them(index: LexicalIndex) -> None:
    names = [f"{i * 37 % 100:02}" for i in range(100)]
    for seq, name in enumerate(names, 1):
        index.apply([update(name, seq, ["wing lift"], ids=[name])]) if seq % 10 == 0 else None
    index.apply([update(name, seq, ["wing lift"], ids=[name]) for seq, name in enumerate(names, 1)])
    assert found(index, "wing", 3) == ["00", "01", "02"]


def test_an_empty_index_finds_nothing(index: LexicalIndex) -> None:
    assert index.search("wing", 100, Scope("t1")) == []
    assert list(index.contents()) == []


def test_k_is_at_least_one_and_may_exceed_the_count(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["wing", "wing tip"])])
    assert len(found(index, "wing", 10**9)) == 2
    with pytest.raises(InvalidInput):
        index.search("wing", 0, Scope("t1"))


def test_an_update_replaces_the_whole_document(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["wing", "tail"])])
    index.apply([update("a", 2, ["rudder"])])
    assert found(index, "wing tail") == []
    assert found(index, "rudder") == ["a/0"]
    assert list(index.contents()) == [("a/0", 2)]


def test_a_stale_or_repeated_update_is_ignored(index: LexicalIndex) -> None:
    index.apply([update("a", 5, ["wing"])])
    index.apply([update("a", 4, ["tail"]), update("a", 5, ["rudder"])])
    assert found(index, "wing tail rudder") == ["a/0"]
    assert list(index.contents()) == [("a/0", 5)]


def test_the_newest_of_one_batch_counts_in_any_order(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["wing"]), update("a", 3, ["tail"]), update("a", 2, ["rudder"])])
    assert found(index, "wing tail rudder") == ["a/0"]
    assert list(index.contents()) == [("a/0", 3)]


def test_a_delete_wins_over_a_late_update_even_after_a_reload(adapter: Adapter, tmp_path: Path) -> None:
    index = adapter.make(tmp_path / "index")
    index.apply([update("a", 1, ["wing"]), update("b", 2, ["wing tip"])])
    index.apply([update("a", 5)])
    index.apply([update("a", 4, ["wing"])])
    assert found(index, "wing") == ["b/0"]
    index.save(tmp_path / "snapshot")
    loaded = adapter.load(tmp_path / "snapshot", tmp_path / "loaded")
    loaded.apply([update("a", 4, ["wing"])])
    assert found(loaded, "wing") == ["b/0"]
    loaded.apply([update("a", 6, ["wing"])])
    assert found(loaded, "wing") == ["a/0", "b/0"]


def test_tenants_never_see_each_other(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["wing"], tenant="t1", ids=["one"])])
    assert found(index, "wing", tenant="t2") == []
    index.apply([update("a", 2, ["wing"], tenant="t2", ids=["two"])])
    assert found(index, "wing", tenant="t1") == ["one"]
    assert found(index, "wing", tenant="t2") == ["two"]
    index.apply([update("a", 3, tenant="t1")])
    assert found(index, "wing", tenant="t2") == ["two"]


def test_tenants_stay_apart_after_a_reload(adapter: Adapter, tmp_path: Path) -> None:
    index = adapter.make(tmp_path / "index")
    index.apply([update("a", 1, ["wing"], tenant="t1"), update("b", 2, ["wing"], tenant="t2")])
    index.save(tmp_path / "snapshot")
    loaded = adapter.load(tmp_path / "snapshot", tmp_path / "loaded")
    assert found(loaded, "wing", tenant="t1") == ["a/0"]
    assert found(loaded, "wing", tenant="t3") == []


def test_filters_are_equality_on_metadata_doc_id_and_uri(index: LexicalIndex) -> None:
    long = "x" * 70_000
    index.apply([update("a", 1, ["wing"], lang="en", doc_id="forged"), update("b", 2, ["wing"], lang="de", note=long)])
    assert found(index, "wing", lang="de") == ["b/0"]
    assert found(index, "wing", note=long) == ["b/0"]
    assert found(index, "wing", doc_id="a") == ["a/0"]
    assert found(index, "wing", doc_id="forged") == []
    assert found(index, "wing", uri="file:///b") == ["b/0"]
    assert found(index, "wing", lang="en", doc_id="b") == []
    assert found(index, "wing", colour="red") == []
    assert found(index, "wing", tenant="t1", lang="d") == []


def test_a_filter_changes_no_score(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["wing lift"], lang="en"), update("b", 2, ["tail"], lang="de")])
    assert index.search("wing", 1, Scope("t1", {"lang": "en"})) == index.search("wing", 1, Scope("t1"))


def test_a_refused_batch_changes_nothing(index: LexicalIndex) -> None:
    with pytest.raises(InvalidInput, match="twice"):
        index.apply([update("a", 1, ["wing"]), update("b", 2, ["wing", "tail"], ids=["same", "same"])])
    assert list(index.contents()) == []
    index.apply([update("a", 1, ["wing"])])
    assert found(index, "wing") == ["a/0"]


def test_a_snapshot_restores_contents_and_answers_and_is_never_touched(adapter: Adapter, tmp_path: Path) -> None:
    index = adapter.make(tmp_path / "index")
    index.apply([update("a", 1, ["wing lift", "tail"], lang="en"), update("b", 2, ["wing"], tenant="t2")])
    index.save(tmp_path / "snapshot")
    before = {path: path.read_bytes() for path in (tmp_path / "snapshot").rglob("*") if path.is_file()}
    for name in ("one", "two"):
        loaded = adapter.load(tmp_path / "snapshot", tmp_path / name)
        assert sorted(loaded.contents()) == sorted(index.contents())
        assert loaded.search("wing", 5, Scope("t1")) == index.search("wing", 5, Scope("t1"))
        for seq in range(3, 15):
            loaded.apply([update(f"c{seq}", seq, ["wing"]), update("a", seq, ["fin"])])
        assert found(loaded, "fin") == ["a/0"]
    index.apply([update("a", 20)])
    assert {path: path.read_bytes() for path in (tmp_path / "snapshot").rglob("*") if path.is_file()} == before


def test_an_index_goes_on_after_it_was_saved(index: LexicalIndex, tmp_path: Path) -> None:
    index.save(tmp_path / "empty")
    index.apply([update("a", 1, ["wing"])])
    index.save(tmp_path / "snapshot")
    index.apply([update("b", 2, ["wing tip"])])
    assert found(index, "wing") == ["a/0", "b/0"]


def test_a_snapshot_is_never_overwritten_and_a_scratch_folder_never_shared(adapter: Adapter, tmp_path: Path) -> None:
    index = adapter.make(tmp_path / "index")
    index.save(tmp_path / "snapshot")
    with pytest.raises(Conflict):
        index.save(tmp_path / "snapshot")
    with pytest.raises(Conflict):
        adapter.load(tmp_path / "snapshot", tmp_path / "index")
    with pytest.raises(Conflict):
        adapter.make(tmp_path / "index")


def test_a_missing_or_damaged_snapshot_is_refused(adapter: Adapter, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        adapter.load(tmp_path / "nowhere", tmp_path / "scratch")
    index = adapter.make(tmp_path / "index")
    index.apply([update("a", 1, ["wing"])])
    index.save(tmp_path / "snapshot")
    for path in [path for path in (tmp_path / "snapshot").rglob("*") if path.is_file() and path.stat().st_size]:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + b"?" + whole[len(whole) // 2 + 1 :])
        with pytest.raises(IncompleteIndex):
            adapter.load(tmp_path / "snapshot", tmp_path / "scratch")
        path.write_bytes(whole)
    assert list(adapter.load(tmp_path / "snapshot", tmp_path / "scratch").contents()) == [("a/0", 1)]


def test_a_search_sees_each_document_whole_while_it_changes(index: LexicalIndex) -> None:
    index.apply([update("a", 1, ["wing"] * 3, ids=["1/0", "1/1", "1/2"])])
    torn, done = [], Event()

    def read() -> None:
        while not done.is_set():
            names = found(index, "wing")
            if len(names) != 3 or len({name.split("/")[0] for name in names}) != 1:
                torn.append(names)

    reader = Thread(target=read)
    reader.start()
    for seq in range(2, 20):
        index.apply([update("a", seq, ["wing"] * 3, ids=[f"{seq}/{i}" for i in range(3)])])
    done.set()
    reader.join()
    assert torn == []


steps = st.lists(
    st.one_of(
        st.just("reload"),
        st.lists(
            st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.integers(0, 3), st.sampled_from(["t1", "t2"])),
            max_size=4,
        ),
    ),
    max_size=6,
)


@pytest.mark.parametrize("name", ADAPTERS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_any_history_holds_the_newest_state_of_each_document(name: str, steps: list) -> None:
    adapter, newest = ADAPTERS[name], {}
    with TemporaryDirectory() as folder:
        index = adapter.make(Path(folder) / "first")
        for number, step in enumerate(steps):
            if step == "reload":
                index.save(Path(folder) / f"snapshot{number}")
                index = adapter.load(Path(folder) / f"snapshot{number}", Path(folder) / f"scratch{number}")
                continue
            updates = [
                update(doc, seq, ["wing"] * count, tenant=tenant, ids=[f"{tenant}{doc}{i}" for i in range(count)])
                for doc, seq, count, tenant in step
            ]
            index.apply(updates)
            for each in updates:
                if each.key not in newest or each.seq > newest[each.key].seq:
                    newest[each.key] = each
        held = [(chunk.chunk_id, chunk.doc_version) for each in newest.values() for chunk in each.chunks]
        assert sorted(index.contents()) == sorted(held)
        for tenant in ("t1", "t2"):
            own = sorted(chunk_id for chunk_id, _ in held if chunk_id.startswith(tenant))
            assert sorted(found(index, "wing", 50, tenant)) == own
