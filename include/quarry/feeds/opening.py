"""From a feed's description to the feed itself; a kind's client is imported only where it is used."""

# ruff: noqa: PLC0415

from pathlib import Path

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import documents_of_feed
from include.quarry.feeds.feed_specs import FeedSpec, FolderSpec, KafkaSpec, PostgresSpec, PubSubSpec
from include.quarry.feeds.protocol import ChangeFeed
from include.quarry.records import DocumentKey


def open_change_feed(spec: FeedSpec, database: Database, max_bytes: int) -> ChangeFeed:
    """The feed; raises `Misconfigured` for what its client refuses. Of a larger document a folder reads nothing."""
    match spec:
        case KafkaSpec():
            from include.quarry.feeds.kafka import KafkaFeed

            mapping = None if spec.rows is None else spec.rows.mapping(spec.corpus)
            return KafkaFeed(
                spec.servers,
                spec.topic,
                group=spec.group,
                corpus=spec.corpus,
                format=spec.format,
                mapping=mapping,
                options=spec.options,
            )
        case PubSubSpec():
            from include.quarry.feeds.pubsub import PubSubFeed

            mapping = None if spec.rows is None else spec.rows.mapping(spec.corpus)
            return PubSubFeed(spec.project, spec.subscription, corpus=spec.corpus, format=spec.format, mapping=mapping)
        case PostgresSpec():
            from include.quarry.feeds.postgres import PostgresFeed

            def known(feed: str) -> list[DocumentKey]:
                with database.read() as connection:
                    return documents_of_feed(connection, feed)

            return PostgresFeed(spec.dsn, spec.table, spec.rows.mapping(spec.corpus), slot=spec.slot, known=known)
        case FolderSpec():
            from include.quarry.feeds.folder import FolderFeed
            from include.quarry.feeds.listing import ListedFeed

            folder = FolderFeed(Path(spec.path), spec.corpus, spec.tenant, max_bytes)
            return ListedFeed(folder, spec.corpus, spec.tenant, database)
