"""The alarm clock of a topic: how Airflow gets to hear that there is news, and nothing more.

Airflow's consumer has a group of its own, so it takes no partition from the replicas that read, and what it hears is
lost on it now and then. What is pending, the catalog's offsets say.
"""

import json
import logging
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from include.quarry.errors import Misconfigured
from include.quarry.feeds.feed_specs import KafkaSpec, load_feed_specs

logger = logging.getLogger(__name__)


class Alarm(NamedTuple):
    """A topic to listen to, and the name of Airflow's connection to its broker."""

    topic: str
    connection: str
    spec: KafkaSpec


def alarms(feeds: str) -> list[Alarm]:
    """One for each topic that the file of feeds describes. None without a file, or with one that cannot be read: the
    replicas that read the streams complain about that, and neither a schedule nor `make down` may stop for it."""
    try:
        return list(_alarms(load_feed_specs(Path(feeds)) if feeds else ()))
    except Misconfigured as error:
        logger.warning("no topic is listened to: %s", error)
        return []


def connections(feeds: str) -> dict[str, str]:
    """Airflow's connections for the alarms, as environment variables; they carry the secrets that the file names."""
    return {f"AIRFLOW_CONN_{alarm.connection.upper()}": _connection(alarm.spec) for alarm in alarms(feeds)}


def _alarms(specs: Iterable[object]) -> Iterator[Alarm]:
    for spec in specs:
        if isinstance(spec, KafkaSpec):
            digest = sha256(f"{spec.servers}\n{spec.feed}".encode()).hexdigest()[:8]
            yield Alarm(spec.topic, f"quarry_kafka_{digest}", spec)


def _connection(spec: KafkaSpec) -> str:
    own = {"bootstrap.servers": spec.servers, "group.id": f"{spec.group}-alarm", "auto.offset.reset": "latest"}
    return json.dumps({"conn_type": "kafka", "extra": {**spec.options, **own}})
