"""One pass over a listing: the new and changed is accepted, the gone is deleted, the unreadable is set aside."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from include.quarry.catalog.database import Database
from include.quarry.chunking.protocol import Chunker
from include.quarry.chunking.structure import StructureChunker
from include.quarry.chunking.tokenizer import load_tokenizer
from include.quarry.feeds.environment import EnvironmentFeed
from include.quarry.feeds.folder import FolderFeed
from include.quarry.feeds.ingestor import Ingestor
from include.quarry.feeds.keys import check_name
from include.quarry.feeds.listing import ListedFeed
from include.quarry.feeds.pace import Pace
from include.quarry.feeds.protocol import Listing
from include.quarry.feeds.stream import Stream
from include.quarry.settings import Settings
from include.quarry.specs import ChunkerSpec

logger = logging.getLogger(__name__)
ENVIRONMENT = "environment:"
"""The source that is no folder: the installed distributions."""


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
    listing = open_listing(source, corpus, tenant, settings.max_document_bytes)
    report = FeedPass(listing, corpus, tenant, ingestor, database).run()
    logger.info("ingested %s: %s", source, report)
    database.close()
    return report


def open_listing(source: str, corpus: str, tenant: str, max_bytes: int) -> Listing:
    """The listing that a source names."""
    check_name("corpus", corpus)
    check_name("tenant", tenant)
    if source == ENVIRONMENT:
        return EnvironmentFeed(corpus, tenant)
    return FolderFeed(Path(source), corpus, tenant, max_bytes)


@cache
def make_chunker(spec: ChunkerSpec) -> Chunker:
    """The chunker of a spec, with its tokenizer; made once per process."""
    chunker: Chunker = StructureChunker(spec, load_tokenizer(spec.tokenizer))
    return chunker


class FeedPass:
    """One pass over a listing. One that is killed goes on where it stopped."""

    def __init__(
        self, listing: Listing, corpus: str, tenant: str, ingestor: Ingestor, database: Database, *, at_once: int = 64
    ) -> None:
        """Of the documents, `at_once` are accepted in one transaction."""
        self._feed = ListedFeed(listing, corpus, tenant, database)
        self._stream = Stream(self._feed, ingestor, database, Pace(least=at_once, most=at_once, wait_s=0))

    def run(self, on_progress: Callable[[int], None] = lambda seen: None) -> IngestReport:
        """Pass once; `on_progress` hears how many documents are done. Raises `Unavailable` when the source is gone."""
        while self._stream.step():
            on_progress(self._feed.listed)
        did, seen = self._stream.progress.changes, self._feed.listed
        on_progress(seen)
        unchanged = seen - did["changed"] - did["quarantined"]
        return IngestReport(seen, did["changed"], unchanged, did["deleted"], did["quarantined"])
