"""The chunks of a document in the catalog: what its passages are called, and how they are kept."""

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog.database import insert_many
from include.quarry.catalog.schema import chunks
from include.quarry.records import DocumentKey, Passage, hash_text


def insert_chunks(
    connection: sa.Connection, key: DocumentKey, doc_version: int, chunker: str, passages: Sequence[Passage]
) -> None:
    """Store the passages that one chunker cut from the present version of a document."""
    insert_many(connection, chunks, chunk_rows(key, doc_version, chunker, passages))


def chunk_id(key: DocumentKey, text_hash: str, chunker: str, occurrence: int) -> str:
    """32 hex digits: the same passage of the same document keeps its id over versions and rebuilds.

    `occurrence` counts equal passages within one document, so that a repeated paragraph gets ids of its own.
    """
    parts = "\x1f".join((*key, text_hash, chunker, str(occurrence)))
    return sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def chunk_rows(key: DocumentKey, doc_version: int, chunker: str, passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """As the table has them, in their order."""
    seen: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    for ordinal, passage in enumerate(passages):
        text_hash = hash_text(passage.embedding_text)
        rows.append(
            {
                "chunk_id": chunk_id(key, text_hash, chunker, seen[text_hash]),
                **key._asdict(),
                "doc_version": doc_version,
                "chunker": chunker,
                "ordinal": ordinal,
                "text": passage.text,
                "context": passage.context,
                "start": passage.start,
                "end": passage.end,
                "tokens": passage.tokens,
                "text_hash": text_hash,
            }
        )
        seen[text_hash] += 1
    return rows
