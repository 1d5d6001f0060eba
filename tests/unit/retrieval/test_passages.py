"""The passage table: snapshot plus tail."""

from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.quarry.errors import IncompleteIndex, NotFound
from include.quarry.retrieval.passages import PassageTable


def reloaded(table: PassageTable, folder: Path) -> PassageTable:
    table.save(folder)
    return PassageTable.load(folder)


def test_gives_chunks_in_the_order_asked_and_leaves_out_the_missing(update, tmp_path: Path) -> None:
    table = PassageTable()
    first, second = update("a", 1, ["wing", "täil \x00 😀"]), update("b", 2, ["rudder"])
    table.apply([first, second])
    wanted = ["t1/b/0", "nowhere", "t1/a/1", "x" * 500]
    for held in (table, reloaded(table, tmp_path / "snapshot")):
        assert held.get(wanted) == [second.chunks[0], first.chunks[1]]


def test_a_snapshot_of_many_documents_finds_every_chunk(update, tmp_path: Path) -> None:
    updates = [update(f"d{i:02}", i, ["wing"] * (i % 4)) for i in range(1, 40)]
    table = PassageTable()
    table.apply(updates)
    loaded = reloaded(table, tmp_path / "snapshot")
    for chunk in (chunk for each in updates for chunk in each.chunks):
        assert loaded.get([chunk.chunk_id]) == [chunk]


def test_a_deleted_chunk_is_gone_at_once_and_a_replaced_one_with_the_next_apply(update, tmp_path: Path) -> None:
    table = PassageTable()
    table.apply([update("a", 1, ["wing"], ids=["old"]), update("b", 2, ["tail"])])
    for held in (table, reloaded(table, tmp_path / "snapshot")):
        held.apply([update("a", 3, ["rudder"], ids=["new"]), update("b", 4)])
        assert held.get(["t1/b/0"]) == []
        assert [chunk.chunk_id for chunk in held.get(["old", "new"])] == ["old", "new"]
        held.apply([update("a", 5)])
        assert held.get(["old", "new"]) == []
        assert list(held.contents()) == []


def test_a_damaged_or_missing_snapshot_is_refused(update, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        PassageTable.load(tmp_path / "nowhere")
    table = PassageTable()
    table.apply([update("a", 1, ["wing"])])
    table.save(tmp_path / "snapshot")
    path = tmp_path / "snapshot" / "passages.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(IncompleteIndex, match=r"passages\.jsonl"):
        PassageTable.load(tmp_path / "snapshot")


def test_a_kept_chunk_is_never_missed_while_its_document_changes(update, tmp_path: Path) -> None:
    table = PassageTable()
    table.apply([update("a", 1, ["wing"], ids=["kept"])])
    table = reloaded(table, tmp_path / "snapshot")
    missed, done = [], Event()

    def read() -> None:
        while not done.is_set():
            if not table.get(["kept"]):
                missed.append(1)

    reader = Thread(target=read)
    reader.start()
    for seq in range(2, 400):
        table.apply([update("a", seq, ["wing", "tail"], ids=["kept", f"other{seq}"])])
    done.set()
    reader.join()
    assert missed == []


steps = st.lists(
    st.one_of(
        st.just("reload"),
        st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9), st.integers(0, 3)), max_size=4),
    ),
    max_size=6,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps)
def test_any_history_holds_the_newest_state_of_each_document(update, steps: list) -> None:
    table, newest = PassageTable(), {}
    with TemporaryDirectory() as folder:
        for number, step in enumerate(steps):
            if step == "reload":
                table = reloaded(table, Path(folder) / str(number))
                continue
            updates = [update(doc, seq, ["wing"] * count) for doc, seq, count in step]
            table.apply(updates)
            for each in updates:
                if each.key not in newest or each.seq > newest[each.key].seq:
                    newest[each.key] = each
        chunks = [chunk for each in newest.values() for chunk in each.chunks]
        assert sorted(table.contents()) == sorted((chunk.chunk_id, chunk.doc_version) for chunk in chunks)
        assert table.get([chunk.chunk_id for chunk in chunks]) == chunks
