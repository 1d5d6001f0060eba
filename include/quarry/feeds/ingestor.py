"""The way in: a raw document is parsed, cut, and accepted into the log together with its feed's offset."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import Accepted, PreparedDocument, accept_delete, accept_upsert, documents_of_feed
from include.quarry.catalog.offsets import advance_offset, store_offset
from include.quarry.catalog.quarantine import set_aside
from include.quarry.catalog.versions import chunkers_of
from include.quarry.chunking.protocol import Chunker
from include.quarry.errors import ContentTooLarge, InvalidInput, UnreadableContent
from include.quarry.feeds.keys import document_key
from include.quarry.feeds.protocol import Batch, Change, Cleared, Deleted, Garbled, Upserted
from include.quarry.parsing.registry import parser_for
from include.quarry.parsing.titles import with_title
from include.quarry.records import Block, DocumentKey, RawDocument, hash_bytes
from include.quarry.specs import ChunkerSpec

logger = logging.getLogger(__name__)
_ATTEMPTS = 3
Plain = Deleted | Cleared | Garbled
Chunkers = Mapping[str, Sequence[ChunkerSpec]]
"""Corpus -> the chunkers of its index versions."""


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
        blocks = self._parse(raw)
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

    def accept(self, feed: str, batch: Batch) -> Counter[str]:
        """Accept consecutive changes of a stream and move its offset past them, all in one transaction.

        What cannot be read is set aside with its reason, and the rest goes on. Gives how many were `changed`,
        `unchanged` and `quarantined`. Raises `Fenced` when the stream's offset is no longer where the batch begins.
        """
        read = [self._read(change) for change in batch.changes]
        while True:
            with self._database.read() as connection:
                specs = _chunkers(connection, batch.changes)
            ready = [self._cut(change, specs) for change in read]
            with self._database.write() as connection:
                if _chunkers(connection, batch.changes) != specs:
                    continue
                advance_offset(connection, feed, batch.partition, batch.begins, batch.ends)
                return Counter(_apply(connection, feed, change) for change in ready)

    def set_aside(
        self, key: DocumentKey, uri: str, reason: Exception, offset: FeedOffset, *, keep_offset: bool = True
    ) -> None:
        """Quarantine what a feed offered; with its offset kept, it is not tried again until that moves."""
        with self._database.write() as connection:
            set_aside(connection, key, uri, offset.feed, f"{type(reason).__name__}: {reason}")
            if keep_offset:
                store_offset(connection, offset.feed, offset.partition, offset.offset)

    def _parse(self, raw: RawDocument) -> list[Block]:
        document_key(*raw.key)
        if len(raw.content) > self._max_bytes:
            raise ContentTooLarge(
                f"document {raw.key.doc_id!r} has {len(raw.content)} bytes; allowed are {self._max_bytes}; "
                "split it, or raise QUARRY_MAX_DOCUMENT_BYTES"
            )
        return list(parser_for(raw.content_type).blocks(raw.content))

    def _read(self, change: Change) -> "Plain | _Read":
        if not isinstance(change, Upserted):
            return change
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return _Read(change, self._parse(change.raw))
            except InvalidInput as error:
                return _garbled(change, error)
            except Exception as error:  # a parser met what nobody thought of; the stream must not stand still for it
                logger.exception("%s could not be read, attempt %d of %d", change.raw.uri, attempt, _ATTEMPTS)
                if attempt == _ATTEMPTS:
                    return _garbled(change, error)
        raise AssertionError("the last attempt returns")

    def _cut(self, change: "Plain | _Read", specs: Chunkers) -> "Deleted | Cleared | Garbled | _Cut":
        if not isinstance(change, _Read):
            return change
        raw = change.upserted.raw
        try:
            return _Cut(self._prepare(raw, change.blocks, specs[raw.key.corpus]), change.upserted.replaces)
        except InvalidInput as error:
            return _garbled(change.upserted, error)

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


@dataclass(frozen=True, slots=True)
class _Read:
    """A parsed upsert, not yet cut."""

    upserted: Upserted
    blocks: list[Block]


@dataclass(frozen=True, slots=True)
class _Cut:
    """An upsert ready to be accepted, and the document that it takes the place of."""

    document: PreparedDocument
    replaces: DocumentKey | None


def _garbled(change: Upserted, error: Exception) -> Garbled:
    raw = change.raw
    return Garbled(raw.key, raw.uri, f"{type(error).__name__}: {error}", raw.content)


def _chunkers(connection: sa.Connection, batch: Iterable[Change]) -> Chunkers:
    corpora = {change.raw.key.corpus for change in batch if isinstance(change, Upserted)}
    return {corpus: chunkers_of(connection, corpus) for corpus in sorted(corpora)}


def _apply(connection: sa.Connection, feed: str, change: Plain | _Cut) -> str:
    match change:
        case _Cut(document, replaces):
            accepted = accept_upsert(connection, document, feed)
            if replaces is not None and replaces != document.raw.key:
                accept_delete(connection, replaces, feed)
            return "changed" if accepted.changed else "unchanged"
        case Deleted(key):
            gone = accept_delete(connection, key, feed)
            return "changed" if gone is not None and gone.changed else "unchanged"
        case Cleared():
            for key in documents_of_feed(connection, feed):
                accept_delete(connection, key, feed)
            return "changed"
        case Garbled(key, uri, reason):
            set_aside(connection, key, uri, feed, reason)
            return "quarantined"


def _content_hash(raw: RawDocument) -> str:
    """Over everything that a user would call the document: a new title or uri is a change too."""
    described = json.dumps([raw.uri, raw.content_type, raw.title, dict(raw.metadata)], sort_keys=True)
    return hash_bytes(described.encode() + b"\0" + raw.content)
