"""The way in: a raw document is parsed, cut, and accepted into the log together with its feed's offset."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import Accepted, PreparedDocument, accept_delete, accept_upsert
from include.quarry.catalog.offsets import store_offset
from include.quarry.catalog.quarantine import set_aside
from include.quarry.catalog.versions import chunkers_of
from include.quarry.chunking.protocol import Chunker
from include.quarry.errors import ContentTooLarge, UnreadableContent
from include.quarry.feeds.keys import document_key
from include.quarry.parsing.registry import parser_for
from include.quarry.parsing.titles import with_title
from include.quarry.records import Block, DocumentKey, RawDocument, hash_bytes
from include.quarry.specs import ChunkerSpec


@dataclass(frozen=True, slots=True)
class FeedOffset:
    """Where a change stands in its feed, to be stored in the transaction that accepts it."""

    feed: str
    partition: str
    offset: str


class Ingestor:
    """Accepts documents into one catalog. Parsing and cutting happen before the transaction, so writers wait little."""

    def __init__(self, database: Database, make_chunker: Callable[[ChunkerSpec], Chunker], max_bytes: int) -> None:
        self._database = database
        self._make_chunker = make_chunker
        self._max_bytes = max_bytes

    def upsert(self, raw: RawDocument, feed: str, offset: FeedOffset | None = None) -> Accepted:
        """Accept a document. Raises `InvalidInput` when it cannot be read; nothing is stored then."""
        document_key(*raw.key)
        if len(raw.content) > self._max_bytes:
            raise ContentTooLarge(
                f"document {raw.key.doc_id!r} has {len(raw.content)} bytes; allowed are {self._max_bytes}; "
                "split it, or raise QUARRY_MAX_DOCUMENT_BYTES"
            )
        blocks = list(parser_for(raw.content_type).blocks(raw.content))
        while True:
            with self._database.read() as connection:
                specs = chunkers_of(connection, raw.key.corpus)
            prepared = self._prepare(raw, blocks, specs)
            with self._database.write() as connection:
                if chunkers_of(connection, raw.key.corpus) != specs:
                    continue  # an index version with another chunker was born meanwhile: cut for it as well
                accepted = accept_upsert(connection, prepared, feed)
                if offset is not None:
                    store_offset(connection, offset.feed, offset.partition, offset.offset)
                return accepted

    def delete(self, key: DocumentKey, feed: str) -> Accepted | None:
        """Accept a delete; None when there was no such document."""
        with self._database.write() as connection:
            return accept_delete(connection, key, feed)

    def set_aside(
        self, key: DocumentKey, uri: str, reason: Exception, offset: FeedOffset, *, keep_offset: bool = True
    ) -> None:
        """Quarantine what a feed offered; with its offset kept, it is not tried again until that moves."""
        with self._database.write() as connection:
            set_aside(connection, key, uri, offset.feed, f"{type(reason).__name__}: {reason}")
            if keep_offset:
                store_offset(connection, offset.feed, offset.partition, offset.offset)

    def _prepare(self, raw: RawDocument, blocks: list[Block], specs: Iterable[ChunkerSpec]) -> PreparedDocument:
        title = raw.title or with_title(blocks, raw.key.doc_id)[0]
        passages = {spec.fingerprint: list(self._make_chunker(spec).passages(blocks, title)) for spec in specs}
        if not all(passages.values()):
            raise UnreadableContent(f"document {raw.key.doc_id!r} has no text; send a document with at least one word")
        return PreparedDocument(
            raw=raw,
            title=title,
            text="".join(block.text for block in blocks),
            outline=[(block.kind, block.level, len(block.text)) for block in blocks],
            content_hash=_content_hash(raw),
            passages=passages,
        )


def _content_hash(raw: RawDocument) -> str:
    """Over everything that a user would call the document: a new title or uri is a change too."""
    described = json.dumps([raw.uri, raw.content_type, raw.title, dict(raw.metadata)], sort_keys=True)
    return hash_bytes(described.encode() + b"\0" + raw.content)
