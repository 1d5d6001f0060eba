"""A small corpus with real stores and a cheap embedder, so that routing is tested on what it really moves."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from include.quarry.catalog.database import Database
from include.quarry.embedding.protocol import Embedder
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.lake.backfill import embed_unit, plan_units
from include.quarry.lake.pending import PendingQuery, pending_texts
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentKey, Float32, RawDocument, Vectors
from include.quarry.settings import Settings
from include.quarry.specs import EmbeddingSpec, IndexSpec

SPEC = IndexSpec(embedding=EmbeddingSpec(model="hash", dimensions=8))


class HashEmbedder:
    """A vector that depends on every character of the text."""

    spec = SPEC.embedding

    def encode(self, texts: Sequence[str]) -> Vectors:
        rows = [np.frombuffer(sha256(text.encode()).digest(), np.uint32).astype(np.float32) for text in texts]
        values = np.stack(rows) - np.float32(2**31)
        return Vectors(self.spec.fingerprint, values / np.linalg.norm(values, axis=1, keepdims=True))


class HashEncoder:
    """The same for queries."""

    spec = SPEC.embedding

    async def encode(self, text: str) -> Float32:
        return HashEmbedder().encode([text]).values[0]


class Corpus:
    """Documents go in, texts get embedded, in one word each."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database = database
        self.settings = settings
        self.lake = VectorLake(database, settings.lake_uri)
        self.ingestor = Ingestor(database, make_chunker, 10**6)

    def put(self, doc_id: str, text: str, tenant: str = "default") -> int:
        key = DocumentKey("main", tenant, doc_id)
        return self.ingestor.upsert(RawDocument(key, f"file:///{doc_id}", text.encode(), "text/plain"), "http").seq

    def delete(self, doc_id: str, tenant: str = "default") -> None:
        self.ingestor.delete(DocumentKey("main", tenant, doc_id), "http")

    def embed(self, embedder: Embedder | None = None) -> None:
        window = PendingQuery("main", SPEC.chunker.fingerprint, SPEC.embedding.fingerprint)
        with self.database.read() as connection:
            units = list(plan_units(pending_texts(connection, window), 8))
        for unit in units:
            embed_unit(unit, self.database, self.lake, embedder or HashEmbedder(), "test")
