"""The corpora of the drift benchmark as vectors: cut and embedded once by the product's own parts, kept on disk."""

import json
import random
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from evaluation.corpus_feed import read_documents
from include.quarry.drift.window import Embedded
from include.quarry.drift.words import words_of
from include.quarry.embedding.engine import load_embedder
from include.quarry.embedding.protocol import Embedder
from include.quarry.errors import InvalidInput
from include.quarry.feeds.ingestion import make_chunker, open_listing
from include.quarry.parsing.registry import parser_for
from include.quarry.parsing.titles import with_title
from include.quarry.records import RawDocument, Vectors, hash_text
from include.quarry.specs import ChunkerSpec, EmbeddingSpec

MAX_DOCUMENTS, MAX_CHUNKS, KEPT_CHUNKS = 1400, 1800, 8
KEDRO = "kedro_docs_5versions.tar.xz"
_BATCH = 64


@dataclass
class Corpora:
    """Reads from `data`, keeps vectors under `cache`, and converted models under `models`."""

    data: Path
    cache: Path
    models: Path

    def beir(self, name: str, change: Callable[[str], str] | None = None) -> Embedded:
        """At most MAX_DOCUMENTS of a judged set, each text changed if asked for."""
        label = f"{name}-{change.__name__}" if change else name
        return self._kept(label, lambda: self._read_beir(name, change))

    def queries(self, name: str) -> Embedded:
        """The questions of a judged set, a document each."""
        lines = (self.data / name / "queries.jsonl").read_text(encoding="utf-8").splitlines()
        asked = [json.loads(line) for line in lines]
        return self._kept_texts(f"{name}-queries", lambda: ([q["text"] for q in asked], [q["_id"] for q in asked]))

    def kedro(self, version: str) -> Embedded:
        """The documentation at one version; a document is named by its path."""
        return self._kept(f"kedro-{version}", lambda: self._read_kedro(version))

    def _read_beir(self, name: str, change: Callable[[str], str] | None) -> Iterator[RawDocument]:
        documents = list(read_documents(self.data / name / "corpus.jsonl", corpus=name))
        for document in random.Random(0).sample(documents, min(MAX_DOCUMENTS, len(documents))):
            content = change(document.content.decode()).encode() if change else document.content
            yield replace(document, content=content, title=None if change else document.title)

    def _read_kedro(self, version: str) -> Iterator[RawDocument]:
        with tempfile.TemporaryDirectory() as folder, tarfile.open(self.data / KEDRO) as archive:
            inside = f"kedro_docs/{version}/"
            archive.extractall(folder, [m for m in archive if m.name.startswith(inside)], filter="data")
            for item in open_listing(f"{folder}/{inside}docs", "kedro", "default", 10**8).items():
                yield item.load()

    def _kept(self, label: str, documents: Callable[[], Iterable[RawDocument]]) -> Embedded:
        return self._kept_texts(label, lambda: self._cut(documents()))

    def _kept_texts(self, label: str, read: Callable[[], tuple[list[str], list[str]]]) -> Embedded:
        path = self.cache / f"{label}-texts-{EmbeddingSpec().fingerprint}.npz"
        if not path.exists():
            self.cache.mkdir(parents=True, exist_ok=True)
            texts, owners = read()
            print(f"  embedding {label}: {len(texts)} chunks of {len(set(owners))} documents", flush=True)
            batches = [self._embedder.encode(texts[at : at + _BATCH]).values for at in range(0, len(texts), _BATCH)]
            np.savez(path, values=np.concatenate(batches), owners=owners, texts=texts)
        with np.load(path) as kept:
            owners, texts = kept["owners"].tolist(), kept["texts"].tolist()
            ids = tuple(f"{owner}#{hash_text(text)[:16]}" for owner, text in zip(owners, texts, strict=True))
            words = tuple(words_of(text) for text in texts)
            return Embedded(Vectors(EmbeddingSpec().fingerprint, kept["values"]), ids, tuple(owners), words)

    def _cut(self, documents: Iterable[RawDocument]) -> tuple[list[str], list[str]]:
        texts, owners = [], []
        for document in documents:
            chunks = _chunks(document)
            random.Random(document.key.doc_id).shuffle(chunks)
            kept = chunks[: min(KEPT_CHUNKS, MAX_CHUNKS - len(texts))]
            texts += kept
            owners += [document.key.doc_id] * len(kept)
        return texts, owners

    @cached_property
    def _embedder(self) -> Embedder:
        return load_embedder(EmbeddingSpec(), engine="openvino", threads=1, cache=self.models)


def _chunks(document: RawDocument) -> list[str]:
    """The embedded texts of a document; none of one that a feed would put into quarantine."""
    try:
        blocks = list(parser_for(document.content_type).blocks(document.content))
    except InvalidInput:
        return []
    title = document.title or with_title(blocks, document.key.doc_id)[0]
    return [passage.embedding_text for passage in make_chunker(ChunkerSpec()).passages(blocks, title)]


def part(texts: Embedded, documents: Iterable[str]) -> Embedded:
    """The rows of those documents."""
    wanted = set(documents)
    return texts.take([row for row, name in enumerate(texts.documents) if name in wanted])


def together(first: Embedded, second: Embedded) -> Embedded:
    """The rows of both; their documents stay apart even if they have one name."""
    first, second = (
        replace(texts, documents=tuple(f"{side}:{name}" for name in texts.documents))
        for side, texts in (("a", first), ("b", second))
    )
    return first.joined(second)


def changed(before: Embedded, after: Embedded) -> Embedded:
    """What a feed would deliver: the documents of `after` of which not every chunk was in `before` as it is."""
    known = set(before.chunk_ids)
    fresh = {name for name, chunk in zip(after.documents, after.chunk_ids, strict=True) if chunk not in known}
    return part(after, fresh)
