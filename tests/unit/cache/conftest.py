"""A replica as the cache sees it: a real index, a retriever, a route, and the cache before them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from include.quarry.cache.counts import Counts
from include.quarry.cache.layers import Layers
from include.quarry.cache.memory import MemoryCache
from include.quarry.cache.results import CachedRetrieval
from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.routes import Route
from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Float32, Passage, Scope
from include.quarry.retrieval.index import Index
from include.quarry.retrieval.protocol import Found
from include.quarry.retrieval.retriever import Retrieval, Retriever, Serving
from include.quarry.routing.resident import Loaded, Resident
from include.quarry.routing.shadow import Comparisons
from tests.unit.routing.corpus import SPEC, HashEmbedder

CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
ALL = 100


class Encoder:
    """Encodes, and lets something happen just before or after: the moments in which an update may come between."""

    spec = SPEC.embedding

    def __init__(self) -> None:
        self.encoded = 0
        self.before: Callable[[], Any] = lambda: None

    async def encode(self, text: str) -> Float32:
        self.encoded += 1
        if (awaited := self.before()) is not None:
            await awaited
        return HashEmbedder().encode([text]).values[0]


class Searched(Index):
    """An index that lets something happen right after a search."""

    after: Callable[[], None] = staticmethod(lambda: None)
    missing: tuple[int, ...] = ()

    def find(self, *asked: Any) -> Found:
        found = super().find(*asked)
        self.after()
        return found._replace(missing=self.missing)


def update(doc_id: str, seq: int, text: str = "", tenant: str = "red") -> DocumentUpdate:
    """A document that says this at this point of the log; without a text it is deleted."""
    key = DocumentKey("main", tenant, doc_id)
    if not text:
        return DocumentUpdate(seq, key, seq)
    passage = Passage(text, "", 0, len(text), 3)
    chunk = Chunk(f"{tenant}/{doc_id}/{seq}", key, seq, 0, f"file:///{doc_id}", doc_id, passage, {"seq": str(seq)})
    return DocumentUpdate(seq, key, seq, (chunk,), HashEmbedder().encode([text]))


@dataclass
class Replica:
    """One replica of a corpus; `layers` may be shared with another."""

    database: Database
    folder: Path
    layers: Layers = field(default_factory=lambda: Layers(MemoryCache(10**7, 600)))
    versions: Sequence[str] = ("v1",)
    check_every: int = 10**9

    def __post_init__(self) -> None:
        self.counts, self.encoder = Counts(), Encoder()
        self.comparisons = Comparisons(self.database, patience_s=5)
        self.cached = CachedRetrieval(self.comparisons, self.layers, self.counts, check_every=self.check_every)
        self.indexes = {name: cast(Searched, Searched.create(SPEC, name, self.folder / name)) for name in self.versions}
        self.loaded = {
            name: Loaded(Retriever(Serving(self.encoder, index)), cast(Any, None), self.folder, CREATED_AT)
            for name, index in self.indexes.items()
        }
        self.route = Route("main", self.versions[0], None, 0.0, 1, None, None, 0.0)

    @property
    def index(self) -> Searched:
        return self.indexes[self.versions[0]]

    @property
    def resident(self) -> Resident:
        return Resident(self.route, self.loaded)

    def apply(self, *updates: DocumentUpdate, watermark: int | None = None) -> None:
        reached = max((each.seq for each in updates), default=0) if watermark is None else watermark
        for index in self.indexes.values():
            index.apply(updates, reached)

    async def ask(self, query: str = "stone", tenant: str = "red", top_k: int = ALL, **more: Any) -> Retrieval:
        filters = more.pop("filters", {})
        return await self.cached.retrieve(self.resident, query, top_k, Scope(tenant, filters), **more)

    async def found(self, query: str = "stone", tenant: str = "red", **more: Any) -> set[str]:
        return {hit.chunk.chunk_id for hit in (await self.ask(query, tenant, **more)).hits}


@pytest.fixture
def catalog(tmp_path: Path) -> Database:
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    migrate(url)
    return Database(url)


@pytest.fixture
def replica(catalog: Database, tmp_path: Path) -> Replica:
    replica = Replica(catalog, tmp_path / "one")
    replica.apply(update("a", 1, "Granite is a stone."), update("b", 2, "Chalk is a stone."))
    return replica
