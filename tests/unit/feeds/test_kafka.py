"""A Kafka feed gives every message once, whatever the consumer says between two of them."""

import json
from collections import deque
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from include.quarry.errors import Unavailable
from include.quarry.feeds import kafka
from include.quarry.feeds.kafka import KafkaFeed
from include.quarry.feeds.protocol import Batch, Upserted


@dataclass
class Told:
    """A message, or an error in its place."""

    at: int
    failure: int | None = None

    def error(self) -> KafkaError | None:
        return None if self.failure is None else KafkaError(self.failure)

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return json.dumps({"op": "upsert", "tenant": "red", "doc_id": f"doc-{self.at}", "text": "Salt."}).encode()


class ScriptedConsumer:
    """Holds partition 0 with messages 0 to 3; `says` is what comes besides, before the message of that offset."""

    def __init__(self, _settings: dict[str, Any]) -> None:
        self.says: dict[int, deque[Any]] = {}
        self.at = 0
        self._assigned: Any = None

    def subscribe(self, _topics: list[str], *, on_assign: Any, **_others: Any) -> None:
        self._assigned = on_assign

    def rebalance(self) -> None:
        """The broker takes the partition away and gives it back."""
        self._assigned(self, [TopicPartition("topic", 0)])

    def assign(self, places: list[TopicPartition]) -> None:
        self.seek(places[0])

    def seek(self, place: TopicPartition) -> None:
        self.at = max(place.offset, 0)

    def poll(self, _wait_s: float = 0.0) -> Told | None:
        if self.says.get(self.at):
            said = self.says[self.at].popleft()
            if callable(said):
                said()
                return self.poll()
            if isinstance(said, Exception):
                raise said
            return said
        if self.at > 3:
            return None
        self.at += 1
        return Told(self.at - 1)

    def consume(self, count: int, timeout: float) -> list[Told]:
        found = []
        while len(found) < count and (message := self.poll(timeout)) is not None:
            found.append(message)
        return found


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch) -> KafkaFeed:
    monkeypatch.setattr(kafka, "Consumer", ScriptedConsumer)
    return KafkaFeed("127.0.0.1:9", "topic", group="quarry", corpus="main")


def names(batches: list[Batch]) -> list[str]:
    return [change.raw.key.doc_id for batch in batches for change in batch.changes if isinstance(change, Upserted)]


ALL = ["doc-0", "doc-1", "doc-2", "doc-3"]


@pytest.mark.parametrize(
    "trouble",
    [Told(0, KafkaError._TRANSPORT), KafkaException(KafkaError(KafkaError._ALL_BROKERS_DOWN))],
    ids=["an error among the messages", "an error instead of them"],
)
def test_messages_before_an_error_are_given_by_the_next_pull(feed: KafkaFeed, trouble: Any) -> None:
    feed._consumer.rebalance()
    feed._consumer.says[2] = deque([trouble])
    with pytest.raises(Unavailable):
        feed.pull(lambda _partition: None, limit=10, wait_s=0)
    (batch,) = feed.pull(lambda _partition: None, limit=10, wait_s=0)
    assert (batch.begins, batch.ends, names([batch])) == (None, "4", ALL)


def test_a_partition_that_comes_back_in_the_middle_gives_no_message_twice(feed: KafkaFeed) -> None:
    feed._consumer.rebalance()
    feed._consumer.says[2] = deque([feed._consumer.rebalance])
    given = feed.pull(lambda _partition: None, limit=10, wait_s=0)
    assert names(given) == ALL


def test_a_catalog_that_is_away_when_a_partition_comes_is_asked_again(feed: KafkaFeed) -> None:
    def away(_partition: str) -> str | None:
        raise Unavailable("the catalog cannot take the request now")

    feed._offset_of = away
    feed._consumer.rebalance()
    given = feed.pull(lambda _partition: "2", limit=10, wait_s=0)
    assert (given[0].begins, names(given)) == ("2", ALL[2:])
