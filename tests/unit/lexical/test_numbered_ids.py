"""The chunk_ids of a lexical index, by number."""

from pathlib import Path

import numpy as np

from include.quarry.lexical.numbered_ids import NumberedIds
from include.quarry.stores.chunk_ids import fixed_width


def test_each_number_has_its_id_whatever_was_forgotten(tmp_path: Path) -> None:
    ids = NumberedIds()
    assert (ids.append(["a", "b", "c"]), ids.append(["d"])) == (0, 3)
    fewer = ids.only([3, 1])
    assert (fewer.of([3, 1, 3]), len(fewer)) == (["d", "b", "d"], 2)
    assert fewer.append(["e", "f"]) == 4
    assert fewer.of([5, 1, 4]) == ["f", "b", "e"]
    assert ids.of([0, 1, 2, 3]) == ["a", "b", "c", "d"], "who looks meanwhile still finds them"


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    ids = NumberedIds()
    ids.append(["a", "b", "c"])
    ids.only([1, 2]).write(tmp_path)
    read = NumberedIds.read(tmp_path)
    assert read.of([2, 1]) == ["c", "b"]
    assert read.append(["d"]) == 3
    (tmp_path / "none").mkdir()
    NumberedIds().only([]).write(tmp_path / "none")
    assert NumberedIds.read(tmp_path / "none").append(["a"]) == 0


def test_snapshots_that_hold_the_id_of_every_number_are_read_too(tmp_path: Path) -> None:
    np.save(tmp_path / "ids.npy", fixed_width(["a", "b", "c"]))
    read = NumberedIds.read(tmp_path)
    assert read.of([0, 2]) == ["a", "c"]
    assert read.append(["d"]) == 3
