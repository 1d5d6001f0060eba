"""Snapshots appear whole or not at all."""

from pathlib import Path

import pytest

from include.quarry.errors import Conflict, IncompleteIndex, NotFound
from include.quarry.stores.snapshot import read_manifest, writing


def save(folder: Path, content: str = "x") -> Path:
    with writing(folder, "test", {"rows": 1}) as partial:
        (partial / "inner").mkdir()
        (partial / "inner" / "a.bin").write_text(content)
    return folder


def test_facts_come_back(tmp_path: Path) -> None:
    assert read_manifest(save(tmp_path / "new" / "s"), "test") == {"rows": 1}
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["s"]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), writing(tmp_path / "s", "test", {}) as partial:
        (partial / "a.bin").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    save(tmp_path / "s")


def test_the_remains_of_a_killed_write_do_not_hinder_the_next(tmp_path: Path) -> None:
    (tmp_path / ".s.partial").mkdir()
    (tmp_path / ".s.partial" / "stale.bin").write_text("stale")
    save(tmp_path / "s")
    assert not (tmp_path / "s" / "stale.bin").exists()


def test_an_empty_folder_may_become_a_snapshot_and_a_full_one_never(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    save(tmp_path / "s")
    with pytest.raises(Conflict, match="exists already"):
        save(tmp_path / "s", "other")
    read_manifest(tmp_path / "s", "test")


def test_any_changed_missing_or_added_file_is_noticed(tmp_path: Path) -> None:
    for number, harm in enumerate(
        (
            lambda s: (s / "inner" / "a.bin").write_text("y"),
            lambda s: (s / "inner" / "a.bin").unlink(),
            lambda s: (s / "b.bin").write_text("new"),
        )
    ):
        folder = save(tmp_path / str(number))
        harm(folder)
        with pytest.raises(IncompleteIndex, match="bin"):
            read_manifest(folder, "test")


def test_damage_inside_an_inner_snapshot_is_noticed_when_that_one_is_read(tmp_path: Path) -> None:
    with writing(tmp_path / "outer", "outer", {}) as partial:
        save(partial / "part")
    (tmp_path / "outer" / "part" / "inner" / "a.bin").write_text("y")
    read_manifest(tmp_path / "outer", "outer")
    with pytest.raises(IncompleteIndex):
        read_manifest(tmp_path / "outer" / "part", "test")


def test_another_kind_or_an_unreadable_manifest_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "s")
    with pytest.raises(IncompleteIndex, match="other"):
        read_manifest(folder, "other")
    for content in ("", "[]", "{}", '{"kind": 1}', "\x00"):
        (folder / "manifest.json").write_text(content)
        with pytest.raises(IncompleteIndex):
            read_manifest(folder, "test")
    with pytest.raises(NotFound):
        read_manifest(tmp_path / "nowhere", "test")
