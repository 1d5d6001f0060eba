"""The lake: a text has one vector per space, wherever it lies."""

import os
from pathlib import Path

import numpy as np
import pytest

from include.quarry.catalog.database import Database
from include.quarry.errors import NotFound
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Vectors


def vectors(*rows: float, space: str = "space") -> Vectors:
    return Vectors(space, np.array([[row, 1 - row] for row in rows], np.float32))


@pytest.fixture
def lake(database: Database, tmp_path: Path) -> VectorLake:
    return VectorLake(database, str(tmp_path / "lake"))


def test_inline_and_parquet_vectors_come_back_in_the_order_asked(lake: VectorLake) -> None:
    lake.put_inline(["a"], vectors(0.1))
    lake.put_part("part", ["b", "c"], vectors(0.2, 0.3))
    found = lake.fetch("space", ["c", "a", "b", "c"])
    assert found.fingerprint == "space"
    np.testing.assert_array_equal(found.values[:, 0], np.array([0.3, 0.1, 0.2, 0.3], np.float32))


def test_the_first_vector_of_a_text_stays(lake: VectorLake) -> None:
    lake.put_inline(["a"], vectors(0.1))
    lake.put_inline(["a"], vectors(0.9))
    lake.put_part("part", ["a"], vectors(0.8))
    assert lake.fetch("space", ["a"]).values[0, 0] == np.float32(0.1)


def test_spaces_do_not_mix(lake: VectorLake) -> None:
    lake.put_inline(["a"], vectors(0.1, space="one"))
    assert lake.missing("two", ["a"]) == ["a"]
    with pytest.raises(NotFound, match="space two"):
        lake.fetch("two", ["a"])


def test_missing_names_each_absent_text_once(lake: VectorLake) -> None:
    lake.put_part("part", ["b"], vectors(0.2))
    assert lake.missing("space", ["c", "b", "a", "c"]) == ["c", "a"]


def test_who_looks_up_gets_what_there_is(lake: VectorLake) -> None:
    lake.put_inline(["a"], vectors(0.1))
    lake.put_part("part", ["b"], vectors(0.2))
    found = lake.look_up("space", ["b", "gone", "a", "b"])
    assert {text_hash: value[0] for text_hash, value in found.items()} == {
        "a": np.float32(0.1),
        "b": np.float32(0.2),
    }


def test_a_part_whose_writer_died_before_indexing_is_adopted(
    lake: VectorLake, database: Database, tmp_path: Path
) -> None:
    class Dies(VectorLake):
        def _index_part(self, *_: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Dies(database, str(tmp_path / "lake")).put_part("part", ["a"], vectors(0.4))
    assert lake.missing("space", ["a"]) == ["a"]
    assert lake.adopt_orphans("space") == 1
    assert lake.adopt_orphans("space") == 0
    assert lake.fetch("space", ["a"]).values[0, 0] == np.float32(0.4)


def test_a_part_is_on_the_disk_under_its_name_before_it_is_indexed(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, events = tmp_path / "lake" / "space", list[tuple[str, list[str]]]()

    def names() -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    def sync(descriptor: int) -> None:
        what = Path(f"/proc/self/fd/{descriptor}").readlink()
        events.append((f"sync {'folder' if what == folder else what.name}", names()))
        really_sync(descriptor)

    class Watched(VectorLake):
        def _index_part(self, *arguments: object) -> None:
            events.append(("index", names()))
            super()._index_part(*arguments)  # type: ignore[arg-type]

    really_sync = os.fsync
    monkeypatch.setattr("include.quarry.lake.parts.os.fsync", sync)
    Watched(database, str(tmp_path / "lake")).put_part("part", ["a"], vectors(0.4))
    (draft,) = events[0][1]
    assert draft.endswith(".writing")
    assert events == [
        (f"sync {draft}", [draft]),
        ("sync folder", ["part.parquet"]),
        ("index", ["part.parquet"]),
    ]


def test_a_part_whose_writer_died_while_writing_is_no_part(
    lake: VectorLake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("include.quarry.lake.parts.os.fsync", die)
        lake.put_part("part", ["a"], vectors(0.4))
    assert [path.suffix for path in (tmp_path / "lake" / "space").iterdir()] == [".writing"]
    assert lake.adopt_orphans("space") == 0
    assert lake.adopt_part("space", "part") is None
    assert lake.missing("space", ["a"]) == ["a"]
    lake.put_part("part", ["a"], vectors(0.4))
    assert lake.missing("space", ["a"]) == []


def test_two_writers_of_one_part_do_not_disturb_each_other(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim of a slow writer lapses, and another one begins the same part."""
    lake, really_sync = VectorLake(database, str(tmp_path / "lake")), os.fsync

    def overtaken(descriptor: int) -> None:
        monkeypatch.setattr("include.quarry.lake.parts.os.fsync", really_sync)
        lake.put_part("part", ["a"], vectors(0.4))
        really_sync(descriptor)

    monkeypatch.setattr("include.quarry.lake.parts.os.fsync", overtaken)
    lake.put_part("part", ["a"], vectors(0.4))
    assert [path.name for path in (tmp_path / "lake" / "space").iterdir()] == ["part.parquet"]
    assert lake.fetch("space", ["a"]).values[0, 0] == np.float32(0.4)


def test_adopting_a_part_that_is_not_there_says_so(lake: VectorLake) -> None:
    assert lake.adopt_part("space", "nothing") is None


def test_thousands_of_hashes_are_found_in_one_call(lake: VectorLake) -> None:
    names = [f"text-{number}" for number in range(2_500)]
    lake.put_part("part", names, Vectors("space", np.ones((2_500, 2), np.float32)))
    assert lake.fetch("space", names).values.shape == (2_500, 2)
