"""A journal keeps whole entries only, says so when it cannot, and its lock tells the living from the dead."""

import errno
import fcntl
import os
import shutil
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.audit import journal as module
from include.quarry.audit.entry import GENESIS, decode_line, hash_of
from include.quarry.audit.journal import Journal
from include.quarry.audit.sealing import seal
from include.quarry.audit.segments import Position, Segments, adopted, writers
from include.quarry.audit.shipping import Shipper, adopt
from include.quarry.audit.sinks import SINKS
from include.quarry.audit.verification import verify
from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import audit_records, queries, usage
from include.quarry.errors import Unavailable
from include.quarry.feedback.query_log import forget_queries
from tests.unit.audit.entries import content, record

LONG_AGO = datetime.now(UTC) - timedelta(days=400)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "audit", "retrieval")


def entries_of(journal: Journal) -> list:
    read, entries, position = Segments(journal.folder, journal.writer), [], Position()
    while True:
        some, position = read.read(position)
        if not some:
            return entries
        entries += some


def test_each_entry_vouches_for_the_one_before(journal: Journal) -> None:
    for query_id in ("q1", "q2", "q3"):
        journal.append(record(query_id))
    entries = entries_of(journal)
    assert [entry.number for entry in entries] == [1, 2, 3]
    assert [entry.fields["before"] for entry in entries] == [GENESIS, entries[0].hash, entries[1].hash]
    assert all(hash_of(entry.body.encode()) == entry.hash for entry in entries)
    assert {entry.writer for entry in entries} == {journal.writer}
    assert entries[2].fields["chunks"] == ["q3-c1", "q3-c2"]


def test_content_stands_beside_the_record_and_not_in_it(journal: Journal) -> None:
    journal.append(record(), content("what\tis \n this?"))
    (entry,) = entries_of(journal)
    assert entry.content == content("what\tis \n this?")
    assert "this" not in entry.body


def test_content_that_cannot_be_read_does_not_cost_the_record(journal: Journal) -> None:
    journal.append(record(), content("what?"))
    (path,) = (journal.folder / journal.writer).glob("0*")
    entry = decode_line(path.read_bytes().rstrip(b"\n")[:-5])
    assert (entry.number, entry.content) == (1, None)


@pytest.mark.parametrize("what", ["open", "flock", "rename"])
def test_a_folder_that_could_not_be_made_once_is_made_later(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def fails(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    held = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr({"open": os, "flock": fcntl, "rename": Path}[what], what, fails)
        with pytest.raises(Unavailable, match="Too many open files"):
            journal.append(record("q1"))
    assert len(list(Path("/proc/self/fd").iterdir())) <= held
    journal.append(record("q2"))
    assert [entry.fields["query_id"] for entry in entries_of(journal)] == ["q2"]
    assert writers(journal.folder) == [journal.writer]


def test_threads_may_share_a_journal(journal: Journal) -> None:
    threads = [
        threading.Thread(target=lambda n=n: [journal.append(record(f"{n}-{k}")) for k in range(50)]) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = entries_of(journal)
    assert [entry.number for entry in entries] == list(range(1, 401))
    assert all(after.fields["before"] == entry.hash for entry, after in pairwise(entries))


def test_a_journal_goes_on_in_a_new_segment_when_one_is_full(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "gateway", segment_bytes=1000)
    for number in range(20):
        journal.append(record(f"q{number}"))
    assert len(list((tmp_path / journal.writer).glob("0*"))) > 3
    assert [entry.fields["query_id"] for entry in entries_of(journal)] == [f"q{number}" for number in range(20)]


def test_a_line_that_the_disk_takes_only_in_part_is_taken_back(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.append(record("q1"))
    monkeypatch.setattr(module.os, "write", lambda file, line, write=os.write: write(file, line[: len(line) // 2]))
    with pytest.raises(Unavailable, match="audit cannot be written"):
        journal.append(record("q2"))
    monkeypatch.undo()
    journal.append(record("q3"))
    assert [(entry.number, entry.fields["query_id"]) for entry in entries_of(journal)] == [(1, "q1"), (2, "q3")]


@pytest.mark.parametrize("taken", [1, 70, 200, -1])
def test_a_part_that_cannot_be_taken_back_spoils_no_other_line(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module.os, "write", lambda file, line, write=os.write: write(file, line[:taken]))
    monkeypatch.setattr(module.os, "ftruncate", fails)
    with pytest.raises(Unavailable):
        journal.append(record("q1"))
    monkeypatch.undo()
    journal.append(record("q2"))
    journal.append(record("q3"))
    assert [(entry.number, entry.fields["query_id"]) for entry in entries_of(journal)] == [(1, "q2"), (2, "q3")]


def test_a_full_disk_refuses_and_a_disk_with_room_again_goes_on(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "open_folder", full)
    with pytest.raises(Unavailable, match="No space left on device"):
        journal.append(record("q1"))
    monkeypatch.undo()
    journal.append(record("q2"))
    assert [entry.number for entry in entries_of(journal)] == [1]


def test_what_did_not_reach_the_disk_is_refused_where_the_disk_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(module.os, "fdatasync", synced.append)
    journal = Journal(tmp_path, "gateway", sync=True)
    journal.append(record("q1"))
    assert len(synced) == 1

    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(module.os, "fdatasync", fails)
    with pytest.raises(Unavailable, match="Input/output error"):
        journal.append(record("q2"))
    monkeypatch.undo()
    journal.append(record("q3"))
    assert [entry.number for entry in entries_of(journal)] == [1, 2, 3], "what may have been shipped keeps its number"


def test_files_that_somebody_removed_are_made_anew(journal: Journal) -> None:
    journal.append(record("q1"))
    shutil.rmtree(journal.folder)
    journal.look_after()
    journal.append(record("q2"))
    assert [entry.number for entry in entries_of(journal)] == [2]
    with adopted(journal.folder, journal.writer) as ours:
        assert not ours


def test_what_was_shipped_is_not_kept_by_a_process_that_has_little_to_do(
    journal: Journal, sqlite_catalog: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipper = Shipper(journal.origin, sqlite_catalog, SINKS)
    journal.append(record("q1", at=LONG_AGO), content("something private"))
    shipper.step()
    journal.look_after()
    shipper.step()
    assert _kept(journal), "it was now"
    monkeypatch.setattr(module, "_SEGMENT_S", 0.0)
    journal.look_after()
    shipper.step()
    assert not _kept(journal)
    journal.append(record("q2", at=LONG_AGO))
    shipper.step()
    assert verify(sqlite_catalog).intact


def test_what_retention_has_ended_does_not_come_back_and_is_not_counted_twice(
    journal: Journal, sqlite_catalog: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SEGMENT_S", 0.0)
    shipper = Shipper(journal.origin, sqlite_catalog, SINKS)
    journal.append(record("q1", at=LONG_AGO), content("something private"))
    shipper.step()
    journal.look_after()
    shipper.step()
    seal(sqlite_catalog, verify(sqlite_catalog), now=datetime.now(UTC), keep_since=datetime.now(UTC))
    with sqlite_catalog.write() as connection:
        assert forget_queries(connection, 1) == 1
    journal.close()
    adopt(journal.folder, sqlite_catalog, SINKS)
    with sqlite_catalog.read() as connection:
        counts = [
            connection.scalar(sa.select(sa.func.count()).select_from(table)) for table in (audit_records, queries)
        ]
        assert (counts, connection.scalar(sa.select(usage.c.requests))) == ([0, 0], 1)


def _kept(journal: Journal) -> bool:
    return any(b"private" in path.read_bytes() for path in (journal.folder / journal.writer).iterdir())


def test_a_living_writer_is_not_adopted_and_a_closed_one_is(journal: Journal) -> None:
    journal.append(record())
    with adopted(journal.folder, journal.writer) as ours:
        assert not ours
    journal.close()
    with adopted(journal.folder, journal.writer) as ours:
        assert ours
        with adopted(journal.folder, journal.writer) as second:
            assert not second
    assert writers(journal.folder) == [journal.writer]


def test_a_journal_is_for_its_owner_only(journal: Journal) -> None:
    journal.append(record())
    home = journal.folder / journal.writer
    assert home.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in home.iterdir())
