"""A Memcached server of tests and benchmarks: Debian's, on the loopback. It can be killed and come back."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pymemcache.client.base import Client
from pymemcache.exceptions import MemcacheError

from include.quarry.operations.health import wait_until
from tests.conftest import free_port


class MemcachedServer:
    """One server that always has the same address. What it held is gone when it is started again."""

    def __init__(self) -> None:
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Give back control once it answers."""
        command = ["memcached", "-l", "127.0.0.1", "-p", str(self._port), "-U", "0", "-m", "64"]
        user = ["-u", "root"] if os.geteuid() == 0 else []  # it refuses to run as root unless told so
        self._process = subprocess.Popen([*command, *user], stderr=subprocess.DEVNULL)
        wait_until(self._answers, "memcached", timeout_s=30, tick=lambda _: None)

    def send(self, number: signal.Signals) -> None:
        """SIGSTOP makes it hang, SIGCONT ends that, SIGKILL is SIGKILL."""
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    def entries(self) -> int:
        """How many it holds now."""
        client = Client(self.address, timeout=5, connect_timeout=5)
        try:
            return int(client.stats()[b"curr_items"])
        finally:
            client.close()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGKILL)

    def _answers(self) -> bool:
        client = Client(self.address, timeout=1, connect_timeout=1)
        try:
            return bool(client.version())
        except (MemcacheError, OSError):
            return False
        finally:
            client.close()


@contextmanager
def memcached_server() -> Iterator[MemcachedServer]:
    """A server that answers; the test is skipped where there is none."""
    if shutil.which("memcached") is None:
        pytest.skip("memcached is not installed (apt-get install memcached)")
    server = MemcachedServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
