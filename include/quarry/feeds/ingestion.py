"""One pass over a feed: what is new or changed is accepted, what is gone is deleted, what is unreadable is set aside."""

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import find_document
from include.quarry.catalog.offsets import load_offsets
from include.quarry.chunking.protocol import Chunker
from include.quarry.chunking.structure import StructureChunker
from include.quarry.chunking.tokenizer import load_tokenizer
from include.quarry.errors import InvalidInput
from include.quarry.feeds.environment import EnvironmentFeed
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestor import FeedOffset, Ingestor
from include.quarry.feeds.keys import check_name
from include.quarry.feeds.protocol import Feed, FeedItem
from include.quarry.records import DocumentKey
from include.quarry.settings import Settings
from include.quarry.specs import ChunkerSpec

logger = logging.getLogger(__name__)
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class IngestReport:
    """What one pass did, in documents."""

    seen: int
    changed: int
    unchanged: int
    deleted: int
    quarantined: int

    def as_dict(self) -> dict[str, int]:
        """The counts by name."""
        return asdict(self)


def ingest_feed(source: str, *, corpus: str, tenant: str, settings: Settings) -> IngestReport:
    """Pass once over `source`: a folder, or `environment:` for the installed distributions."""
    database = Database(settings.catalog_url)
    ingestor = Ingestor(database, make_chunker, settings.max_document_bytes)
    report = pass_over(
        open_feed(source, corpus, tenant, settings.max_document_bytes), corpus, tenant, ingestor, database
    )
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
    return StructureChunker(spec, load_tokenizer(spec.tokenizer))


def pass_over(
    feed: Feed, corpus: str, tenant: str, ingestor: Ingestor, database: Database, on_progress: Progress | None = None
) -> IngestReport:
    """Offer every item of the feed to the ingestor, then delete what the feed no longer has.

    Each document is a transaction of its own: a pass that is killed continues where it stopped.
    """
    with database.read() as connection:
        known = load_offsets(connection, feed.name)
    counts: Counter[str] = Counter()
    listed: set[str] = set()
    for item in feed.items():
        listed.add(item.doc_id)
        outcome = "unchanged" if known.get(item.doc_id) == item.offset else _offer(item, feed, corpus, tenant, ingestor)
        counts[outcome] += 1
        if on_progress is not None:
            on_progress(len(listed))
    for doc_id in sorted(known.keys() - listed):
        key = DocumentKey(corpus, tenant, doc_id)
        with database.read() as connection:
            document = find_document(connection, key)
        if document is None or document.feed == feed.name:  # another feed may have taken the document over
            ingestor.delete(key, feed.name, doc_id)
            counts["deleted"] += 1
    return IngestReport(len(listed), *(counts[name] for name in ("changed", "unchanged", "deleted", "quarantined")))


def _offer(item: FeedItem, feed: Feed, corpus: str, tenant: str, ingestor: Ingestor) -> str:
    offset = FeedOffset(feed.name, item.doc_id, item.offset)
    try:
        accepted = ingestor.upsert(item.load(), feed.name, offset)
    except FileNotFoundError:
        return "unchanged"  # deleted while we looked: the next pass no longer lists it
    except InvalidInput as reason:
        logger.warning("quarantined %s: %s", item.uri, reason)
        ingestor.set_aside(DocumentKey(corpus, tenant, item.doc_id), item.uri, reason, offset)
        return "quarantined"
    return "changed" if accepted.changed else "unchanged"
