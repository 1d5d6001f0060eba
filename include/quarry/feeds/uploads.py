"""The upload feed: documents that users send over HTTP, accepted while they wait."""

import asyncio
from typing import Any

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import Accepted, find_document
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.records import UPLOAD_FEED, DocumentKey, RawDocument


class Uploads:
    """Accepts, shows and deletes single documents. Parsing runs on threads, so the event loop stays free."""

    def __init__(self, database: Database, ingestor: Ingestor) -> None:
        self._database = database
        self._ingestor = ingestor

    async def put(self, raw: RawDocument) -> Accepted:
        """Accept an upsert; raises `InvalidInput` when the document cannot be read."""
        return await asyncio.to_thread(self._ingestor.upsert, raw, UPLOAD_FEED)

    async def get(self, key: DocumentKey) -> dict[str, Any] | None:
        """The fields of the present document, or None."""
        return await asyncio.to_thread(self._read, key)

    async def delete(self, key: DocumentKey) -> Accepted | None:
        """Accept a delete; None when there was never such a document."""
        return await asyncio.to_thread(self._ingestor.delete, key, UPLOAD_FEED)

    def _read(self, key: DocumentKey) -> dict[str, Any] | None:
        with self._database.read() as connection:
            row = find_document(connection, key)
        if row is None or row.deleted:
            return None
        names = ("uri", "title", "content_type", "metadata", "text", "seq", "accepted_at")
        return key._asdict() | {name: getattr(row, name) for name in names} | {"doc_version": row.version}
