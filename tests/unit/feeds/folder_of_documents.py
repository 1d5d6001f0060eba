"""A folder of documents, and passes over it."""

import os
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import find_document
from include.quarry.catalog.schema import changes
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestion import FeedPass, IngestReport, make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.records import DocumentKey

MAX_BYTES = 20_000


class Folder:
    """A folder of documents, and passes over it."""

    def __init__(self, path: Path, database: Database) -> None:
        self.path = path
        self.database = database
        self.written = 0

    def write(self, name: str, text: str | bytes) -> None:
        target = self.path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.written += 1
        os.utime(target, (self.written, self.written))  # long ago, and another time for each

    def scan(self, on_progress: Callable[[int], None] = lambda seen: None, *, at_once: int = 64) -> IngestReport:
        feed = FolderFeed(self.path, "main", "default", MAX_BYTES)
        ingestor = Ingestor(self.database, make_chunker, MAX_BYTES)
        return FeedPass(feed, "main", "default", ingestor, self.database, at_once=at_once).run(on_progress)

    def text(self, doc_id: str) -> str | None:
        with self.database.read() as connection:
            row = find_document(connection, DocumentKey("main", "default", doc_id))
        return None if row is None or row.deleted else row.text

    def went(self, doc_id: str) -> str | None:
        with self.database.read() as connection:
            row = find_document(connection, DocumentKey("main", "default", doc_id))
        assert row is not None and row.deleted
        return row.moved_to if row.moved_to is None else str(row.moved_to)

    def change_count(self) -> int:
        with self.database.read() as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(changes)) or 0)
