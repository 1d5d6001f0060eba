"""What the tantivy index owes those who run it for months, on a disk that may be full."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from include.quarry.errors import Unavailable
from include.quarry.lexical import tantivy as module
from include.quarry.lexical.tantivy import TantivyIndex
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage, Scope
from include.quarry.specs import LexicalSpec


def update(seq: int, doc: str = "busy", chunks: int = 4) -> DocumentUpdate:
    """The same passages each time, in as many chunks."""
    key = DocumentKey("main", "t", doc)
    passages = [Passage(f"wing {doc} {ordinal}", "", 0, 4, 2) for ordinal in range(chunks)]
    made = (Chunk(f"{doc}/{n}", key, seq, n, "u", doc, passage, {}) for n, passage in enumerate(passages))
    return DocumentUpdate(seq, key, seq, tuple(made))


def found(index: TantivyIndex) -> list[str]:
    return [hit.chunk_id for hit in index.search("wing", 100, Scope("t"))]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.npy"))


def test_a_document_changed_all_day_costs_no_more_than_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_DEAD_IDS", 8)
    index = TantivyIndex(LexicalSpec(), tmp_path / "index")
    index.apply([update(1, "steady")])
    for seq in range(2, 60):
        index.apply([update(seq)])
        assert sorted(found(index)) == [f"{doc}/{ordinal}" for doc in ("busy", "steady") for ordinal in range(4)]
    assert len(index._state.ids) < 8 + 8 + 8
    assert dict(index.contents()) == {f"busy/{n}": 59 for n in range(4)} | {f"steady/{n}": 1 for n in range(4)}


def test_snapshots_of_snapshots_do_not_grow(tmp_path: Path) -> None:
    index = TantivyIndex(LexicalSpec(), tmp_path / "index")
    sizes = []
    for seq in range(1, 6):
        index.apply([update(seq)])
        index.save(tmp_path / f"snapshot-{seq}")
        index = TantivyIndex.load(tmp_path / f"snapshot-{seq}", tmp_path / f"loaded-{seq}")
        assert sorted(found(index)) == [f"busy/{n}" for n in range(4)]
        sizes.append(size_of(tmp_path / f"snapshot-{seq}"))
    assert set(sizes) == {sizes[0]}


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_a_full_disk_did_not_take_is_taken_later_and_never_lost(tmp_path: Path) -> None:
    index = TantivyIndex(LexicalSpec(), tmp_path / "index")
    index.apply([update(1, "a")])
    with full_disk(), pytest.raises(Unavailable, match="disk"):
        index.apply([update(2, "b", chunks=50)])
    assert len(found(index)) == 4
    index.apply([update(2, "b", chunks=50)])
    assert len(found(index)) == 54
    assert len(dict(index.contents())) == 54
    index.apply([DocumentUpdate(3, DocumentKey("main", "t", "a"), 2)])
    assert len(found(index)) == 50
