"""One index version: three projections that move together."""

from pathlib import Path
from threading import Event, Thread

import pytest

from include.quarry.errors import ForeignVectors, IncompleteIndex, InvalidInput
from include.quarry.records import DocumentUpdate, Scope
from include.quarry.retrieval.digest import digest
from include.quarry.retrieval.index import Index

T1 = Scope("t1")


@pytest.fixture
def index(spec, tmp_path: Path) -> Index:
    return Index.create(spec, "v1", tmp_path / "scratch")


def found(index: Index, query: str, vectors_of, k: int = 10, scope: Scope = T1) -> list[str]:
    return [hit.chunk.chunk_id for hit in index.search(query, vectors_of([query]), k, scope)]


def test_hits_carry_their_chunk_and_their_rank_in_each_list(index: Index, update, vectors_of) -> None:
    first = update("a", 1, ["wing wing", "tail"])
    index.apply([first, update("b", 2, ["rudder"])], 2)
    hits = index.search("wing", vectors_of(["wing"]), 3, T1)
    assert hits[0].chunk == first.chunks[0]
    assert hits[0].ranks == {"dense": 1, "lexical": 1}
    assert hits[0].score == pytest.approx(2 / 61)
    assert all(set(hit.ranks) == {"dense"} for hit in hits[1:])


def test_an_empty_index_answers_nothing(index: Index, vectors_of) -> None:
    assert index.search("wing", vectors_of(["wing"]), 100, T1) == []
    assert list(index.contents()) == []
    assert index.watermark == 0


def test_k_may_exceed_the_depth_and_must_be_positive(index: Index, update, vectors_of) -> None:
    index.apply([update("a", 1, ["wing"] * 8)], 1)
    assert len(index.search("wing", vectors_of(["wing"]), 8, T1, depth=2)) == 8
    with pytest.raises(InvalidInput):
        index.search("wing", vectors_of(["wing"]), 0, T1)


def test_the_watermark_never_goes_back(index: Index, update) -> None:
    index.apply([update("a", 7, ["wing"])], 7)
    index.apply([], 9)
    index.apply([update("a", 3, ["tail"])], 3)
    assert index.watermark == 9


def test_tenants_never_see_each_other(index: Index, update, vectors_of) -> None:
    index.apply([update("a", 1, ["wing"]), update("a", 2, ["wing"], tenant="t2")], 2)
    assert found(index, "wing", vectors_of) == ["t1/a/0"]
    assert found(index, "wing", vectors_of, scope=Scope("t2")) == ["t2/a/0"]
    assert found(index, "wing", vectors_of, scope=Scope("t3")) == []


def test_foreign_vectors_leave_the_index_as_it_was(index: Index, update, vectors_of) -> None:
    good = update("a", 1, ["wing"])
    foreign = DocumentUpdate(1, good.key, 1, good.chunks, vectors_of(["wing"], "another"))
    with pytest.raises(ForeignVectors):
        index.apply([foreign], 1)
    with pytest.raises(ForeignVectors):
        index.search("wing", vectors_of(["wing"], "another"), 1, T1)
    assert list(index.contents()) == []
    assert index.watermark == 0


def test_a_snapshot_restores_answers_watermark_and_spec(index: Index, update, vectors_of, tmp_path: Path) -> None:
    index.apply([update("a", 1, ["wing", "tail"]), update("b", 2, ["wing rudder"]), update("c", 3, ["tail"])], 3)
    index.apply([update("c", 4)], 4)
    index.save(tmp_path / "snapshot")
    loaded = Index.load(tmp_path / "snapshot", tmp_path / "loaded")
    assert (loaded.spec, loaded.version, loaded.watermark) == (index.spec, "v1", 4)
    assert digest(loaded.contents()) == digest(index.contents())
    query = vectors_of(["wing tail"])
    assert loaded.search("wing tail", query, 10, T1) == index.search("wing tail", query, 10, T1)
    loaded.apply([update("c", 3, ["tail"])], 3)
    assert "t1/c/0" not in found(loaded, "tail", vectors_of)


def test_the_same_log_in_other_batches_gives_the_same_digest(index: Index, update, spec, tmp_path: Path) -> None:
    log = [update(doc, seq, ["wing"] * (seq % 3)) for seq, doc in enumerate("abcabcaab", 1)]
    index.apply(log, len(log))
    other = Index.create(spec, "v2", tmp_path / "other")
    for each in log:
        other.apply([each], each.seq)
    other.apply(log[3:6], 6)
    assert digest(other.contents()) == digest(index.contents())


def test_parts_that_differ_are_called_incomplete_and_not_saved(index: Index, update, tmp_path: Path) -> None:
    index.apply([update("a", 1, ["wing"])], 1)
    index._lexical.apply([update("a", 2)])
    with pytest.raises(IncompleteIndex, match="lexical"):
        list(index.contents())
    with pytest.raises(IncompleteIndex):
        index.save(tmp_path / "snapshot")
    assert not (tmp_path / "snapshot").exists()


def test_an_apply_that_failed_halfway_completes_when_repeated(index: Index, update, vectors_of, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(index._lexical, "apply", lambda updates: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            index.apply([update("a", 1, ["wing"])], 1)
    assert index.watermark == 0
    index.apply([update("a", 1, ["wing"])], 1)
    assert digest(index.contents()) == digest([("t1/a/0", 1)])
    assert index.watermark == 1


def test_a_delete_wins_before_the_slow_parts_have_followed(index: Index, update, vectors_of, monkeypatch) -> None:
    index.apply([update("a", 1, ["wing"]), update("b", 2, ["wing tail"])], 2)
    seen = []
    apply = index._store.apply
    monkeypatch.setattr(
        index._store, "apply", lambda updates: (seen.append(found(index, "wing", vectors_of, k=1)), apply(updates))
    )
    index.apply([update("a", 3)], 3)
    assert seen == [["t1/b/0"]]


def test_a_changing_document_is_always_found_and_never_in_two_versions(index: Index, update, vectors_of) -> None:
    index.apply([update("a", 1, ["wing", "wing tail"], ids=["1/0", "1/1"])], 1)
    wrong, done = [], Event()

    def read() -> None:
        while not done.is_set():
            versions = {hit.chunk.doc_version for hit in index.search("wing", vectors_of(["wing"]), 5, T1)}
            if len(versions) != 1:
                wrong.append(versions)

    reader = Thread(target=read)
    reader.start()
    for seq in range(2, 20):
        index.apply([update("a", seq, ["wing", "wing tail"], ids=[f"{seq}/0", f"{seq}/1"])], seq)
    done.set()
    reader.join()
    assert wrong == []
