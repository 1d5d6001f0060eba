"""A judged corpus enters as ordinary documents."""

import json
from collections.abc import Iterator
from pathlib import Path

from evaluation.corpus_feed import read_documents
from include.quarry.records import DocumentKey, RawDocument


def test_rows_become_plain_text_documents_of_their_own_corpus(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    rows = [{"_id": 5, "title": "T", "text": "naïve"}, {"_id": "only-title", "title": "T", "text": " "}]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"_id": "empty", "title": "", "text": ""}]))
    assert list(read_documents(path, corpus="eval-x")) == [
        RawDocument(DocumentKey("eval-x", "default", "5"), "eval-x:5", "naïve".encode(), "text/plain", "T"),
        RawDocument(DocumentKey("eval-x", "default", "only-title"), "eval-x:only-title", b"T", "text/plain", "T"),
    ]


def test_the_corpus_is_read_lazily(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"_id": "1", "text": "fine"}\nnot json\n')
    documents = read_documents(path, corpus="c")
    assert isinstance(documents, Iterator)
    assert next(documents).key.doc_id == "1"
