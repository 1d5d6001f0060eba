"""The whole platform, started by the commands that a user types."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from include.quarry.operations.installation import REPOSITORY, Installation
from include.quarry.settings import Settings
from tests.servers.kafka import kafka, make_topic

NEWS = "news"


def free_ports(count: int) -> list[int]:
    with ExitStack() as open_sockets:
        probes = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


class Platform:
    """An installation on free ports. What is sent to the topic `NEWS` of `broker` goes into a corpus of that name."""

    def __init__(self, home: Path, broker: str) -> None:
        names = [name for name in Settings.model_fields if name.endswith("_port")]
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        nothing = home / "documents"  # what the schedule reads when an hour begins in the middle of a test
        nothing.mkdir()
        self.broker = broker
        make_topic(broker, NEWS, 1)
        feeds = home / "feeds.yaml"
        feeds.write_text(json.dumps({"feeds": [{"kind": "kafka", "servers": broker, "topic": NEWS, "corpus": NEWS}]}))
        own = {
            "docs": str(nothing),
            "feeds": str(feeds),
            "start_timeout_s": 400,
            "gate_suite": "",
            "canary_timeout_s": 30,  # a machine that stands still is no candidate that hangs
        }
        self.installation = Installation(Settings(home=home, _env_file=None, **own, **self.ports))

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """One of the commands, as a user runs it."""
        return subprocess.run(
            [sys.executable, "-m", "include.quarry", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **self.installation.environment()},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    # a short path, because Ray keeps unix sockets below it
    home = Path(tempfile.mkdtemp(prefix="q-"))
    with kafka() as broker:
        platform = Platform(home, broker)
        try:
            yield platform
        finally:
            stopped = platform.command("down")
            shutil.rmtree(home)
        assert stopped.returncode == 0, stopped.stdout + stopped.stderr
