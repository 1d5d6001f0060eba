"""The ledger of placements and fences."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage
from include.quarry.stores.ledger import Ledger, Placement, closed_up, read_placements, write_placements
from include.quarry.stores.updates import newest

keys = st.builds(DocumentKey, st.just("main"), st.sampled_from(["t1", "t2"]), st.text(max_size=3))
updates = st.lists(st.builds(lambda key, seq: DocumentUpdate(seq, key, seq), keys, st.integers(0, 9)))


@given(updates, st.integers(-1, 9))
def test_newest_keeps_the_highest_seq_of_each_document_above_the_fence(each: list[DocumentUpdate], fence: int) -> None:
    kept = {update.key: update.seq for update in newest(each, lambda key: fence)}
    highest = {key: max(update.seq for update in each if update.key == key) for key in {u.key for u in each}}
    assert kept == {key: seq for key, seq in highest.items() if seq > fence}


@given(
    st.dictionaries(keys, st.builds(lambda seq, start, n: Placement(seq, start, start + n), *[st.integers(0, 9)] * 3))
)
def test_closing_up_keeps_order_and_sizes_and_leaves_no_gap(placements: dict[DocumentKey, Placement]) -> None:
    closed = list(closed_up(placements.items()))
    assert [key for key, _ in closed] == list(placements)
    end = 0
    for (_, now), before in zip(closed, placements.values(), strict=True):
        assert (now.start, now.stop - now.start, now.seq) == (end, before.stop - before.start, before.seq)
        end = now.stop


def test_only_what_was_placed_since_it_was_made_is_renumbered() -> None:
    resting, busy, gone = (DocumentKey("main", "t", name) for name in ("resting", "busy", "gone"))
    ledger = Ledger({resting: Placement(1, 0, 1), gone: Placement(2, 1, 2)})
    chunk = Chunk("c", busy, 5, 0, "u", "t", Passage("", "", 0, 0, 0), {})
    ledger.place(DocumentUpdate(5, busy, 5, (chunk,)), 4)
    ledger.place(DocumentUpdate(6, gone, 6), 5)
    ledger.move(np.array([9, 9, 9, 9, 2, 3]))
    assert ledger.snapshot() == {resting: Placement(1, 0, 1), gone: Placement(6, 0, 0), busy: Placement(5, 2, 3)}


def test_placements_survive_the_disk_with_their_fences(tmp_path: Path) -> None:
    placements = {
        DocumentKey("main", "t", "a\x00é"): Placement(3, 0, 2),
        DocumentKey("main", "t", "gone"): Placement(9, 2, 2),
    }
    for number, held in enumerate((placements, {})):
        write_placements(tmp_path / str(number), held.items())
        assert read_placements(tmp_path / str(number)) == held


def test_moving_renumbers_the_living_and_keeps_the_fence_of_the_deleted() -> None:
    key, gone = DocumentKey("main", "t", "a"), DocumentKey("main", "t", "b")
    chunk = Chunk("c", key, 1, 0, "", "", Passage("", "", 0, 0, 0), {})
    ledger = Ledger()
    ledger.place(DocumentUpdate(4, key, 1, (chunk, chunk)), 3)
    ledger.place(DocumentUpdate(5, gone, 1), 9)
    ledger.move(np.array([0, 0, 0, 1, 2]))
    assert ledger.snapshot() == {key: Placement(4, 1, 3), gone: Placement(5, 0, 0)}
