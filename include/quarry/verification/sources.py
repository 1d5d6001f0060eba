"""Sources that can say what exists in them now, each document with the hash of its content."""

# ruff: noqa: PLC0415 (a kind's client is imported only where it is used)

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from include.quarry.errors import InvalidInput, NotFound
from include.quarry.feeds.content import content_hash
from include.quarry.feeds.feed_specs import FeedSpec, KafkaSpec, PostgresSpec
from include.quarry.feeds.ingestion import ENVIRONMENT, open_listing
from include.quarry.feeds.protocol import Listing
from include.quarry.records import DocumentKey
from include.quarry.verification.buckets import Documents

_ROWS = 500


@dataclass(frozen=True, slots=True)
class Source:
    """A source: the name of its feed, the corpus that it fills, and what exists in it."""

    feed: str
    corpus: str
    documents: Documents


def open_source(named: str, specs: Sequence[FeedSpec], *, corpus: str, tenant: str, max_bytes: int) -> Source:
    """What `named` means: the topic or the table of a stream that is described, else a folder or `environment:`.

    Raises `NotFound` when it is none of them.
    """
    for spec in specs:
        if isinstance(spec, KafkaSpec) and named in (spec.topic, spec.feed):
            return Source(spec.feed, spec.corpus, partial(_of_topic, spec))
        if isinstance(spec, PostgresSpec) and named in (spec.table, spec.full_table, spec.feed):
            return Source(spec.feed, spec.corpus, partial(_of_table, spec))
    if named != ENVIRONMENT and not Path(named).is_dir():
        known = [spec.topic for spec in specs if isinstance(spec, KafkaSpec)]
        known += [spec.table for spec in specs if isinstance(spec, PostgresSpec)]
        raise NotFound(f"{named!r} is no folder, and no topic or table of QUARRY_FEEDS; those are {known}")
    listing = open_listing(named, corpus, tenant, max_bytes)
    return Source(listing.name, corpus, partial(_of_listing, listing))


def _of_listing(listing: Listing) -> Iterator[tuple[DocumentKey, str]]:
    for item in listing.items():
        try:
            raw = item.load()
        except (InvalidInput, OSError):
            continue  # it is in quarantine, or gone meanwhile
        yield raw.key, content_hash(raw)


def _of_topic(spec: KafkaSpec) -> Iterator[tuple[DocumentKey, str]]:
    from include.quarry.feeds.topic_state import topic_state

    yield from topic_state(spec).items()


def _of_table(spec: PostgresSpec) -> Iterator[tuple[DocumentKey, str]]:
    from include.quarry.feeds.postgres_table import PostgresTable

    mapping = spec.rows.mapping(spec.corpus)
    for rows in PostgresTable(spec.dsn, spec.table, mapping).rows(None, _ROWS):
        for row in rows:
            try:
                key = mapping.key_of(row)
                raw = mapping.document_of(row, f"postgres://{spec.full_table}/{key.doc_id}")
            except InvalidInput:
                continue  # it is in quarantine
            yield key, content_hash(raw)
