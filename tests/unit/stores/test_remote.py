"""Several replicas over one collection, at different places of the log: whoever comes late changes nothing."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.errors import IncompleteIndex, Unavailable
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage, Scope, Vectors
from include.quarry.stores import fences
from include.quarry.stores.fences import Fence, Fences
from include.quarry.stores.readers import Readers
from include.quarry.stores.remote import RemoteStore
from tests.unit.stores.shelf import Shelf, ShelfCollection
from tests.unit.stores.stage import Stage

D = 3
QUERY = Vectors("s", np.eye(1, D, dtype=np.float32))


def update(doc: str, seq: int, chunks: int) -> DocumentUpdate:
    """A document of which every chunk names the update that it is of; no chunks delete it."""
    key = DocumentKey("main", "t", doc)
    made = tuple(
        Chunk(f"{doc}:{seq}:{i}", key, seq, i, "", "", Passage("", "", 0, 0, 0), {"of": str(chunks)})
        for i in range(chunks)
    )
    vectors = Vectors("s", np.tile(np.eye(1, D, dtype=np.float32), (chunks, 1))) if chunks else None
    return DocumentUpdate(seq, key, seq, made, vectors)


def found(store: RemoteStore, k: int = 100) -> list[str]:
    return [hit.chunk_id for hit in store.search(QUERY, k, Scope("t"))[0]]


class StagedReaders(Readers):
    """A writer that waits lets the others act; on a stage nobody may stand still."""

    def __init__(self, pause: Callable[[], None]) -> None:
        super().__init__()
        self._pause = pause

    def wait_for_earlier(self) -> None:
        last = self._turn
        while min(self._reading, default=last + 1) <= last:
            self._pause()


def over(shelf: Shelf, step: Callable[[], None] = lambda: None) -> RemoteStore:
    store = RemoteStore(ShelfCollection(shelf, step), "s", D)
    store._readers = StagedReaders(step)
    return store


def state_after(log: Sequence[DocumentUpdate]) -> list[str]:
    """The chunks that remain when the whole log is applied."""
    last = {update.key: update for update in log}
    return sorted(chunk.chunk_id for update in last.values() for chunk in update.chunks)


logs = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3)), min_size=1, max_size=6).map(
    lambda made: [update(doc, seq, chunks) for seq, (doc, chunks) in enumerate(made, 1)]
)
strides = st.integers(1, 3)
seeds = st.integers(0, 2**32)


def follow(
    store: RemoteStore, log: Sequence[DocumentUpdate], stride: int, applied: dict[str, int] | None = None
) -> None:
    """Applies the log in batches of the stride, and notes what is applied."""
    for start in range(0, len(log), stride):
        store.apply(log[start : start + stride])
        if applied is not None:
            applied |= {update.key.doc_id: update.seq for update in log[start : start + stride]}


def read(store: RemoteStore, log: Sequence[DocumentUpdate], applied: dict[str, int]) -> None:
    """Searches again and again; each document is in one of the states it has had since it was applied here last."""
    for _ in range(6):
        before = dict(applied)
        seen: dict[str, list[str]] = {"a": [], "b": []}
        for chunk_id in found(store):
            seen[chunk_id[0]].append(chunk_id)
        for doc, chunks in seen.items():
            since = [u for u in log if u.key.doc_id == doc and u.seq >= before.get(doc, 0)]
            states = [sorted(chunk.chunk_id for chunk in u.chunks) for u in since]
            assert sorted(chunks) in states + [[]] * (doc not in before)


def check_settled(shelf: Shelf, log: Sequence[DocumentUpdate]) -> None:
    """The server holds the state of the log and nothing else, whoever looks."""
    fresh = over(shelf)
    assert sorted(found(fresh)) == state_after(log)
    assert sorted(chunk_id for chunk_id, _ in fresh.contents()) == state_after(log)
    newest = {update.key.doc_id: update.seq for update in log}
    assert {row.seq for row in shelf.rows.values()} == set(newest.values())


@settings(max_examples=300, deadline=None)
@given(log=logs, speeds=st.tuples(strides, strides, strides), lag=st.integers(0, 5), seed=seeds)
def test_replicas_of_any_speed_in_any_interleaving_end_in_the_state_of_the_log(log, speeds, lag: int, seed) -> None:
    """Also where some of them have not come far: what they write late is gone when they have written it."""
    shelf, stage = Shelf(), Stage(seed)
    logs = {"whole": log, "behind": log[: len(log) - lag], "far behind": log[: len(log) - 2 * lag]}
    stage.play(
        {
            name: partial(follow, over(shelf, stage.pause), part, speed)
            for (name, part), speed in zip(logs.items(), speeds, strict=True)
        }
    )
    check_settled(shelf, log)


@settings(max_examples=300, deadline=None)
@given(log=logs, speeds=st.tuples(strides, strides), seed=seeds)
def test_a_search_sees_each_document_whole_and_never_older_than_what_its_replica_applied(log, speeds, seed) -> None:
    shelf, stage, applied = Shelf(), Stage(seed), dict[str, int]()
    ours, other = over(shelf, stage.pause), over(shelf, stage.pause)
    stage.play(
        {
            "ours": partial(follow, ours, log, speeds[0], applied),
            "other": partial(follow, other, log, speeds[1]),
            "reader": partial(read, ours, log, applied),
        }
    )
    check_settled(shelf, log)


@settings(max_examples=300, deadline=None)
@given(log=logs, speed=strides, seed=seeds)
def test_a_search_misses_no_document_also_where_the_server_does_not_answer_as_of_one_moment(log, speed, seed) -> None:
    """A search that spans the whole replacement of a document would find neither its old rows nor its new ones."""
    shelf, stage, applied = Shelf(torn=True), Stage(seed), dict[str, int]()
    ours = over(shelf, stage.pause)
    stage.play(
        {"ours": partial(follow, ours, log, speed, applied), "reader": partial(read, ours, log, applied)},
    )
    check_settled(shelf, log)


@settings(max_examples=300, deadline=None)
@given(log=logs, speeds=st.tuples(strides, strides), seed=seeds, steps=st.integers(0, 12))
def test_a_writer_that_dies_at_any_step_leaves_nothing_that_the_other_shows(log, speeds, seed, steps: int) -> None:
    """And when it comes back and follows the log again, nothing of it remains."""
    shelf, stage, left = Shelf(), Stage(seed), iter(range(steps))

    def step() -> None:
        stage.pause()
        if next(left, None) is None:
            raise Unavailable("dead")

    def die() -> None:
        with suppress(Unavailable):
            follow(over(shelf, step), log, speeds[1])

    ours = over(shelf, stage.pause)
    stage.play({"ours": partial(follow, ours, log, speeds[0]), "dying": die})
    ours._collection._step = lambda: None
    assert sorted(found(ours)) == state_after(log)
    assert sorted(chunk_id for chunk_id, _ in ours.contents()) == state_after(log)
    follow(over(shelf), log, speeds[1])
    check_settled(shelf, log)


def test_a_replica_behind_does_not_bring_back_what_another_deleted() -> None:
    shelf = Shelf()
    ahead, behind = over(shelf), over(shelf)
    ahead.apply([update("a", 1, 2), update("b", 2, 1)])
    ahead.apply([update("a", 3, 0)])
    rows = dict(shelf.rows)
    behind.apply([update("a", 1, 2)])
    assert shelf.rows == rows
    assert next(shelf.ids) == len(["a", "a", "b", "tombstone"])
    assert found(behind) == found(ahead) == found(over(shelf)) == ["b:2:0"]


def test_a_document_written_in_part_is_completed_by_the_next_who_applies_it() -> None:
    shelf = Shelf()
    over(shelf).apply([update("a", 1, 3)])
    del shelf.rows["1"]
    store = over(shelf)
    store.apply([update("a", 1, 3)])
    assert sorted(found(store)) == ["a:1:0", "a:1:1", "a:1:2"]
    assert len(shelf.rows) == 3


def test_while_a_newer_update_arrives_in_part_the_one_applied_last_is_shown() -> None:
    shelf, later = Shelf(), Shelf()
    store = over(shelf)
    store.apply([update("a", 1, 2)])
    over(later).apply([update("a", 2, 3)])
    shelf.rows["later"] = later.rows["0"]
    assert found(store) == ["a:1:0", "a:1:1"]


def test_rows_written_twice_are_shown_once() -> None:
    shelf = Shelf()
    over(shelf).apply([update("a", 1, 2)])
    shelf.rows |= {f"again-{row_id}": row for row_id, row in shelf.rows.items()}
    assert found(over(shelf)) == ["a:1:0", "a:1:1"]
    assert sorted(over(shelf).contents()) == [("a:1:0", 1), ("a:1:1", 1)]


def test_ties_beyond_the_first_candidates_are_broken_by_chunk_id() -> None:
    shelf = Shelf()
    store = over(shelf)
    store.apply([update(f"{doc:03}", 1000 - doc, 1) for doc in range(300, 0, -1)])
    assert found(store, 2) == ["001:999:0", "002:998:0"]


def test_many_stale_rows_hide_no_hit() -> None:
    """A writer died before it could delete what it had written late."""
    shelf, late = Shelf(), Shelf()
    store = over(shelf)
    store.apply([update("a", 9, 0), update("b", 2, 1)])
    over(late).apply([update("a", 1, 200)])
    shelf.rows = {f"late-{row_id}": row for row_id, row in late.rows.items()} | shelf.rows
    assert found(store, 5) == ["b:2:0"]


def test_what_a_snapshot_says_must_be_there(tmp_path: Path) -> None:
    shelf = Shelf()
    store = over(shelf)
    store.apply([update("a", 1, 2), update("b", 2, 1), update("c", 3, 0)])
    store.save(tmp_path / "snapshot")

    def load() -> RemoteStore:
        return RemoteStore.load(tmp_path / "snapshot", lambda *_: ShelfCollection(shelf))

    whole = dict(shelf.rows)
    for row_id in whole:
        shelf.rows = {other: row for other, row in whole.items() if other != row_id}
        with pytest.raises(IncompleteIndex, match="1 documents"):
            load()
    shelf.rows = whole
    store.apply([update("a", 4, 0), update("c", 5, 1)])
    assert found(load()) == ["b:2:0", "c:5:0"]


def test_fences_survive_a_snapshot(tmp_path: Path) -> None:
    """What was deleted stays deleted for a replica loaded later, even where a dead writer left rows of it."""
    shelf, late = Shelf(), Shelf()
    store = over(shelf)
    store.apply([update("a", 9, 0)])
    store.save(tmp_path / "snapshot")
    over(late).apply([update("a", 1, 2)])
    shelf.rows |= {f"late-{row_id}": row for row_id, row in late.rows.items()}
    loaded = RemoteStore.load(tmp_path / "snapshot", lambda *_: ShelfCollection(shelf))
    assert found(loaded) == []
    assert list(loaded.contents()) == []


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.builds(Fence, st.integers(1, 9), st.integers(0, 3)))))
def test_a_view_of_the_fences_never_changes(moves: list[dict[str, Fence]]) -> None:
    views, expected = [Fences()], [dict[str, Fence]()]
    for move in moves:
        views.append(views[-1].moved(move))
        expected.append(expected[-1] | move)
    assert [dict(view.items()) for view in views] == expected


def test_recent_fences_settle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fences, "_RECENT", 2)
    view = Fences()
    for seq in range(1, 8):
        view = view.moved({f"d{seq % 4}": Fence(seq, 1)})
    assert [view.seq(f"d{i}") for i in range(5)] == [4, 5, 6, 7, -1]
    view.write(tmp_path / "fences.arrow")
    assert dict(Fences.read(tmp_path / "fences.arrow").items()) == dict(view.items())
