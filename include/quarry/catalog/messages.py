"""Messages that were accepted from sources without offsets, for as long as they may come again."""

from collections.abc import Mapping
from datetime import UTC, datetime

import sqlalchemy as sa

from include.quarry.catalog.feed_schema import accepted_messages


def take_messages(connection: sa.Connection, feed: str, messages: Mapping[str, datetime]) -> set[str]:
    """Note messages, each with the time after which it cannot come again; gives those that were not noted before.

    Runs in the transaction that accepts what they say. Since writers take turns, no two are told that one is new. What
    can come again no longer is forgotten here.
    """
    m = accepted_messages.c
    connection.execute(sa.delete(accepted_messages).where(m.feed == feed, m.until < datetime.now(UTC)))
    known = sa.select(m.message).where(m.feed == feed, m.message.in_(list(messages)))
    new = messages.keys() - set(connection.scalars(known))
    if new:
        rows = [{"feed": feed, "message": message, "until": messages[message]} for message in new]
        connection.execute(sa.insert(accepted_messages), rows)
    return new
