"""One pass over a feed: the new and changed is accepted, the gone is deleted, the unreadable is set aside."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import accept_delete, find_document
from include.quarry.catalog.offsets import forget_offset, load_offsets
from include.quarry.chunking.protocol import Chunker
from include.quarry.chunking.structure import StructureChunker
from include.quarry.chunking.tokenizer import load_tokenizer
from include.quarry.errors import InvalidInput, QuarryError
from include.quarry.feeds.environment import EnvironmentFeed
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestor import FeedOffset, Ingestor
from include.quarry.feeds.keys import check_name
from include.quarry.feeds.protocol import Feed, FeedItem
from include.quarry.records import UPLOAD_FEED, DocumentKey
from include.quarry.settings import Settings
from include.quarry.specs import ChunkerSpec

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one pass did, in documents."""

    seen: int
    changed: int
    unchanged: int
    deleted: int
    quarantined: int


def ingest_feed(source: str, *, corpus: str, tenant: str, settings: Settings) -> IngestReport:
    """Pass once over `source`: a folder, or `environment:` for the installed distributions."""
    database = Database(settings.catalog_url)
    ingestor = Ingestor(database, make_chunker, settings.max_document_bytes)
    feed = open_feed(source, corpus, tenant, settings.max_document_bytes)
    report = FeedPass(feed, corpus, tenant, ingestor, database).run()
    logger.info("ingested %s: %s", source, report)
    database.close()
    return report


def open_feed(source: str, corpus: str, tenant: str, max_bytes: int) -> Feed:
    """The feed that a source names."""
    check_name("corpus", corpus)
    check_name("tenant", tenant)
    if source == "environment:":
        return EnvironmentFeed(corpus, tenant)
    return FolderFeed(Path(source), corpus, tenant, max_bytes)


@cache
def make_chunker(spec: ChunkerSpec) -> Chunker:
    """The chunker of a spec, with its tokenizer; made once per process."""
    chunker: Chunker = StructureChunker(spec, load_tokenizer(spec.tokenizer))
    return chunker


class FeedPass:
    """Offers every item of a feed to the ingestor, then deletes what the feed no longer has.

    Each document is a transaction of its own: a pass that is killed continues where it stopped.
    """

    def __init__(self, feed: Feed, corpus: str, tenant: str, ingestor: Ingestor, database: Database) -> None:
        self._feed = feed
        self._corpus = corpus
        self._tenant = tenant
        self._ingestor = ingestor
        self._database = database

    def run(self, on_item: Callable[[str], None] = lambda doc_id: None) -> IngestReport:
        """Pass once; `on_item` hears of each document when it is done. Raises `NotFound` when the source is gone."""
        with self._database.read() as connection:
            known = load_offsets(connection, self._feed.name)
        counts: Counter[str] = Counter()
        listed: set[str] = set()
        for item in self._feed.items():
            listed.add(item.doc_id)
            counts["unchanged" if known.get(item.doc_id) == item.offset else self._offer(item)] += 1
            on_item(item.doc_id)
        for doc_id in sorted(known.keys() - listed):
            counts["deleted"] += self._remove(doc_id)
        return IngestReport(len(listed), *(counts[name] for name in ("changed", "unchanged", "deleted", "quarantined")))

    def _offer(self, item: FeedItem) -> str:
        key = DocumentKey(self._corpus, self._tenant, item.doc_id)
        offset = FeedOffset(self._feed.name, item.doc_id, item.offset)
        raw = None
        try:
            self._check_owner(key)
            raw = item.load()
            accepted = self._ingestor.upsert(raw, self._feed.name, offset)
        except FileNotFoundError:
            return "unchanged"  # deleted while we looked: the next pass no longer lists it
        except (InvalidInput, OSError) as reason:
            logger.warning("quarantined %r: %s", item.uri, reason)
            retried = isinstance(reason, OSError)  # may be readable next time, though the file itself is the same
            self._ingestor.set_aside(key, item.uri, reason, offset, raw=raw, keep_offset=not retried)
            return "quarantined"
        except QuarryError:
            raise
        except Exception as reason:  # a parser met what nobody thought of; one document must not end the pass
            logger.exception("%r could not be read", item.uri)
            self._ingestor.set_aside(key, item.uri, reason, offset, raw=raw, keep_offset=False)
            return "quarantined"
        return "changed" if accepted.changed else "unchanged"

    def _check_owner(self, key: DocumentKey) -> None:
        """Two scheduled feeds must not take turns in writing one document."""
        with self._database.read() as connection:
            document = find_document(connection, key)
        if document is None or document.deleted or document.feed in (self._feed.name, UPLOAD_FEED):
            return
        raise InvalidInput(
            f"doc_id {key.doc_id!r} belongs to the feed {document.feed!r}; ingest the two feeds into different corpora "
            "or tenants"
        )

    def _remove(self, doc_id: str) -> int:
        key = DocumentKey(self._corpus, self._tenant, doc_id)
        with self._database.write() as connection:
            forget_offset(connection, self._feed.name, doc_id)
            document = find_document(connection, key)
            if document is not None and document.feed != self._feed.name:
                return 0  # another feed has taken the document over
            accepted = accept_delete(connection, key, self._feed.name)
        return int(accepted is not None and accepted.changed)
