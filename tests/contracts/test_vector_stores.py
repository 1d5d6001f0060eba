"""What every vector store promises. A new adapter joins by one line in ADAPTERS."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.quarry.errors import Conflict, ForeignVectors, IncompleteIndex, InvalidInput, NotFound
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage, Scope, Vectors
from include.quarry.specs import StoreSpec
from include.quarry.stores import milvus, pinecone
from include.quarry.stores.faiss import FaissStore
from include.quarry.stores.graph import Limits
from include.quarry.stores.memory import MemoryStore
from include.quarry.stores.protocol import ExactRows, VectorStore

SPACE = "space-a"
D = 4
ANN = Limits(exact_rows=0, ivf_rows=1)


@dataclass(frozen=True)
class Adapter:
    """How to make and load a store; `exact` ones must equal the reference in every search."""

    make: Callable[[], VectorStore]
    load: Callable[[Path], VectorStore]
    exact: bool = True


def faiss(kind: str, limits: Limits | None = None) -> Adapter:
    return Adapter(
        make=lambda: FaissStore(StoreSpec(kind=kind), SPACE, D, limits),  # type: ignore[arg-type]
        load=lambda folder: FaissStore.load(folder, limits),
        exact=limits is None,
    )


def in_milvus(kind: str) -> Callable[[pytest.FixtureRequest], Adapter]:
    """Each store has a collection of its own on the one server."""

    def adapter(request: pytest.FixtureRequest) -> Adapter:
        server: milvus.MilvusServer = request.getfixturevalue("milvus_server")
        spec = StoreSpec(kind=kind)  # type: ignore[arg-type]
        return Adapter(
            make=lambda: milvus.new_store(spec, SPACE, D, server=server, version=uuid4().hex),
            load=lambda folder: milvus.load_store(folder, server=server),
            exact=kind == "flat",
        )

    return adapter


def in_pinecone(request: pytest.FixtureRequest) -> Adapter:
    server: pinecone.PineconeServer = request.getfixturevalue("pinecone_server")
    return Adapter(
        make=lambda: pinecone.new_store(StoreSpec(), SPACE, D, server=server, version=uuid4().hex),
        load=lambda folder: pinecone.load_store(folder, server=server),
    )


ADAPTERS: dict[str, Callable[[pytest.FixtureRequest], Adapter]] = {
    "memory": lambda _: Adapter(lambda: MemoryStore(SPACE, D), MemoryStore.load),
    "faiss-auto": lambda _: faiss("auto"),
    "faiss-flat": lambda _: faiss("flat"),
    "faiss-hnsw": lambda _: faiss("hnsw", ANN),
    "faiss-ivf": lambda _: faiss("ivf", ANN),
    "faiss-sq8": lambda _: faiss("sq8", ANN),
    "milvus-flat": in_milvus("flat"),
    "milvus-hnsw": in_milvus("hnsw"),
    "pinecone": in_pinecone,
}


@pytest.fixture(params=ADAPTERS)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return ADAPTERS[request.param](request)


@pytest.fixture
def store(adapter: Adapter) -> VectorStore:
    return adapter.make()


def unit(values: Sequence[float]) -> np.ndarray:
    row = np.array(values, np.float32)
    return row / np.linalg.norm(row)


def vectors(rows: Iterable[Sequence[float]], space: str = SPACE) -> Vectors:
    return Vectors(space, np.array([unit(row) for row in rows], np.float32).reshape(-1, D))


def update(doc: str, seq: int, rows: Sequence[Sequence[float]] = (), *, tenant="t1", ids=None, **metadata: str):
    """A document with one chunk a row; no rows delete it. Chunk ids default to `doc/ordinal`."""
    key = DocumentKey("main", tenant, doc)
    names = ids or [f"{doc}/{i}" for i in range(len(rows))]
    chunks = tuple(
        Chunk(name, key, seq, i, f"file:///{doc}", doc, Passage(f"text {i}", "", 0, 6, 2), metadata)
        for i, name in enumerate(names)
    )
    return DocumentUpdate(seq, key, seq, chunks, vectors(rows) if rows else None)


def found(store: VectorStore, query: Sequence[float], k: int = 10, tenant: str = "t1", **filters: str) -> list[str]:
    return [hit.chunk_id for hit in store.search(vectors([query]), k, Scope(tenant, filters))[0]]


X, Y, Z = (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)
NEAR_X = (0.9, 0.1, 0, 0)


def test_finds_the_nearest_first_with_its_inner_product(store: VectorStore) -> None:
    store.apply([update("a", 1, [X, Y]), update("b", 2, [NEAR_X])])
    hits = store.search(vectors([X]), 2, Scope("t1"))[0]
    assert [hit.chunk_id for hit in hits] == ["a/0", "b/0"]
    assert hits[0].score == pytest.approx(1.0)
    assert hits[1].score == pytest.approx(float(unit(NEAR_X) @ unit(X)))


def test_answers_each_query_of_a_batch(store: VectorStore) -> None:
    store.apply([update("a", 1, [X, Y])])
    results = store.search(vectors([Y, X]), 1, Scope("t1"))
    assert [hits[0].chunk_id for hits in results] == ["a/1", "a/0"]
    assert store.search(vectors([]), 3, Scope("t1")) == []


def test_breaks_ties_by_chunk_id_also_where_k_cuts_them(store: VectorStore) -> None:
    names = ["q", "c", "z", "a", "m", "b"]
    store.apply([update(name, seq, [Y if name == "q" else X], ids=[name]) for seq, name in enumerate(names, 1)])
    assert found(store, X, 3) == ["a", "b", "c"]


def test_an_empty_store_finds_nothing(store: VectorStore) -> None:
    assert store.search(vectors([X, Y]), 100, Scope("t1")) == [[], []]
    assert list(store.contents()) == []


def test_k_beyond_the_count_returns_all(store: VectorStore) -> None:
    store.apply([update("a", 1, [X, Y, Z])])
    assert sorted(found(store, X, 100)) == ["a/0", "a/1", "a/2"]
    assert found(store, X, 10**9)[0] == "a/0"


def test_an_update_replaces_the_whole_document(store: VectorStore) -> None:
    store.apply([update("a", 1, [X, Y, Z])])
    store.apply([update("a", 2, [Y])])
    assert found(store, X) == ["a/0"]
    assert list(store.contents()) == [("a/0", 2)]


def test_a_stale_or_repeated_update_is_ignored(store: VectorStore) -> None:
    store.apply([update("a", 5, [X])])
    store.apply([update("a", 4, [Y, Z]), update("a", 5, [Y, Z])])
    assert list(store.contents()) == [("a/0", 5)]
    assert store.search(vectors([X]), 1, Scope("t1"))[0][0].score == pytest.approx(1.0)


def test_the_newest_of_one_batch_counts_in_any_order(store: VectorStore) -> None:
    store.apply([update("a", 1, [X]), update("a", 3, [Z]), update("a", 2, [Y, Y])])
    assert list(store.contents()) == [("a/0", 3)]


def test_a_delete_wins_over_a_late_update_even_after_a_reload(adapter: Adapter, tmp_path: Path) -> None:
    store = adapter.make()
    store.apply([update("a", 1, [X]), update("b", 2, [Y])])
    store.apply([update("a", 5)])
    store.apply([update("a", 4, [X])])
    assert found(store, X) == ["b/0"]
    store.save(tmp_path / "snapshot")
    loaded = adapter.load(tmp_path / "snapshot")
    loaded.apply([update("a", 4, [X])])
    assert found(loaded, X) == ["b/0"]
    loaded.apply([update("a", 6, [X])])
    assert found(loaded, X) == ["a/0", "b/0"]


def test_tenants_never_see_each_other(store: VectorStore) -> None:
    store.apply([update("a", 1, [X], tenant="t1", ids=["one"]), update("a", 2, [X], tenant="t2", ids=["two"])])
    assert found(store, X, tenant="t1") == ["one"]
    assert found(store, X, tenant="t2") == ["two"]
    assert found(store, X, tenant="t3") == []
    store.apply([update("a", 3, tenant="t1")])
    assert found(store, X, tenant="t2") == ["two"]


def test_filters_are_equality_on_metadata_doc_id_and_uri(store: VectorStore) -> None:
    store.apply([update("a", 1, [X], lang="en", doc_id="forged"), update("b", 2, [X], lang="de"), update("c", 3, [X])])
    assert found(store, X, lang="de") == ["b/0"]
    assert found(store, X, doc_id="a") == ["a/0"]
    assert found(store, X, doc_id="forged") == []
    assert found(store, X, uri="file:///c") == ["c/0"]
    assert found(store, X, lang="en", doc_id="b") == []
    assert found(store, X, colour="red") == []


def test_filters_lose_no_hit_however_selective_they_are(adapter: Adapter, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    store = adapter.make()
    store.apply([update(f"d{i}", i + 1, [rng.standard_normal(D)], part=str(i % 50)) for i in range(500)])
    store.save(tmp_path / "snapshot")
    for held in (store, adapter.load(tmp_path / "snapshot")):
        assert len(found(held, X, 100, part="7")) == 10
        assert len(found(held, X, 100, doc_id="d123")) == 1


def test_foreign_vectors_are_refused_and_both_spaces_named(store: VectorStore) -> None:
    foreign = vectors([X], "space-b")
    chunks = update("a", 1, [X])
    with pytest.raises(ForeignVectors, match=r"(?s)space-b.*space-a"):
        store.apply([DocumentUpdate(1, chunks.key, 1, chunks.chunks, foreign)])
    with pytest.raises(ForeignVectors, match=r"(?s)space-b.*space-a"):
        store.search(foreign, 1, Scope("t1"))


@pytest.mark.parametrize("row", [(0, 0, 0, 0), (np.nan, 0, 0, 0), (np.inf, 0, 0, 0), (2, 0, 0, 0)])
def test_vectors_not_of_length_one_are_refused(store: VectorStore, row: tuple[float, ...]) -> None:
    bad = Vectors(SPACE, np.array([row], np.float32))
    good = update("a", 1, [X])
    with pytest.raises(InvalidInput, match="length one"):
        store.apply([DocumentUpdate(1, good.key, 1, good.chunks, bad)])
    with pytest.raises(InvalidInput, match="length one"):
        store.search(bad, 1, Scope("t1"))


def test_misshapen_or_missing_vectors_are_refused(store: VectorStore) -> None:
    good = update("a", 1, [X])
    wide = Vectors(SPACE, np.eye(1, D + 1, dtype=np.float32))
    for offered in (None, wide, vectors([X, Y])):
        with pytest.raises(InvalidInput):
            store.apply([DocumentUpdate(1, good.key, 1, good.chunks, offered)])
    with pytest.raises(InvalidInput):
        store.search(wide, 1, Scope("t1"))
    with pytest.raises(InvalidInput):
        store.search(vectors([X]), 0, Scope("t1"))


def test_a_refused_batch_changes_nothing(store: VectorStore) -> None:
    good, twice = update("a", 1, [X]), update("b", 2, [X, Y], ids=["same", "same"])
    with pytest.raises(InvalidInput, match="twice"):
        store.apply([good, twice])
    assert list(store.contents()) == []
    store.apply([good])
    assert found(store, X) == ["a/0"]


def test_a_store_that_has_its_rows_gives_them_bit_by_bit(adapter: Adapter, tmp_path: Path) -> None:
    store = adapter.make()
    if not isinstance(store, ExactRows):
        pytest.skip("a store on a server is asked by search")
    store.apply([update("a", 1, [X, Y]), update("b", 2, [Z]), update("c", 3, [X])])
    store.save(tmp_path / "snapshot")
    store = adapter.load(tmp_path / "snapshot")
    store.apply([update("b", 4, [NEAR_X]), update("c", 5), update("d", 6, [Y])])
    assert isinstance(store, ExactRows)
    held = {chunk_id: row for ids, rows in store.rows() for chunk_id, row in zip(ids, rows, strict=True)}
    expected = {"a/0": X, "a/1": Y, "b/0": NEAR_X, "d/0": Y}
    assert {chunk_id: row.tobytes() for chunk_id, row in held.items()} == {
        chunk_id: unit(row).tobytes() for chunk_id, row in expected.items()
    }


def test_a_snapshot_restores_contents_and_answers(adapter: Adapter, tmp_path: Path) -> None:
    store = adapter.make()
    store.apply([update("a", 1, [X, Y], lang="en"), update("b", 2, [NEAR_X], tenant="t2"), update("c", 3, [Z])])
    store.apply([update("a", 4, [Y, X], lang="de")])
    store.save(tmp_path / "snapshot")
    loaded = adapter.load(tmp_path / "snapshot")
    assert sorted(loaded.contents()) == sorted(store.contents())
    assert loaded.search(vectors([X, Y]), 5, Scope("t1")) == store.search(vectors([X, Y]), 5, Scope("t1"))
    assert found(loaded, X, lang="de") == ["a/1", "a/0"]
    assert found(loaded, X, tenant="t2") == ["b/0"]


def test_an_empty_store_survives_a_snapshot(adapter: Adapter, tmp_path: Path) -> None:
    adapter.make().save(tmp_path / "snapshot")
    loaded = adapter.load(tmp_path / "snapshot")
    assert list(loaded.contents()) == []
    loaded.apply([update("a", 1, [X])])
    assert found(loaded, X) == ["a/0"]


def test_a_snapshot_is_never_overwritten(adapter: Adapter, tmp_path: Path) -> None:
    store = adapter.make()
    store.save(tmp_path / "snapshot")
    with pytest.raises(Conflict):
        store.save(tmp_path / "snapshot")


def test_a_missing_or_damaged_snapshot_is_refused(adapter: Adapter, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        adapter.load(tmp_path / "nowhere")
    store = adapter.make()
    store.apply([update("a", 1, [X])])
    store.save(tmp_path / "snapshot")
    for path in [path for path in (tmp_path / "snapshot").rglob("*") if path.is_file()]:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + b"?" + whole[len(whole) // 2 + 1 :])
        with pytest.raises(IncompleteIndex):
            adapter.load(tmp_path / "snapshot")
        path.write_bytes(whole)
    assert list(adapter.load(tmp_path / "snapshot").contents()) == [("a/0", 1)]


def test_a_search_sees_each_document_whole_while_it_changes(store: VectorStore) -> None:
    store.apply([update("a", 1, [X, X, X], ids=["1/0", "1/1", "1/2"])])
    torn, done = [], Event()

    def read() -> None:
        while not done.is_set():
            names = found(store, X)
            if len(names) != 3 or len({name.split("/")[0] for name in names}) != 1:
                torn.append(names)

    reader = Thread(target=read)
    reader.start()
    for seq in range(2, 80):
        store.apply([update("a", seq, [X, X, X], ids=[f"{seq}/{i}" for i in range(3)])])
    done.set()
    reader.join()
    assert torn == []


# Few directions, so that equal scores are common; few documents, so that they meet.
rows = st.lists(st.sampled_from([X, Y, Z, NEAR_X, (1, 1, 1, 1)]), max_size=3)
batches = st.lists(
    st.builds(
        lambda doc, seq, rows, tenant, lang: update(doc, seq, rows, tenant=tenant, lang=lang),
        st.sampled_from("abcd"),
        st.integers(1, 12),
        rows,
        st.sampled_from(["t1", "t2"]),
        st.sampled_from(["en", "de"]),
    ),
    max_size=4,
)
RELOAD = "reload"


@pytest.mark.parametrize("adapter", [name for name in ADAPTERS if name != "memory"], indirect=True)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.one_of(batches, st.just(RELOAD)), max_size=7))
def test_any_history_equals_the_reference(adapter: Adapter, steps: list[list[DocumentUpdate] | str]) -> None:
    store, reference = adapter.make(), MemoryStore(SPACE, D)
    with TemporaryDirectory() as scratch:
        for number, step in enumerate(steps):
            if isinstance(step, str):
                store.save(Path(scratch) / str(number))
                store = adapter.load(Path(scratch) / str(number))
            else:
                store.apply(step)
                reference.apply(step)
        assert sorted(store.contents()) == sorted(reference.contents())
        for scope in (Scope("t1"), Scope("t2", {"lang": "de"}), Scope("t1", {"doc_id": "a", "lang": "en"})):
            for k in (1, 3, 50):
                ours = store.search(vectors([X, NEAR_X]), k, scope)
                theirs = reference.search(vectors([X, NEAR_X]), k, scope)
                if adapter.exact:
                    assert ours == theirs
                else:
                    assert [len(hits) for hits in ours] == [len(hits) for hits in theirs]
                    assert all(hits == sorted(hits, key=lambda hit: (-hit.score, hit.chunk_id)) for hits in ours)
