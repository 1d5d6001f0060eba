"""A Redis server of tests and benchmarks: Debian's, on the loopback, in memory only. It can be killed and come back."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from include.quarry.operations.health import wait_until
from tests.conftest import free_port


class RedisServer:
    """One server that always has the same address. What it held is gone when it is started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Give back control once it answers."""
        options = f"--port {self._port} --bind 127.0.0.1 --save '' --appendonly no --dir {self._folder}"
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(["redis-server", *options.replace("''", "").split(" ")], stdout=log)
        wait_until(self._answers, "redis-server", timeout_s=30, tick=lambda _: None)

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP makes it hang, SIGCONT ends that, SIGKILL is SIGKILL."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGKILL)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """A server that answers; the test is skipped where there is none."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
