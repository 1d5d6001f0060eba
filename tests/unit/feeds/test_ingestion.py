"""A pass over a feed: new, changed, deleted and unreadable documents, and passes that die."""

import os
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.catalog.log import Accepted, accept_delete
from include.quarry.catalog.quarantine import list_quarantine
from include.quarry.errors import Unavailable
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestion import FeedPass, IngestReport, make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.listing import ListedFeed
from include.quarry.feeds.protocol import Batch
from include.quarry.operations.health import wait_until
from include.quarry.records import DocumentKey
from tests.unit.feeds.folder_of_documents import MAX_BYTES, Folder


def test_new_changed_and_deleted_files_are_found(folder: Folder) -> None:
    folder.write("a.md", "# A\n\nFirst text.")
    folder.write("deep/b.txt", "Second text.")
    assert folder.scan() == IngestReport(seen=2, changed=2, unchanged=0, deleted=0, quarantined=0)
    folder.write("a.md", "# A\n\nAnother text, longer than before.")
    (folder.path / "deep/b.txt").unlink()
    assert folder.scan() == IngestReport(seen=1, changed=1, unchanged=0, deleted=1, quarantined=0)
    assert folder.text("a.md") == "# A\n\nAnother text, longer than before."
    assert folder.text("deep/b.txt") is None


def test_a_folder_that_is_not_mounted_is_no_folder_whose_documents_are_gone(folder: Folder) -> None:
    for number in range(11):
        folder.write(f"{number}.txt", f"Text {number}.")
    folder.scan()
    mounted = folder.path.rename(folder.path.with_name("mounted"))
    folder.path.mkdir()
    with pytest.raises(Unavailable, match="mounted"):
        folder.scan()
    assert folder.text("3.txt") == "Text 3."
    folder.path.rmdir()
    mounted.rename(folder.path)
    assert folder.scan().unchanged == 11


def test_a_folder_of_few_documents_may_be_emptied(folder: Folder) -> None:
    folder.write("a.txt", "Text.")
    folder.scan()
    (folder.path / "a.txt").unlink()
    assert folder.scan().deleted == 1


def test_unchanged_files_are_not_even_read(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.md", "Text.")
    folder.scan()
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    assert folder.scan().unchanged == 1


def test_a_touched_file_with_the_same_content_is_no_change(folder: Folder) -> None:
    folder.write("a.md", "Text.")
    folder.scan()
    os.utime(folder.path / "a.md", (100, 100))
    assert folder.scan().unchanged == 1
    assert folder.change_count() == 1


def test_a_file_written_twice_within_a_tick_of_the_clock_is_not_missed(folder: Folder) -> None:
    folder.write("a.md", "One.")
    now_ns = time.time_ns()
    os.utime(folder.path / "a.md", ns=(now_ns, now_ns))
    folder.scan()
    folder.write("a.md", "Two.")
    os.utime(folder.path / "a.md", ns=(now_ns, now_ns))

    def seen() -> bool:
        folder.scan()
        return folder.text("a.md") == "Two."

    wait_until(seen, "the second text", 30, lambda _: None)


def test_an_unreadable_file_is_quarantined_with_its_reason_and_the_rest_goes_on(folder: Folder) -> None:
    folder.write("a.md", "Readable.")
    folder.write("bad.txt", b"\xff\xfe\x00\xd8 not unicode \x81")
    folder.write("big.txt", "word " * MAX_BYTES)
    folder.write("broken.pdf", b"%PDF-1.4 nothing of the kind")
    folder.write("empty.md", "  \n")
    report = folder.scan()
    assert (report.changed, report.quarantined) == (1, 4)
    with folder.database.read() as connection:
        reasons = {found.key.doc_id: found.reason for found in list_quarantine(connection, "main")}
    assert reasons.keys() == {"bad.txt", "big.txt", "broken.pdf", "empty.md"}
    assert reasons["big.txt"].startswith("ContentTooLarge")
    assert all(": " in reason for reason in reasons.values())


def test_a_quarantined_file_is_tried_again_only_when_it_changes(folder: Folder) -> None:
    folder.write("a.txt", b"\x00\x01\x02")
    assert folder.scan().quarantined == 1
    assert folder.scan() == IngestReport(seen=1, changed=0, unchanged=1, deleted=0, quarantined=0)
    folder.write("a.txt", "Now it is text.")
    assert folder.scan().changed == 1
    with folder.database.read() as connection:
        assert list_quarantine(connection, "main") == []


def test_an_unreadable_new_version_leaves_the_old_one_in_place(folder: Folder) -> None:
    folder.write("a.txt", "Good text.")
    folder.scan()
    folder.write("a.txt", b"\x00 spoiled")
    assert folder.scan().quarantined == 1
    assert folder.text("a.txt") == "Good text."


def test_a_missing_folder_deletes_nothing(folder: Folder) -> None:
    folder.write("a.md", "Text.")
    folder.scan()
    folder.path.rename(folder.path.with_name("elsewhere"))
    with pytest.raises(Unavailable, match="nothing was read or deleted"):
        folder.scan()
    assert folder.text("a.md") == "Text."


def test_a_pass_takes_many_documents_in_one_transaction(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        folder.write(f"{number}.md", f"Document number {number}.")
    folder.write("5.md", b"\x00 spoiled")
    taken: list[int] = []
    really_accept = Ingestor.accept

    def accept(self: Ingestor, feed: str, batches: list[Batch]) -> object:
        taken.append(len(batches))
        return really_accept(self, feed, batches)

    monkeypatch.setattr(Ingestor, "accept", accept)
    assert folder.scan() == IngestReport(seen=10, changed=9, unchanged=0, deleted=0, quarantined=1)
    assert taken == [10]


def test_of_two_passes_at_once_each_document_is_accepted_by_one(folder: Folder) -> None:
    folder.write("a.md", "Text.")
    slow = ListedFeed(FolderFeed(folder.path, "main", "default", MAX_BYTES), "main", "default", folder.database)
    held = slow.pull(lambda partition: None, limit=10, wait_s=0)
    folder.scan()
    assert Ingestor(folder.database, make_chunker, MAX_BYTES).accept(slow.name, held) == [None]
    assert folder.change_count() == 1


@pytest.mark.parametrize("killed_after", range(1, 6))
def test_a_killed_pass_continues_where_it_stopped(folder: Folder, killed_after: int) -> None:
    class Killed(BaseException):
        pass

    def die(seen: int) -> None:
        if seen == killed_after:
            raise Killed

    for number in range(5):
        folder.write(f"{number}.md", f"Document number {number}.")
    with pytest.raises(Killed):
        folder.scan(die, at_once=1)
    report = folder.scan()
    assert (report.changed, report.unchanged) == (5 - killed_after, killed_after)
    assert folder.change_count() == 5


@pytest.mark.parametrize("killed_at", range(1, 5))
@pytest.mark.parametrize("when", ["before the delete", "before the commit"])
def test_a_pass_killed_among_its_deletes_loses_and_doubles_none(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, killed_at: int, when: str
) -> None:
    class Killed(BaseException):
        pass

    calls: list[DocumentKey] = []

    def die(connection: sa.Connection, key: DocumentKey, feed: str, at: None, **_: object) -> Accepted | None:
        calls.append(key)
        if len(calls) == killed_at and when == "before the delete":
            raise Killed
        accepted = accept_delete(connection, key, feed)
        if len(calls) == killed_at:
            raise Killed
        return accepted

    for number in range(5):
        folder.write(f"{number}.md", f"Document number {number}.")
    folder.scan()
    for number in range(4):
        (folder.path / f"{number}.md").unlink()
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr("include.quarry.feeds.applying.accept_delete", die)
        folder.scan(at_once=1)
    assert folder.change_count() == 5 + killed_at - 1
    assert folder.scan().deleted == 4 - killed_at + 1
    assert folder.scan() == IngestReport(seen=1, changed=0, unchanged=1, deleted=0, quarantined=0)
    assert [folder.text(f"{number}.md") for number in range(4)] == [None] * 4
    assert folder.change_count() == 5 + 4


def test_a_file_that_cannot_be_read_now_is_tried_again(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    folder.write("a.md", "Text.")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", denied)
        assert folder.scan().quarantined == 1
    assert folder.scan().changed == 1


def test_a_subfolder_that_cannot_be_listed_deletes_nothing(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("deep/a.md", "Text.")
    folder.scan()
    really_scan = os.scandir

    def denied(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return really_scan(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", denied)
        with pytest.raises(Unavailable, match="nothing was deleted"):
            folder.scan()
    assert folder.text("deep/a.md") == "Text."


def test_a_raised_limit_lets_a_large_file_in(folder: Folder) -> None:
    folder.write("big.txt", "word " * MAX_BYTES)
    assert folder.scan().quarantined == 1
    feed = FolderFeed(folder.path, "main", "default", MAX_BYTES * 10)
    ingestor = Ingestor(folder.database, make_chunker, MAX_BYTES * 10)
    assert FeedPass(feed, "main", "default", ingestor, folder.database).run().changed == 1


def test_a_pipe_a_loop_and_a_folder_called_like_a_document_hold_nobody_up(folder: Folder) -> None:
    os.mkfifo(folder.path / "pipe.txt")
    (folder.path / "loop.txt").symlink_to("loop.txt")
    (folder.path / "folder.txt").mkdir()
    folder.write("a.md", "Text.")
    assert folder.scan() == IngestReport(seen=1, changed=1, unchanged=0, deleted=0, quarantined=0)


def test_two_folders_never_take_turns_in_one_document(folder: Folder, tmp_path: Path) -> None:
    folder.write("README.md", "The first folder's.")
    folder.scan()
    (tmp_path / "other").mkdir()
    other = Folder(tmp_path / "other", folder.database)
    other.write("README.md", "The second folder's.")
    assert other.scan().quarantined == 1
    (other.path / "README.md").unlink()
    assert other.scan().deleted == 0
    assert folder.text("README.md") == "The first folder's."


def test_hidden_files_and_links_that_lead_out_are_left_alone(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("outside")
    (folder.path / "link.txt").symlink_to(tmp_path / "secret.txt")
    folder.write(".hidden.md", "hidden")
    folder.write(".git/config.txt", "hidden")
    folder.write("picture.png", b"\x89PNG")
    assert folder.scan().seen == 0


def test_a_file_name_that_is_not_unicode_is_ingested(folder: Folder) -> None:
    (Path(os.fsdecode(bytes(folder.path) + b"/caf\xe9.txt"))).write_text("Coffee.")
    assert folder.scan().changed == 1
    assert folder.text("caf\\xe9.txt") == "Coffee."


def test_a_document_taken_over_by_an_upload_survives_the_deletion_of_its_file(folder: Folder) -> None:
    from include.quarry.records import RawDocument

    folder.write("a.txt", "From the folder.")
    folder.scan()
    raw = RawDocument(DocumentKey("main", "default", "a.txt"), "quarry://main/a.txt", b"Uploaded.", "text/plain")
    Ingestor(folder.database, make_chunker, MAX_BYTES).upsert(raw, "http")
    (folder.path / "a.txt").unlink()
    assert folder.scan().deleted == 0
    assert folder.text("a.txt") == "Uploaded."


def _killed(*_: object) -> None:
    raise KeyboardInterrupt
