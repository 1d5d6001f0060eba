"""How long the oldest message of a topic has waited that the catalog has not taken in. Joins no group."""

from collections.abc import Mapping
from datetime import UTC, datetime

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from include.quarry.errors import Unavailable
from include.quarry.feeds.feed_specs import KafkaSpec

_ANSWER_S = 20.0


def oldest_unread_s(spec: KafkaSpec, offsets: Mapping[str, str]) -> float:
    """Age in seconds of that message, by the broker's clock; 0 where all is read. `offsets` are the catalog's, by
    partition. Raises `Unavailable`."""
    own = {"bootstrap.servers": spec.servers, "group.id": f"{spec.group}-look", "enable.auto.commit": False}
    consumer = Consumer({**spec.options, **own, "enable.partition.eof": True, "auto.offset.reset": "earliest"})
    try:
        topic = consumer.list_topics(spec.topic, timeout=_ANSWER_S).topics[spec.topic]
        if topic.error is not None:
            raise Unavailable(f"topic {spec.topic!r}: {topic.error.str()}")
        at = {number: int(offsets.get(f"{spec.topic}/{number}", OFFSET_BEGINNING)) for number in topic.partitions}
        return max((_age_s(consumer, spec.topic, number, offset) for number, offset in at.items()), default=0.0)
    except KafkaException as error:
        raise Unavailable(f"topic {spec.topic!r} cannot be read: {error.args[0]}") from error
    finally:
        consumer.close()


def _age_s(consumer: Consumer, topic: str, partition: int, offset: int) -> float:
    consumer.assign([TopicPartition(topic, partition, offset)])
    for message in consumer.consume(1, timeout=_ANSWER_S):
        error = message.error()
        if error is None:
            return max(0.0, datetime.now(UTC).timestamp() - message.timestamp()[1] / 1000)
        if error.code() != KafkaError._PARTITION_EOF:
            raise Unavailable(f"topic {topic!r}: {error.str()}")
        return 0.0
    raise Unavailable(f"topic {topic!r} is silent about partition {partition}; try again")
