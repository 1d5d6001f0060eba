"""What a topic tells in the end: every message from the first to the last, folded into the documents that there are."""

from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from include.quarry.errors import InvalidInput, Unavailable
from include.quarry.feeds.content import content_hash
from include.quarry.feeds.feed_specs import KafkaSpec
from include.quarry.feeds.messages import MessageReader
from include.quarry.feeds.protocol import Deleted, Upserted
from include.quarry.records import DocumentKey

_ANSWER_S = 20.0
_AT_ONCE = 500


def topic_state(spec: KafkaSpec) -> dict[DocumentKey, str]:
    """Document -> content hash of what exists, as the topic stands now. Joins no group and commits nothing.

    Messages that cannot be understood count as not sent. Raises `Unavailable`.
    """
    mapping = None if spec.rows is None else spec.rows.mapping(spec.corpus)
    reader = MessageReader(spec.format, spec.corpus, mapping)
    there: dict[DocumentKey, str] = {}
    for value, key in _messages(spec):
        try:
            change = reader.read(value, key)
        except InvalidInput:
            continue
        match change:
            case Upserted(raw, _, replaces):
                there[raw.key] = content_hash(raw)
                if replaces is not None and replaces != raw.key:
                    there.pop(replaces, None)
            case Deleted(gone):
                there.pop(gone, None)
    return there


def _messages(spec: KafkaSpec) -> Iterator[tuple[bytes | None, bytes | None]]:
    options = {**spec.options, "bootstrap.servers": spec.servers, "group.id": f"{spec.group}-verify"}
    consumer = Consumer({**options, "enable.auto.commit": False, "fetch.message.max.bytes": 32 * 2**20})
    try:
        topic = consumer.list_topics(spec.topic, timeout=_ANSWER_S).topics[spec.topic]
        if topic.error is not None:
            raise Unavailable(f"topic {spec.topic!r}: {topic.error.str()}")
        for partition in sorted(topic.partitions):
            yield from _partition(consumer, spec.topic, partition)
    except KafkaException as error:
        raise Unavailable(f"topic {spec.topic!r} cannot be read: {error.args[0]}") from error
    finally:
        consumer.close()


def _partition(consumer: Consumer, topic: str, partition: int) -> Iterator[tuple[bytes | None, bytes | None]]:
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_ANSWER_S)
    at = 0
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    while at < end:
        messages = consumer.consume(_AT_ONCE, timeout=_ANSWER_S)
        if not messages:
            raise Unavailable(f"topic {topic!r} goes silent at {at} of {end} in partition {partition}; try again")
        for message in messages:
            if message.error() is not None:
                raise Unavailable(f"topic {topic!r}: {message.error()}")
            at = (message.offset() or 0) + 1
            if at <= end:
                yield message.value(), message.key()
