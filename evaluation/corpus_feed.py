"""A suite's corpus as raw documents, so that it enters Quarry through the same door as everything else."""

from collections.abc import Iterator
from pathlib import Path

from evaluation.beir import read_corpus
from include.quarry.records import DocumentKey, RawDocument

TENANT = "default"


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
