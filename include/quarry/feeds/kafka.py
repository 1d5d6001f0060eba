"""The Kafka feed: a topic's partitions, read by a consumer group whose offsets nobody but the catalog keeps.

The broker hands out partitions and the catalog says where each goes on; offsets are committed to the broker too, after
the fact, for tools that show lag. Of two readers that believe to hold one partition, the catalog accepts one.
"""

import base64
from collections.abc import Iterable, Mapping
from contextlib import suppress

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from include.quarry.errors import InvalidInput, Misconfigured, Unavailable
from include.quarry.feeds.messages import Format, MessageReader
from include.quarry.feeds.protocol import Batch, Change, Garbled, OffsetOf
from include.quarry.feeds.rows import RowMapping
from include.quarry.records import STREAM_FEEDS, DocumentKey

_GARBLED_TENANT = "default"
_ASK_S = 5.0
_PREFETCHED_KIB = 32 * 1024  # more than one message of the greatest size, and all that waits in memory here


class KafkaFeed:
    """See `ChangeFeed`. `options` are librdkafka's own, for TLS and SASL and what else a broker asks for."""

    def __init__(
        self,
        servers: str,
        topic: str,
        *,
        group: str,
        corpus: str,
        format: Format = "event",
        mapping: RowMapping | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Raises `Misconfigured` for options that librdkafka refuses, and for envelopes without a mapping."""
        self._topic = topic
        self._corpus = corpus
        self._name = f"{STREAM_FEEDS}kafka:{group}:{topic}"
        self._reader = MessageReader(format, corpus, mapping)
        self._at: dict[int, str | None] = {}  # offsets as the catalog holds them, of the partitions held here
        self._again: set[int] = set()
        self._offset_of: OffsetOf = lambda _partition: None
        self._failure: KafkaError | None = None
        whom: dict[str, str | int | float | bool] = {**(options or {}), "bootstrap.servers": servers}
        settings = {
            "client.id": "quarry",
            "session.timeout.ms": 10_000,
            "queued.max.messages.kbytes": _PREFETCHED_KIB,
            "fetch.message.max.bytes": _PREFETCHED_KIB * 1024,
            **whom,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",  # changes that a topic has dropped unread must not go unnoticed
            "error_cb": self._failed,
        }
        try:
            self._consumer = Consumer(settings)
            # A consumer has one user at a time: what waits is asked by a client of its own, or it would not be told
            # while the consumer waits for messages.
            self._admin = AdminClient({**whom, "log_level": 3})  # it would complain of the consumer's options
        except KafkaException as error:
            raise Misconfigured(f"the Kafka feed of topic {topic!r} cannot be opened: {error.args[0]}") from error
        self._consumer.subscribe([topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._revoked)

    @property
    def name(self) -> str:
        return self._name

    def pull(self, offset_of: OffsetOf, *, limit: int, wait_s: float) -> list[Batch]:
        try:
            return self._pull(offset_of, limit, wait_s)
        except KafkaException as error:
            raise Unavailable(f"topic {self._topic!r}: {error.args[0]}") from error

    def _pull(self, offset_of: OffsetOf, limit: int, wait_s: float) -> list[Batch]:
        self._offset_of, self._failure = offset_of, None
        for partition in sorted(self._again & self._at.keys()):
            self._at[partition] = offset_of(self._partition_name(partition))
            self._consumer.seek(self._place(partition))
        self._again.clear()
        try:
            return [self._batch(partition, messages) for partition, messages in self._poll(limit, wait_s).items()]
        except Exception:
            self._again.update(self._at)  # the consumer may have gone past messages that are not given now
            raise

    def _poll(self, limit: int, wait_s: float) -> dict[int, list[Message]]:
        """What came, by partition held at the end: partitions may come and go while the consumer is asked."""
        first = self._consumer.poll(wait_s)
        if first is None:
            if self._failure is not None:
                raise Unavailable(f"the Kafka brokers do not answer: {self._failure.str()}")
            return {}
        found: dict[int, list[Message]] = {}
        ends: dict[int, int] = {}
        for message in (first, *(self._consumer.consume(limit - 1, timeout=0) if limit > 1 else ())):
            self._check(message)
            partition, offset = message.partition(), message.offset()
            if message.error() is not None or partition not in self._at or offset is None:
                continue
            if offset >= ends.get(partition, int(self._at[partition] or 0)):  # else it came again
                found.setdefault(partition, []).append(message)
                ends[partition] = offset + 1
        return found

    def accepted(self, partition: str, offset: str) -> None:
        place = TopicPartition(self._topic, int(partition.rpartition("/")[2]), int(offset))
        with suppress(KafkaException):  # nothing depends on it, and the next one says it again
            self._consumer.commit(offsets=[place], asynchronous=True)

    def rewind(self, partition: str) -> None:
        self._again.add(int(partition.rpartition("/")[2]))

    def lag(self) -> dict[str, int]:
        held = dict(self._at)
        if not held:
            return {}
        try:
            low, high = self._ask(held, OffsetSpec.earliest()), self._ask(held, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        except KafkaException as error:
            raise Unavailable(f"topic {self._topic!r}: {error.args[0]}") from error
        return {
            self._partition_name(partition): max(0, high[partition] - max(int(at or 0), low[partition]))
            for partition, at in held.items()
        }

    def _ask(self, partitions: Iterable[int], spec: OffsetSpec) -> dict[int, int]:
        places = {TopicPartition(self._topic, partition): spec for partition in partitions}
        told = self._admin.list_offsets(places, request_timeout=_ASK_S)
        return {place.partition: answer.result().offset for place, answer in told.items()}

    def close(self) -> None:
        self._consumer.close()

    def _batch(self, partition: int, messages: list[Message]) -> Batch:
        begins, ends = self._at[partition], str((messages[-1].offset() or 0) + 1)
        self._at[partition] = ends
        changes = [change for message in messages if (change := self._change(message)) is not None]
        return Batch(self._partition_name(partition), begins, changes, ends)

    def _change(self, message: Message) -> Change | None:
        value, message_key = message.value(), message.key()
        try:
            return self._reader.read(value, message_key)
        except InvalidInput as error:
            place = f"{self._topic}/{message.partition()}/{message.offset()}"
            key = DocumentKey(self._corpus, _GARBLED_TENANT, place)
            shown = None if message_key is None else base64.b64encode(message_key).decode()
            detail = {"key": shown, "tombstone": value is None}
            return Garbled(key, f"kafka://{place}", f"{error.title}: {error}", value or b"", "message", detail)

    def _check(self, message: Message) -> None:
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise Misconfigured(
                f"topic {self._topic!r} has dropped changes of partition {message.partition()} after those that "
                f"the catalog has ({self._at}): its retention is shorter than this feed was away. Send all "
                "documents again, then remove the topic's rows from the catalog's table feed_offsets"
            )
        raise Unavailable(f"topic {self._topic!r}: {error.str()}")

    def _assigned(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            self._at[place.partition] = None
            try:
                self._at[place.partition] = self._offset_of(self._partition_name(place.partition))
            except Unavailable:  # the catalog is asked again before the next pull, and refuses what is given till then
                self._again.add(place.partition)
        consumer.assign([self._place(partition) for partition in self._at])

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for place in partitions:
            self._at.pop(place.partition, None)

    def _place(self, partition: int) -> TopicPartition:
        at = self._at[partition]
        return TopicPartition(self._topic, partition, OFFSET_BEGINNING if at is None else int(at))

    def _partition_name(self, partition: int) -> str:
        return f"{self._topic}/{partition}"

    def _failed(self, error: KafkaError) -> None:
        """Told of what is wrong with the connection, while a poll runs."""
        self._failure = error
