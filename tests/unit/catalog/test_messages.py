"""A message is new once, and is remembered for as long as it may come again."""

from datetime import UTC, datetime, timedelta

from include.quarry.catalog.database import Database
from include.quarry.catalog.messages import take_messages

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=32)


def test_a_message_is_new_once_in_its_feed(database: Database) -> None:
    with database.write() as connection:
        assert take_messages(connection, "f", {"1": LATER, "2": LATER}) == {"1", "2"}
    with database.write() as connection:
        assert take_messages(connection, "f", {"2": LATER, "3": LATER}) == {"3"}
        assert take_messages(connection, "g", {"1": LATER}) == {"1"}
        assert take_messages(connection, "f", {}) == set()


def test_what_was_not_committed_is_still_new(database: Database) -> None:
    try:
        with database.write() as connection:
            take_messages(connection, "f", {"1": LATER})
            raise KeyError
    except KeyError:
        pass
    with database.write() as connection:
        assert take_messages(connection, "f", {"1": LATER}) == {"1"}


def test_what_can_come_again_no_longer_is_forgotten(database: Database) -> None:
    with database.write() as connection:
        take_messages(connection, "f", {"old": NOW - timedelta(seconds=1), "young": LATER})
    with database.write() as connection:
        assert take_messages(connection, "f", {"old": LATER, "young": LATER}) == {"old"}
