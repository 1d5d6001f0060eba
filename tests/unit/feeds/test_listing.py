"""A folder that is watched all the time: the same feed as on a schedule, at a pace that its size allows."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from include.quarry.feeds.feed_specs import FolderSpec
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestion import IngestReport, make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.listing import ListedFeed
from include.quarry.feeds.opening import open_change_feed
from include.quarry.feeds.pace import Pace
from include.quarry.feeds.protocol import FeedItem
from include.quarry.feeds.stream import Stream
from tests.unit.feeds.folder_of_documents import MAX_BYTES, Folder


def test_a_folder_is_the_same_feed_on_a_schedule_and_as_a_stream(folder: Folder) -> None:
    folder.write("a.txt", "The text of a.")
    folder.write("b.txt", "The text of b.")
    folder.scan()
    folder.write("a.txt", "Another text of a.")
    (folder.path / "b.txt").unlink()
    spec = FolderSpec(kind="folder", path=f"{folder.path}/")
    stream = Stream(
        open_change_feed(spec, folder.database, MAX_BYTES),
        Ingestor(folder.database, make_chunker, MAX_BYTES),
        folder.database,
        Pace(wait_s=0.01),
    )
    while stream.step():
        pass
    assert (folder.text("a.txt"), folder.text("b.txt")) == ("Another text of a.", None)
    assert folder.scan() == IngestReport(seen=1, changed=0, unchanged=1, deleted=0, quarantined=0)


def test_a_folder_in_which_nothing_happens_rests_longer_the_longer_it_takes(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    now = [0.0]
    monkeypatch.setattr(
        "include.quarry.feeds.listing.time", SimpleNamespace(sleep=rests.append, monotonic=lambda: now[0])
    )
    folder.write("a.txt", "The text of a.")
    feed = ListedFeed(FolderFeed(folder.path, "main", "default", MAX_BYTES), "main", "default", folder.database)
    items = feed._listing.items

    def slowly() -> Iterator[FeedItem]:
        now[0] += 10
        return items()

    monkeypatch.setattr(feed._listing, "items", slowly)
    ingestor = Ingestor(folder.database, make_chunker, MAX_BYTES)
    stream = Stream(feed, ingestor, folder.database, Pace(wait_s=0.5))
    while len(rests) < 2:
        stream.step()
    assert rests == [0.5, 90.0]


def test_a_stream_leaves_a_file_that_cannot_be_read_alone_for_a_while(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, rests = [0.0], list[float]()
    clock = SimpleNamespace(sleep=rests.append, monotonic=lambda: now[0])
    monkeypatch.setattr("include.quarry.feeds.listing.time", clock)
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", _forbidden)
    folder.write("a.txt", "Text.")
    feed = open_change_feed(FolderSpec(kind="folder", path=str(folder.path)), folder.database, MAX_BYTES)
    ingestor = Ingestor(folder.database, make_chunker, MAX_BYTES)
    stream = Stream(feed, ingestor, folder.database, Pace(wait_s=0.5))
    while len(rests) < 3:
        stream.step()
    assert stream.progress.changes["quarantined"] == 1
    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    now[0] = 31.0
    assert stream.step() == 1
    assert folder.text("a.txt") == "Text."


def _forbidden(path: Path) -> bytes:
    raise PermissionError(13, "Permission denied", str(path))
