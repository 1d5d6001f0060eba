"""The fresh tail: texts of documents that users upload are embedded at once, a few at a time, inline in SQL."""

from datetime import UTC, datetime, timedelta

from include.quarry.catalog.database import Database
from include.quarry.embedding.protocol import Embedder
from include.quarry.lake.claims import claim, release
from include.quarry.lake.pending import PendingQuery, PendingText, pending_texts
from include.quarry.lake.vectors import VectorLake

UPLOAD_FEED = "http"
_LEASE_S = 60.0


class FreshEmbedder:
    """Embeds uploads immediately; what scheduled feeds brought is the backfill's, until a grace time has passed."""

    def __init__(
        self, database: Database, lake: VectorLake, owner: str, *, bulk_grace_s: float, batch_size: int = 64
    ) -> None:
        self._database = database
        self._lake = lake
        self._owner = owner
        self._bulk_grace = timedelta(seconds=bulk_grace_s)
        self._batch_size = batch_size

    def step(self, corpus: str, chunker: str, embedder: Embedder) -> int:
        """Embed one batch of one corpus; gives how many texts it was, 0 when nothing is pending."""
        fingerprint = embedder.spec.fingerprint
        texts = self._pending(corpus, chunker, fingerprint)
        mine = set(claim(self._database, fingerprint, [text.text_hash for text in texts], self._owner, _LEASE_S))
        batch = [text for text in texts if text.text_hash in mine]
        if batch:
            vectors = embedder.encode([text.text for text in batch])
            self._lake.put_inline([text.text_hash for text in batch], vectors)
            release(self._database, fingerprint, self._owner)
        return len(batch)

    def _pending(self, corpus: str, chunker: str, fingerprint: str) -> list[PendingText]:
        size = self._batch_size
        uploads = PendingQuery(corpus, chunker, fingerprint, feed=UPLOAD_FEED, limit=size)
        overdue = PendingQuery(
            corpus, chunker, fingerprint, changed_until=datetime.now(UTC) - self._bulk_grace, limit=size
        )
        with self._database.read() as connection:
            return pending_texts(connection, uploads) or pending_texts(connection, overdue)
