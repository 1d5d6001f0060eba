"""The three processes of an ingestion, each a function that may be killed at any moment and started again.

`feed` brings a stream of changes into the catalog, `embed` fills the lake, `follow` keeps an index at the head of the
log. What each needs to know after a restart it reads off the disk.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Literal

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import head
from include.quarry.catalog.versions import IndexVersion, find_version, record_snapshot
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestion import FeedPass, make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.lake.fresh import FreshTail
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import UPLOAD_FEED, DocumentKey, RawDocument
from include.quarry.retrieval.digest import digest
from include.quarry.retrieval.index import Index
from include.quarry.routing.follower import Follower
from include.quarry.settings import Settings
from tests.chaos.journal import JournalEmbedder, wait_until

VERSION = "v1"
_MAX_BYTES = 10**6
_CALL_S = 0.01
_CHANGES_PER_SNAPSHOT = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One change of the world: a file of the folder or an upload gets a text, or loses it."""

    by: Literal["folder", "upload"]
    doc_id: str
    text: str | None


def stream(random: Random, length: int, documents: int) -> Iterator[Step]:
    """Steps over half as many files as uploads; every one changes something, and another document than the one before,
    so that who sends the last step again never takes back the one after it."""
    present: dict[str, str] = {}
    which = 0
    for number in range(length):
        which = (which + random.randrange(1, documents)) % documents
        by: Literal["folder", "upload"] = "folder" if which % 3 == 0 else "upload"
        doc_id = f"{by}-{which:03}.md"
        if doc_id in present and random.random() < 0.3:
            del present[doc_id]
            yield Step(by, doc_id, None)
        else:
            sections = random.randint(1, 3)
            present[doc_id] = "\n\n".join(
                f"# Part {part} of {doc_id}\n\nStep {number} says {random.randrange(40)} of {which}."
                for part in range(sections)
            )
            yield Step(by, doc_id, present[doc_id])


def write_stream(home: Path, steps: list[Step]) -> None:
    (home / "stream.jsonl").write_text("\n".join(json.dumps(asdict(step)) for step in steps))


def feed(home: Path) -> None:
    """Bring the stream in. A new process sends the last step of the one before again, as a client without an answer."""
    settings, progress = Settings(home=home), home / "progress"
    database = Database(settings.catalog_url)
    ingestor = Ingestor(database, make_chunker, _MAX_BYTES)
    steps = [Step(**json.loads(line)) for line in (home / "stream.jsonl").read_text().splitlines()]
    begin = max(0, int(progress.read_text()) - 1) if progress.exists() else 0
    for number, step in enumerate(steps[begin:], begin):
        take(step, home / "docs", database, ingestor)
        draft = progress.with_suffix(".writing")
        draft.write_text(str(number + 1))
        draft.rename(progress)


def take(step: Step, folder: Path, database: Database, ingestor: Ingestor) -> None:
    """Make one step, and let the catalog know of it."""
    key = DocumentKey("main", "default", step.doc_id)
    if step.by == "upload":
        if step.text is None:
            ingestor.delete(key, UPLOAD_FEED)
        else:
            uri = f"quarry://main/{step.doc_id}"
            ingestor.upsert(RawDocument(key, uri, step.text.encode(), "text/markdown"), UPLOAD_FEED)
        return
    if step.text is None:
        (folder / step.doc_id).unlink(missing_ok=True)
    else:
        draft = folder / f".{step.doc_id}.writing"
        draft.write_text(step.text)
        draft.rename(folder / step.doc_id)
    FeedPass(FolderFeed(folder, "main", "default", _MAX_BYTES), "main", "default", ingestor, database).run()


def embed(home: Path) -> None:
    """Embed whatever arrives, until killed."""
    settings = Settings(home=home)
    database = Database(settings.catalog_url)
    lake, embedder = VectorLake(database, settings.lake_uri), JournalEmbedder(home, _CALL_S)
    # One owner for all its lives: what the one before had claimed is its own, and it need not wait for the lease.
    FreshTail(database, lake, lambda _: embedder, "embedder", bulk_grace_s=0, batch_size=16).run(0.02)


def follow(home: Path) -> None:
    """Keep an index at the head of the log, with a snapshot now and then; ends when a file `drain` asks for it."""
    settings = Settings(home=home)
    database = Database(settings.catalog_url)
    scratch = Path(tempfile.mkdtemp(dir=home))
    with database.read() as connection:
        version = find_version(connection, VERSION)
    index = _open(version, scratch)
    follower = Follower(database, VectorLake(database, settings.lake_uri), index, "main")

    kept = version.watermark

    def drained() -> bool:
        nonlocal kept
        waiting = follower.step()
        if index.watermark >= kept + _CHANGES_PER_SNAPSHOT:
            _save(index, home, database)
            kept = index.watermark
        with database.read() as connection:
            at_head = index.watermark == head(connection, "main")
        return (home / "drain").exists() and waiting == 0 and at_head

    wait_until(drained, "the end of the stream", timeout_s=300)
    held = list(index.contents())
    result = {"watermark": index.watermark, "chunks": len(held), "digest": digest(held), "loaded": version.watermark}
    (home / "result").write_text(json.dumps(result))
    shutil.rmtree(scratch)


def _open(version: IndexVersion, scratch: Path) -> Index:
    if version.snapshot:
        return Index.load(Path(version.snapshot), scratch)
    return Index.create(version.spec, version.version_id, scratch)


def _save(index: Index, home: Path, database: Database) -> None:
    folder = home / "indexes" / f"snapshot-{index.watermark}-{os.getpid()}"
    index.save(folder)
    with database.write() as connection:
        record_snapshot(connection, VERSION, str(folder), index.watermark, len(list(index.contents())))
