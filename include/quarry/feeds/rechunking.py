"""Cutting stored documents again, for an index version whose chunker came after them."""

import sqlalchemy as sa

from include.quarry.catalog.columns import same_document
from include.quarry.catalog.cutting import insert_chunks
from include.quarry.catalog.database import Database
from include.quarry.catalog.log import find_document
from include.quarry.catalog.schema import chunks, documents
from include.quarry.chunking.protocol import Chunker
from include.quarry.records import Block, DocumentKey


def cut_again(database: Database, corpus: str, chunker: Chunker) -> int:
    """Cut every document of the corpus that this chunker has not cut; gives how many those were.

    New documents are cut for it by the ingestor as soon as the version that wants it is registered.
    """
    fingerprint = chunker.spec.fingerprint
    with database.read() as connection:
        keys = _uncut(connection, corpus, fingerprint)
    for key in keys:
        with database.write() as connection:
            document = find_document(connection, key)
            if document is None or document.deleted or not _uncut(connection, corpus, fingerprint, key):
                continue
            passages = list(chunker.passages(_blocks(document.text, document.outline), document.title))
            insert_chunks(connection, key, document.version, fingerprint, passages)
    return len(keys)


def _uncut(
    connection: sa.Connection, corpus: str, fingerprint: str, key: DocumentKey | None = None
) -> list[DocumentKey]:
    d = documents.c
    is_cut = sa.exists().where(same_document(chunks, documents), chunks.c.chunker == fingerprint)
    query = sa.select(d.corpus, d.tenant, d.doc_id).where(d.corpus == corpus, ~d.deleted, ~is_cut)
    if key is not None:
        query = query.where(d.tenant == key.tenant, d.doc_id == key.doc_id)
    return [DocumentKey(*row) for row in connection.execute(query.order_by(d.seq))]


def _blocks(text: str, outline: list[tuple[str, int, int]]) -> list[Block]:
    blocks: list[Block] = []
    start = 0
    for kind, level, length in outline:
        blocks.append(Block(text[start : start + length], kind, level))  # type: ignore[arg-type]
        start += length
    return blocks
