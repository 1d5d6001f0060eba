"""A message on a topic sets Airflow's trigger off, and what nobody has read is known by its age."""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.dags.airflow_home import prepare_home

prepare_home()

import stream_alarm  # noqa: E402 - Airflow reads its home when it is imported
from quarry_dag import at  # noqa: E402
from stream_alarm import or_on_news  # noqa: E402

from include.quarry.feeds.alarm import connections  # noqa: E402
from include.quarry.feeds.feed_specs import KafkaSpec, load_feed_specs  # noqa: E402
from include.quarry.feeds.unread import oldest_unread_s  # noqa: E402
from tests.servers.kafka import kafka, make_topic  # noqa: E402

pytestmark = pytest.mark.integration
_PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    with kafka() as address:
        yield address


@pytest.fixture
def feeds(broker: str, tmp_path: Path) -> Path:
    topic = f"pages-{uuid.uuid4().hex[:8]}"
    make_topic(broker, topic, 2)
    (tmp_path / "feeds.yaml").write_text(json.dumps({"feeds": [{"kind": "kafka", "servers": broker, "topic": topic}]}))
    return tmp_path / "feeds.yaml"


@pytest.fixture
def spec(feeds: Path) -> KafkaSpec:
    (spec,) = load_feed_specs(feeds)
    assert isinstance(spec, KafkaSpec)
    return spec


def send(spec: KafkaSpec, text: str, partition: int = 0) -> None:
    producer = Producer({"bootstrap.servers": spec.servers})
    producer.produce(spec.topic, text.encode(), b"key", partition=partition)
    assert producer.flush(30) == 0


def test_a_message_sets_the_trigger_off_which_tells_nothing_of_its_text(
    feeds: Path, spec: KafkaSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_alarm, "_rang_at", {})
    for name, value in connections(str(feeds)).items():
        monkeypatch.setenv(name, value)
    (asset,) = or_on_news(at("0 * * * *"), str(feeds)).asset_condition.objects
    trigger = asset.watchers[0].trigger

    async def first_event() -> object:
        async for event in trigger.run():
            return event.payload
        return None

    async def wait() -> object:
        waiting = asyncio.create_task(first_event())
        while not waiting.done():  # a group that has just been joined begins at the end of the topic
            await asyncio.to_thread(send, spec, "confidential")
            await asyncio.wait([waiting], timeout=1)
        return waiting.result()

    told = asyncio.run(asyncio.wait_for(wait(), _PATIENCE_S))
    assert isinstance(told, dict)
    assert (told["topic"], told["partition"]) == (spec.topic, 0)
    assert "confidential" not in json.dumps(told)


def test_the_age_of_the_oldest_message_that_nobody_has_read_is_known(spec: KafkaSpec) -> None:
    assert oldest_unread_s(spec, {}) == 0.0
    before = time.time()
    send(spec, "one", 0)
    send(spec, "two", 1)
    age_s = oldest_unread_s(spec, {})
    assert 0 < age_s <= time.time() - before + 1
    assert oldest_unread_s(spec, {f"{spec.topic}/0": "1"}) > 0
    assert oldest_unread_s(spec, {f"{spec.topic}/0": "1", f"{spec.topic}/1": "1"}) == 0.0
