"""Wakes Dags when a topic has news. An alarm clock, not a delivery: it may ring in vain, late, or not at all."""

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAny, AssetOrTimeSchedule, AssetWatcher

from include.quarry.feeds.alarm import Alarm, alarms

if TYPE_CHECKING:
    from confluent_kafka import Message

_REST_S = 60.0
_rang_at: dict[str, float] = {}


def or_on_news(timetable: Any, feeds: str) -> Any:
    """The timetable, and with a Kafka feed also whenever its topic has news."""
    assets = [_watched(alarm) for alarm in alarms(feeds)]
    return AssetOrTimeSchedule(assets=AssetAny(*assets), timetable=timetable) if assets else timetable


def ring(message: "Message") -> dict[str, Any] | None:
    """What the alarm tells Airflow of a message: where it stands, and nothing of what it says. A topic that has news
    all the time rings once a minute: the offsets tell of the rest."""
    topic, now = message.topic() or "", time.monotonic()
    if now - _rang_at.get(topic, -_REST_S) < _REST_S:
        return None
    _rang_at[topic] = now
    return {"topic": topic, "partition": message.partition(), "offset": message.offset()}


def _watched(alarm: Alarm) -> Asset:
    from airflow.providers.common.messaging.triggers.msg_queue import MessageQueueTrigger  # noqa: PLC0415 slow

    trigger = MessageQueueTrigger(
        scheme="kafka", topics=[alarm.topic], kafka_config_id=alarm.connection, apply_function="stream_alarm.ring"
    )
    name = f"quarry://streams/{alarm.connection}"
    return Asset(name, watchers=[AssetWatcher(name=alarm.connection, trigger=trigger)])
