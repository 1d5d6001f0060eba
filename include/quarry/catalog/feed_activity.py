"""What each stream has brought lately, and how far that is searchable, read off the log."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog.feed_schema import feed_offsets, quarantine
from include.quarry.catalog.schema import changes
from include.quarry.records import STREAM_FEEDS

_LATELY_S = 60


def feed_activity(connection: sa.Connection, corpus: str, watermark: int) -> list[dict[str, Any]]:
    """The fields of `FeedStatus` of each stream that brings documents to the corpus, or has set some aside.

    `watermark` is how far the version that answers has applied the log.
    """
    c, now = changes.c, datetime.now(UTC)
    of_streams = sa.and_(c.corpus == corpus, c.feed.startswith(STREAM_FEEDS))
    lately = dict(_rows(connection, of_streams, c.accepted_at > now - timedelta(seconds=_LATELY_S), sa.func.count()))
    behind = {
        feed: (count, (now - oldest).total_seconds())
        for feed, count, oldest in _rows(
            connection,
            of_streams,
            c.seq > watermark,
            sa.func.count(),
            sa.func.min(sa.func.coalesce(c.source_at, c.accepted_at)),
        )
    }
    q = quarantine.c
    set_aside = sa.select(q.feed, sa.func.count()).where(q.corpus == corpus, q.feed.startswith(STREAM_FEEDS))
    counted: list[Any] = list(connection.execute(set_aside.group_by(q.feed)))
    aside = dict(counted)
    offsets: dict[str, dict[str, str]] = {}
    o = feed_offsets.c
    for row in connection.execute(sa.select(feed_offsets).where(o.feed.startswith(STREAM_FEEDS))):
        offsets.setdefault(row.feed, {})[row.partition] = row.offset
    own = {feed for feed in offsets if _brings(connection, feed, corpus)}
    return [
        {
            "feed": feed,
            "offsets": offsets.get(feed, {}),
            "changes_per_s": lately.get(feed, 0) / _LATELY_S,
            "lag_changes": behind.get(feed, (0, 0.0))[0],
            "lag_seconds": behind.get(feed, (0, 0.0))[1],
            "quarantined": aside.get(feed, 0),
        }
        for feed in sorted(own | lately.keys() | behind.keys() | aside.keys())
    ]


def _rows(
    connection: sa.Connection, of_streams: sa.ColumnElement[bool], which: sa.ColumnElement[bool], *what: Any
) -> list[Any]:
    query = sa.select(changes.c.feed, *what).where(of_streams, which).group_by(changes.c.feed)
    return list(connection.execute(query))


def _brings(connection: sa.Connection, feed: str, corpus: str) -> bool:
    one = sa.select(changes.c.seq).where(changes.c.corpus == corpus, changes.c.feed == feed).limit(1)
    return connection.scalar(one) is not None
