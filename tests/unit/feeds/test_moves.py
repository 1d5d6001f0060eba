"""Files that were moved: a listing that misses one and brings its bytes elsewhere says where it went."""

import pytest

from tests.unit.feeds.folder_of_documents import Folder


def test_a_moved_file_is_known_by_its_content(folder: Folder) -> None:
    folder.write("draft.txt", "Alpha text.")
    folder.write("other.txt", "Gamma text.")  # of the same size
    folder.scan()
    (folder.path / "final").mkdir()
    (folder.path / "draft.txt").rename(folder.path / "final/report.md")
    (folder.path / "other.txt").unlink()
    folder.scan()
    assert (folder.went("draft.txt"), folder.went("other.txt")) == ("final/report.md", None)


def test_a_moved_folder_is_known_file_by_file(folder: Folder) -> None:
    for name in "abc":
        folder.write(f"old/{name}.txt", f"The text of {name}.")
    folder.write("old/removed.txt", "The text of d.")
    folder.scan()
    (folder.path / "old/removed.txt").unlink()
    (folder.path / "old").rename(folder.path / "new")
    folder.scan()
    assert [folder.went(f"old/{name}.txt") for name in "abc"] == [f"new/{name}.txt" for name in "abc"]
    assert folder.went("old/removed.txt") is None


def test_a_file_that_was_moved_onto_another_is_known(folder: Folder) -> None:
    folder.write("a.txt", "The text of a.")
    folder.write("b.txt", "The older text of b.")
    folder.scan()
    (folder.path / "a.txt").rename(folder.path / "b.txt")
    folder.scan()
    assert (folder.went("a.txt"), folder.text("b.txt")) == ("b.txt", "The text of a.")


def test_a_move_is_known_though_the_pass_was_killed_before_it_told_of_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("a.txt", "The text of a.")
    folder.scan()
    (folder.path / "a.txt").rename(folder.path / "b.txt")
    with monkeypatch.context() as patched:
        patched.setattr("include.quarry.feeds.listing.find_moves", _killed)
        with pytest.raises(KeyboardInterrupt):
            folder.scan(at_once=1)
    assert folder.text("b.txt") == "The text of a."
    folder.scan()
    assert folder.went("a.txt") == "b.txt"


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
