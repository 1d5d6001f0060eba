"""What FAISS's store promises beyond its port: recall of its structures, bounded memory, where exactness ends."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage, Scope, Vectors
from include.quarry.specs import StoreSpec
from include.quarry.stores import faiss as module
from include.quarry.stores import graph
from include.quarry.stores.faiss import FaissStore

D, N = 32, 4000
RNG = np.random.default_rng(5)
CENTRES = RNG.standard_normal((60, D))


def points(count: int) -> np.ndarray:
    """Clustered like text: around a few dozen topics."""
    rows = CENTRES[RNG.integers(0, len(CENTRES), count)] + 0.5 * RNG.standard_normal((count, D))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


QUERIES = points(40)
RECALL = {"hnsw": 0.97, "ivf": 0.9, "sq8": 0.999}


def updates(rows: np.ndarray, seq: int = 1, tenant: str = "t1", prefix: str = "d") -> list[DocumentUpdate]:
    """One document a row; `part` is its number modulo 10, `half` modulo 2."""
    made = []
    for i, row in enumerate(rows):
        key = DocumentKey("main", tenant, f"{prefix}{i}")
        metadata = {"part": str(i % 10), "half": str(i % 2)}
        chunk = Chunk(f"{prefix}{i}", key, seq, 0, "", "", Passage("", "", 0, 0, 0), metadata)
        made.append(DocumentUpdate(seq, key, seq, (chunk,), Vectors("s", row[np.newaxis])))
    return made


def overlap(store: FaissStore, reference: FaissStore, queries: np.ndarray, k: int, scope: Scope) -> float:
    asked = Vectors("s", queries)
    pairs = zip(store.search(asked, k, scope), reference.search(asked, k, scope), strict=True)
    return float(np.mean([len({h.chunk_id for h in a} & {h.chunk_id for h in b}) / len(b) for a, b in pairs]))


@pytest.fixture(scope="module")
def flat() -> FaissStore:
    store = FaissStore(StoreSpec(kind="flat"), "s", D)
    store.apply(updates(points(N)))
    return store


@pytest.fixture(scope="module", params=["hnsw", "ivf", "sq8"])
def built(request, flat: FaissStore, tmp_path_factory) -> FaissStore:
    """The same rows behind a graph, lists or codes, always searched through them."""
    limits = graph.Limits(exact_rows=0)
    store = FaissStore(StoreSpec(kind=request.param), "s", D, limits)
    store._state, store._ledger = flat._state, flat._ledger
    folder = tmp_path_factory.mktemp(request.param) / "snapshot"
    store.save(folder)
    return FaissStore.load(folder, limits)


@pytest.mark.parametrize(
    "scope", [Scope("t1"), Scope("t1", {"half": "1"}), Scope("t1", {"part": "3"}), Scope("t1", {"doc_id": "d77"})]
)
@pytest.mark.parametrize("k", [10, 100])
def test_graph_lists_and_codes_find_what_a_scan_finds_under_any_filter(built, flat, scope: Scope, k: int) -> None:
    assert overlap(built, flat, QUERIES, k, scope) >= RECALL[built.spec.kind]


def test_the_tail_is_found_beside_the_graph_and_the_dead_are_not(built, flat, tmp_path: Path) -> None:
    built.save(tmp_path / "copy")
    store = FaissStore.load(tmp_path / "copy", graph.Limits(exact_rows=0))
    query = points(1)
    late = updates(query, seq=2, prefix="late")
    store.apply(late)
    assert store.search(Vectors("s", query), 1, Scope("t1"))[0][0].chunk_id == "late0"
    store.apply([DocumentUpdate(3, late[0].key, 3)])
    first = flat.search(Vectors("s", query), 1, Scope("t1"))[0][0].chunk_id
    store.apply([DocumentUpdate(4, DocumentKey("main", "t1", first), 4)])
    assert not {"late0", first} & {hit.chunk_id for hit in store.search(Vectors("s", query), 100, Scope("t1"))[0]}


@pytest.mark.parametrize(("kind", "rows", "built"), [("flat", 500, False), ("auto", 100, False), ("auto", 101, True)])
def test_small_stores_are_scanned_and_large_ones_get_a_graph(kind, rows: int, built: bool) -> None:
    index = graph.build(kind, points(rows), graph.Limits(exact_rows=100, ivf_rows=1000))
    assert (index is not None) == built


def test_the_largest_get_lists() -> None:
    index = graph.build("auto", points(2000), graph.Limits(exact_rows=100, ivf_rows=1000))
    assert hasattr(index, "nlist")


def test_a_document_changed_all_day_costs_no_more_than_one(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_DEAD_ROWS", 8)
    store = FaissStore(StoreSpec(), "s", D)
    store.apply(updates(points(5)))
    store.save(tmp_path / "snapshot")
    store = FaissStore.load(tmp_path / "snapshot")
    steady = updates(points(3), prefix="steady")
    store.apply(steady)
    for seq in range(2, 60):
        store.apply(updates(points(1), seq=seq, prefix="busy"))
    assert store._state.count < 5 + 3 + 20
    assert dict(store.contents()) == {f"d{i}": 1 for i in range(5)} | {f"steady{i}": 1 for i in range(3)} | {
        "busy0": 59
    }
    for update in steady:
        assert update.vectors is not None
        found = store.search(update.vectors, 1, Scope("t1", {"doc_id": update.key.doc_id}))[0]
        assert found[0].score == pytest.approx(1.0)
    store.apply([DocumentUpdate(60, steady[1].key, 60)])
    assert "steady1" not in dict(store.contents())


def test_values_that_no_chunk_has_any_more_are_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(module, "_DEAD_ROWS", 8)
    store = FaissStore(StoreSpec(), "s", D)
    for seq in range(1, 60):
        (update,) = updates(points(1), seq=seq)
        read_at = replace(update.chunks[0], metadata={"read_at": str(seq)})
        store.apply([replace(update, chunks=(read_at,))])
    assert len(store._state.columns._fields["field:read_at"]._values) < 20
    assert update.vectors is not None
    assert store.search(update.vectors, 1, Scope("t1", {"read_at": "59"}))[0]
    assert not store.search(update.vectors, 1, Scope("t1", {"read_at": "58"}))[0]


def test_two_histories_of_the_same_state_give_the_same_snapshot(tmp_path: Path) -> None:
    made = updates(points(30))
    for name, order in (("one", made), ("two", made[::-1])):
        store = FaissStore(StoreSpec(), "s", D)
        for update in order:
            store.apply([update])
        store.save(tmp_path / name)
    for file in ("vectors.npy", "documents.arrow", "rows.arrow"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_when_the_graph_proposes_too_few_the_scan_answers(built, flat, monkeypatch) -> None:
    monkeypatch.setattr(graph, "candidates", lambda *_: np.arange(3))
    assert overlap(built, flat, points(5), 10, Scope("t1")) == 1.0


@pytest.mark.parametrize("filters", [{}, {"half": "1"}, {"part": "3"}], ids=["all", "half", "a tenth"])
def test_queries_searched_together_find_what_each_finds_alone(flat: FaissStore, filters, tmp_path: Path) -> None:
    """Over snapshot, tail and dead rows, and over more queries than share a pass."""
    flat.save(tmp_path / "snapshot")
    store = FaissStore.load(tmp_path / "snapshot")
    store.apply(updates(points(50), seq=2))
    scope = Scope("t1", filters)
    together = store.search(Vectors("s", QUERIES), 10, scope)
    alone = [store.search(Vectors("s", query[np.newaxis]), 10, scope)[0] for query in QUERIES]
    assert together == alone
    assert len({len(hits) for hits in together}) == 1
