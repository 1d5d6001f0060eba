"""What a topic tells in the end: every message from the first to the last, folded into the documents that there are."""

import time
from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from include.quarry.errors import InvalidInput, Unavailable
from include.quarry.feeds.content import content_hash
from include.quarry.feeds.feed_specs import KafkaSpec
from include.quarry.feeds.messages import MessageReader
from include.quarry.feeds.protocol import Deleted, Upserted
from include.quarry.records import DocumentKey

_ANSWER_S = 20.0
_SILENCE_S = 1.0
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
    ours = {"enable.auto.commit": False, "enable.partition.eof": True, "fetch.message.max.bytes": 32 * 2**20}
    consumer = Consumer({**options, **ours})
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
    """To the end, as the broker tells it, and on to where it has been silent for a moment: not every broker counts what
    it took in last. A topic that never falls silent is read up to what came after we began."""
    began_ms, at_end = time.time() * 1000, False
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    while messages := consumer.consume(_AT_ONCE, timeout=_SILENCE_S if at_end else _ANSWER_S):
        for message in messages:
            error = message.error()
            if error is None:
                yield message.value(), message.key()
            elif error.code() == KafkaError._PARTITION_EOF:
                at_end = True
            else:
                raise Unavailable(f"topic {topic!r}: {error.str()}")
        if at_end and messages[-1].error() is None and messages[-1].timestamp()[1] > began_ms:
            return
    if not at_end:
        raise Unavailable(f"topic {topic!r} goes silent before the end of partition {partition}; try again")
