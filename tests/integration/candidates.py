"""A workshop of index versions: honest ones, and ones that went wrong on the way."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from evaluation.corpus_feed import read_documents
from evaluation.judgments import Suite
from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.log import head
from include.quarry.catalog.updates import Follow, read_rest, read_stretch
from include.quarry.catalog.versions import create_version, record_snapshot
from include.quarry.embedding.protocol import Embedder
from include.quarry.feeds.ingestion import make_chunker
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.rechunking import cut_again
from include.quarry.lake.backfill import embed_unit, plan_units
from include.quarry.lake.pending import PendingQuery, pending_texts
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentUpdate, Float32, RawDocument, Vectors
from include.quarry.retrieval.index import Index
from include.quarry.routing.promotion import promote
from include.quarry.settings import Settings
from include.quarry.specs import EmbeddingSpec, IndexSpec

Tamper = Callable[[list[DocumentUpdate]], list[DocumentUpdate]]


class Remembering:
    """An embedder that encodes a passage once; queries, which it is never given before, cost what they cost."""

    def __init__(self, embedder: Embedder, spec: EmbeddingSpec) -> None:
        self._embedder = embedder
        self._known: dict[str, Float32] = {}
        self.spec = spec

    def encode(self, texts: Sequence[str]) -> Vectors:
        if len(texts) > 1 or texts[0] in self._known:
            new = list(dict.fromkeys(text for text in texts if text not in self._known))
            self._known |= dict(zip(new, self._embedder.encode(new).values, strict=True)) if new else {}
            return Vectors(self.spec.fingerprint, np.stack([self._known[text] for text in texts]))
        return Vectors(self.spec.fingerprint, self._embedder.encode(texts).values)


class Slow:
    """An embedder of the same vectors that takes `times` as long for one call in `every`, as a larger model would."""

    def __init__(self, embedder: Embedder, spec: EmbeddingSpec, times: int, every: int = 1) -> None:
        self._embedder = embedder
        self._times = times
        self._every = every
        self._calls = 0
        self.spec = spec

    def encode(self, texts: Sequence[str]) -> Vectors:
        started = time.perf_counter()
        values = self._embedder.encode(texts).values
        self._calls += 1
        if self._calls % self._every == 0:
            time.sleep((self._times - 1) * (time.perf_counter() - started))
        return Vectors(self.spec.fingerprint, values)


class Workshop:
    """One corpus in a home of its own, and the versions that are built of it."""

    def __init__(self, home: Path, suite: Suite, load: Callable[[EmbeddingSpec], Embedder]) -> None:
        assert suite.corpus_file is not None
        self.settings = Settings(home=home, _env_file=None)
        migrate(self.settings.catalog_url)
        self.suite = suite
        self.load = load
        self.documents = list(read_documents(suite.corpus_file, corpus=suite.corpus))
        self.database = Database(self.settings.catalog_url)
        self._lake = VectorLake(self.database, self.settings.lake_uri)
        self._ingestor = Ingestor(self.database, make_chunker, 10**6)

    def put(self, document: RawDocument) -> None:
        self._ingestor.upsert(document, "http")

    def delete(self, document: RawDocument) -> None:
        self._ingestor.delete(document.key, "http")

    def embed(self, spec: IndexSpec) -> None:
        with self.database.write() as connection:
            create_version(connection, f"of-{spec.fingerprint}", self.suite.corpus, spec)
        cut_again(self.database, self.suite.corpus, make_chunker(spec.chunker))
        window = PendingQuery(self.suite.corpus, spec.chunker.fingerprint, spec.embedding.fingerprint)
        with self.database.read() as connection:
            units = list(plan_units(pending_texts(connection, window), 64))
        for unit in units:
            embed_unit(unit, self.database, self._lake, self.load(spec.embedding), "test")

    def head(self) -> int:
        with self.database.read() as connection:
            return head(connection, self.suite.corpus)

    def updates(self, spec: IndexSpec, after: int = 0) -> list[DocumentUpdate]:
        """What an index of the spec must apply, with vectors."""
        follow = Follow(self.suite.corpus, spec.chunker.fingerprint, spec.embedding.fingerprint)
        with self.database.read() as connection:
            pages = [read_stretch(connection, follow, after).page]
            while pages[-1].rest is not None:
                pages.append(read_rest(connection, follow, pages[-1]))
        return [self._with_vectors(update, spec) for page in pages for update in page.updates]

    def build(self, version_id: str, spec: IndexSpec, updates: Sequence[DocumentUpdate], watermark: int) -> str:
        """A version that holds the updates and says that it stands at the watermark."""
        folder = self.settings.home / "indexes" / version_id / "snapshot"
        with TemporaryDirectory() as scratch:
            index = Index.create(spec, version_id, Path(scratch))
            index.apply(updates, watermark)
            index.save(folder)
            count = sum(1 for _ in index.contents())
        with self.database.write() as connection:
            create_version(connection, version_id, self.suite.corpus, spec)
            record_snapshot(connection, version_id, str(folder), watermark, count)
        return version_id

    def promote(self, version_id: str) -> None:
        promote(version_id, self.settings)

    def _with_vectors(self, update: DocumentUpdate, spec: IndexSpec) -> DocumentUpdate:
        if not update.chunks:
            return update
        hashes = [chunk.text_hash for chunk in update.chunks]
        return replace(update, vectors=self._lake.fetch(spec.embedding.fingerprint, hashes))


def rebuilt(seed: int) -> Tamper:
    """Honest, but for the last bit: documents in another order, vectors of another engine (cosine .99998)."""

    def tamper(updates: list[DocumentUpdate]) -> list[DocumentUpdate]:
        order = np.random.default_rng(seed).permutation(len(updates))
        return with_vectors(blurred(0.006, seed))([updates[place] for place in order])

    return tamper


def without_chunks(share: float, seed: int) -> Tamper:
    """Some chunks lost."""

    def tamper(updates: list[DocumentUpdate]) -> list[DocumentUpdate]:
        held = [(row, place) for row, update in enumerate(updates) for place in range(len(update.chunks))]
        lost = np.random.default_rng(seed).choice(len(held), max(1, round(share * len(held))), replace=False)
        gone = {held[each] for each in lost}
        return [_keep(u, [p for p in range(len(u.chunks)) if (row, p) not in gone]) for row, u in enumerate(updates)]

    return tamper


def with_vectors(change: Callable[[Float32], Float32]) -> Tamper:
    """Other vectors `[n, d]` for all chunks, made unit length."""

    def tamper(updates: list[DocumentUpdate]) -> list[DocumentUpdate]:
        full = [update for update in updates if update.vectors is not None]
        values = change(np.concatenate([update.vectors.values for update in full if update.vectors]))
        values = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
        ends = np.cumsum([len(update.chunks) for update in full])
        space = full[0].vectors.fingerprint if full[0].vectors else ""
        changed = {
            update.key: replace(update, vectors=Vectors(space, values[end - len(update.chunks) : end]))
            for update, end in zip(full, ends, strict=True)
        }
        return [changed.get(update.key, update) for update in updates]

    return tamper


def shuffled(share: float) -> Tamper:
    """The vectors of some chunks dealt out anew."""

    def change(values: Float32) -> Float32:
        random = np.random.default_rng(0)
        some = np.flatnonzero(random.random(len(values)) < share)
        mixed = values.copy()
        mixed[some] = values[np.roll(some, 1)]
        return mixed

    return with_vectors(change)


def rotated(values: Float32) -> Float32:
    """Another space: every distance is kept, and a query encoded in the old one finds nothing."""
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((values.shape[1], values.shape[1])))[0]
    return np.asarray(values @ basis, np.float32)


def blurred(amount: float, seed: int = 0) -> Callable[[Float32], Float32]:
    """Vectors with noise, of `amount` times their length."""

    def change(values: Float32) -> Float32:
        noise = np.random.default_rng(seed).standard_normal(values.shape) / np.sqrt(values.shape[1])
        return np.asarray(values + amount * noise, np.float32)

    return change


def with_texts(change: Callable[[str], str]) -> Tamper:
    """Other texts under the old chunk ids."""

    def tamper(updates: list[DocumentUpdate]) -> list[DocumentUpdate]:
        def cut(update: DocumentUpdate) -> DocumentUpdate:
            chunks = (replace(c, passage=replace(c.passage, text=change(c.passage.text))) for c in update.chunks)
            return replace(update, chunks=tuple(chunks))

        return [cut(update) for update in updates]

    return tamper


def _keep(update: DocumentUpdate, places: list[int]) -> DocumentUpdate:
    if update.vectors is None or len(places) == len(update.chunks):
        return update
    chunks = tuple(update.chunks[place] for place in places)
    vectors = Vectors(update.vectors.fingerprint, update.vectors.values[places]) if places else None
    return replace(update, chunks=chunks, vectors=vectors)
