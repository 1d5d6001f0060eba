"""A suite's corpus as a feed, so that it enters Quarry through the same door as everything else."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from evaluation.beir import read_corpus
from include.quarry.feeds.protocol import FeedItem
from include.quarry.records import DocumentKey, RawDocument, hash_text

TENANT = "default"


class CorpusFeed:
    """The documents of a `corpus.jsonl`, lazily; a document's offset is the hash of its row."""

    def __init__(self, path: Path, *, corpus: str, tenant: str = TENANT) -> None:
        self._path = path
        self._corpus = corpus
        self._tenant = tenant

    @property
    def name(self) -> str:
        return f"suite:{self._corpus}:{self._tenant}"

    def items(self) -> Iterator[FeedItem]:
        for document in read_documents(self._path, corpus=self._corpus, tenant=self._tenant):
            offset = hash_text(f"{document.title}\n{document.content.decode('utf-8', 'surrogatepass')}")
            yield FeedItem(document.key.doc_id, document.uri, offset, partial(_itself, document))


def read_documents(path: Path, *, corpus: str, tenant: str = TENANT) -> Iterator[RawDocument]:
    """The documents of `corpus.jsonl`, lazily. A document without text is its title; one without either is left out,
    because there is nothing in it to find."""
    for row in read_corpus(path):
        text = row.text if row.text.strip() else row.title
        if text.strip():
            yield RawDocument(
                key=DocumentKey(corpus, tenant, row.doc_id),
                uri=f"{corpus}:{row.doc_id}",
                content=text.encode("utf-8", "surrogatepass"),
                content_type="text/plain",
                title=row.title or None,
            )


def _itself(document: RawDocument) -> RawDocument:
    return document
