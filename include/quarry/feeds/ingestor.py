"""The way in: a raw document is parsed, cut, and accepted into the log together with its feed's offset."""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.indexing_work import embedded_already
from include.quarry.catalog.log import Accepted, PreparedDocument, accept_delete, accept_upsert
from include.quarry.catalog.quarantine import Quarantined
from include.quarry.catalog.versions import chunkers_of
from include.quarry.chunking.protocol import Chunker
from include.quarry.errors import ContentTooLarge, InvalidInput, QuarryError, UnreadableContent
from include.quarry.feeds.applying import Cut, Plain, Ready, apply_again, apply_all, apply_warily, due, garbled
from include.quarry.feeds.content import content_hash
from include.quarry.feeds.keys import document_key
from include.quarry.feeds.protocol import Batch, Change, Upserted
from include.quarry.lake.work import Work
from include.quarry.parsing.registry import parser_for
from include.quarry.parsing.titles import with_title
from include.quarry.records import Block, DocumentKey, RawDocument
from include.quarry.specs import ChunkerSpec

logger = logging.getLogger(__name__)
_ATTEMPTS = 3
Outcome = TypeVar("Outcome")
Chunkers = Mapping[str, Sequence[ChunkerSpec]]
"""Corpus -> the chunkers of its index versions."""
_ApplyEach = Callable[[sa.Connection, str, Sequence[Ready]], list[str]]
_Spared = tuple[str, int] | None
"""A document's corpus, and how many of its passages had their vectors; None for what is no document."""


class Ingestor:
    """Accepts documents into one catalog. Parsing and cutting happen before the transaction, so writers wait little."""

    def __init__(
        self,
        database: Database,
        make_chunker: Callable[[ChunkerSpec], Chunker],
        max_bytes: int,
        work: Work | None = None,
        accepted: Callable[[], None] = lambda: None,
    ) -> None:
        """`work` is told what embedding was spared; without it, that is not looked for. `accepted` is called after
        every transaction that may have brought something."""
        self._database = database
        self._make_chunker = make_chunker
        self.max_bytes = max_bytes
        self._work = work
        self._accepted = accepted

    def upsert(self, raw: RawDocument, feed: str) -> Accepted:
        """Accept a document. Raises `InvalidInput` when it cannot be read; nothing is stored then."""
        blocks = self._parse(raw)
        while True:
            with self._database.read() as connection:
                specs = chunkers_of(connection, raw.key.corpus)
            prepared = self._prepare(raw, blocks, specs)
            with self._database.write() as connection:
                if chunkers_of(connection, raw.key.corpus) != specs:
                    continue  # an index version with another chunker was born meanwhile: cut for it as well
                spared = self._spared(connection, [prepared])
                accepted = accept_upsert(connection, prepared, feed)
            self._accepted()
            self._count(spared, ["changed" if accepted.changed else "unchanged"])
            return accepted

    def delete(self, key: DocumentKey, feed: str) -> Accepted | None:
        """Accept a delete; None when there was no such document."""
        with self._database.write() as connection:
            return accept_delete(connection, key, feed)

    def accept(self, feed: str, batches: Sequence[Batch]) -> list[Counter[str] | None]:
        """Accept consecutive changes of a feed's partitions, and move its offsets past them, all in one transaction.

        What cannot be read, or not be stored, is set aside with its reason, and the rest goes on. Gives for each batch
        how many were `changed`, `deleted`, `unchanged` and `quarantined`; messages that were accepted before count as
        none of them. A batch is passed over, and None given for it, when the offset of its partition is no longer where
        it begins: another reader has accepted it.
        """
        changes = [change for batch in batches for change in batch.changes]
        read = [self._read(change) for change in changes]
        try:
            taken = self._write(read, changes, partial(self._take, feed, batches, apply_all))
        except (ValueError, TypeError, sa.exc.StatementError):
            logger.exception("the catalog does not take batches of %s; each change is tried on its own", feed)
            taken = self._write(read, changes, partial(self._take, feed, batches, apply_warily))
        self._accepted()
        self._count(taken.spared, taken.outcomes)
        outcomes = iter(taken.outcomes)
        return [None if size is None else Counter(islice(outcomes, size)) for size in taken.sizes]

    def replay(self, found: Quarantined, change: Change) -> str:
        """Accept what was set aside, as a new change; see `apply_again`."""

        def accept(connection: sa.Connection, ready: list[Ready]) -> str:
            return apply_again(connection, found, ready[0])

        return self._write([self._read(change)], [change], accept)

    def _write(
        self,
        read: "Sequence[Plain | _Read]",
        changes: Sequence[Change],
        accept: Callable[[sa.Connection, list[Ready]], Outcome],
    ) -> Outcome:
        """Cut what was read for the index versions there are, and accept it in one transaction."""
        while True:
            with self._database.read() as connection:
                specs = _chunkers(connection, changes)
            ready = [self._cut(change, specs) for change in read]
            with self._database.write() as connection:
                if _chunkers(connection, changes) == specs:  # else a version with another chunker was born meanwhile
                    return accept(connection, ready)

    def _take(
        self, feed: str, batches: Sequence[Batch], apply_each: _ApplyEach, connection: sa.Connection, ready: list[Ready]
    ) -> "_Taken":
        counted: list[Ready] = []
        sizes: list[int | None] = []
        rest = iter(ready)
        for batch in batches:
            own = due(connection, feed, batch, list(islice(rest, len(batch.changes))))
            sizes.append(None if own is None else len(own))
            counted += own or []
        return _Taken(sizes, self._spared(connection, counted), apply_each(connection, feed, counted))

    def _spared(self, connection: sa.Connection, taken: Sequence[Ready | PreparedDocument]) -> list[_Spared]:
        """Of each document, how many of its passages have their vectors already."""
        if self._work is None:
            return []
        documents = [change.document if isinstance(change, Cut) else change for change in taken]
        places: defaultdict[str, list[tuple[int, PreparedDocument]]] = defaultdict(list)
        for place, document in enumerate(documents):
            if isinstance(document, PreparedDocument):
                places[document.raw.key.corpus].append((place, document))
        spared: list[_Spared] = [None] * len(documents)
        for corpus, own in places.items():
            counts = embedded_already(connection, corpus, [document.passages for _, document in own])
            for (place, _), count in zip(own, counts, strict=True):
                spared[place] = corpus, count
        return spared

    def _count(self, spared: Sequence[_Spared], outcomes: Sequence[str]) -> None:
        """Once all is accepted: passages of what has changed were reused, what has not was skipped."""
        for each, outcome in zip(spared, outcomes, strict=False):
            if self._work is None or each is None:
                continue
            corpus, passages = each
            if outcome == "changed":
                self._work.add(corpus, "reused", passages)
            elif outcome == "unchanged":
                self._work.add(corpus, "skipped")

    def _parse(self, raw: RawDocument) -> list[Block]:
        document_key(*raw.key)
        if len(raw.content) > self.max_bytes:
            raise ContentTooLarge(
                f"document {raw.key.doc_id!r} has {len(raw.content)} bytes; allowed are {self.max_bytes}; "
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
                return garbled(change, error)
            except Exception as error:  # a parser met what nobody thought of; the stream must not stand still for it
                logger.exception("%r could not be read, attempt %d of %d", change.raw.uri, attempt, _ATTEMPTS)
                if attempt == _ATTEMPTS:
                    return garbled(change, error)
        raise AssertionError("the last attempt returns")

    def _cut(self, change: "Plain | _Read", specs: Chunkers) -> Ready:
        if not isinstance(change, _Read):
            return change
        raw = change.upserted.raw
        try:
            return Cut(self._prepare(raw, change.blocks, specs[raw.key.corpus]), change.upserted)
        except InvalidInput as error:
            return garbled(change.upserted, error)
        except QuarryError:
            raise
        except Exception as error:
            logger.exception("%r could not be cut", raw.uri)
            return garbled(change.upserted, error)

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
            content_hash=content_hash(raw),
            passages=passages,
        )


class _Taken(NamedTuple):
    """How many changes of each batch counted, None for one that another reader had accepted; and what became of all."""

    sizes: list[int | None]
    spared: list[_Spared]
    outcomes: list[str]


@dataclass(frozen=True, slots=True)
class _Read:
    """A parsed upsert, not yet cut."""

    upserted: Upserted
    blocks: list[Block]


def _chunkers(connection: sa.Connection, batch: Iterable[Change]) -> Chunkers:
    corpora = {change.raw.key.corpus for change in batch if isinstance(change, Upserted)}
    return {corpus: chunkers_of(connection, corpus) for corpus in sorted(corpora)}
