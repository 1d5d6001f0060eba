"""Feed offsets: how far each partition of a feed was accepted, stored in the transaction that accepts the change."""

import sqlalchemy as sa

from include.quarry.catalog.feed_schema import feed_offsets


def load_offsets(connection: sa.Connection, feed: str) -> dict[str, str]:
    """Offset of every partition of the feed."""
    query = sa.select(feed_offsets.c.partition, feed_offsets.c.offset).where(feed_offsets.c.feed == feed)
    return {row.partition: row.offset for row in connection.execute(query)}


def load_offset(connection: sa.Connection, feed: str, partition: str) -> str | None:
    """The offset of one partition, None when none was stored."""
    columns = feed_offsets.c
    query = sa.select(columns.offset).where(columns.feed == feed, columns.partition == partition)
    offset: str | None = connection.scalar(query)
    return offset


def advance_offset(connection: sa.Connection, feed: str, partition: str, before: str | None, after: str | None) -> bool:
    """Move the offset of a partition, if it stands at `before`; whether it did. Else another reader has moved it."""
    if load_offset(connection, feed, partition) != before:
        return False
    if after is None:
        forget_offset(connection, feed, partition)
    else:
        store_offset(connection, feed, partition, after)
    return True


def store_offset(connection: sa.Connection, feed: str, partition: str, offset: str) -> None:
    """Set the offset of one partition."""
    forget_offset(connection, feed, partition)
    connection.execute(sa.insert(feed_offsets).values(feed=feed, partition=partition, offset=offset))


def forget_offset(connection: sa.Connection, feed: str, partition: str) -> None:
    """Drop a partition that no longer exists."""
    matches = sa.and_(feed_offsets.c.feed == feed, feed_offsets.c.partition == partition)
    connection.execute(sa.delete(feed_offsets).where(matches))
