"""Limits of a tenant over several processes and a real Redis, which is killed, hangs, and comes back."""

import json
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.servers.redis import RedisServer, redis_server

pytestmark = pytest.mark.integration
PROCESSES = 4
_STANDSTILL_S, _PATIENCE_S = 0.3, 120.0
Report = dict[str, Any]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


class Replicas:
    """Processes that all ask for one tenant."""

    def __init__(self, server: RedisServer, amount: int, when_down: str) -> None:
        """Gives back control once all of them have begun."""
        module, pipe = "tests.integration.limits_driver", subprocess.PIPE
        command = [sys.executable, "-m", module, server.url, str(amount), when_down]
        self._processes = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(PROCESSES)]
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        self._tell("begin")

    def end(self) -> list[Report]:
        """Have them end, and tell what they did."""
        self._tell("end")
        found = []
        for process in self._processes:
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0
            found.append(json.loads(output))
        return found

    def _tell(self, what: str) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{what}\n")
            process.stdin.flush()


def together(reports: Sequence[Report]) -> Counter[int]:
    """What all admitted in each window."""
    total: Counter[int] = Counter()
    for report in reports:
        total.update({int(window): count for window, count in report["windows"].items()})
    return total


def calm(seconds: float) -> tuple[float, float]:
    """Wait until the machine has not stood still for that long, and say from when to when: on one that stands still,
    everybody is late at once, and what is admitted then says nothing."""
    began = last = first = time.time()
    while last - began < seconds:
        assert last - first < _PATIENCE_S, f"this machine stands still every {seconds:g} s"
        time.sleep(0.02)
        now = time.time()
        if now - last > _STANDSTILL_S:
            began = now
        last = now
    return began, last


def windows_between(since: float, until: float) -> range:
    """Those that lie in it whole, but for the first second, in which some still rest."""
    return range(math.ceil(since + 1), int(until))


def show(reports: Sequence[Report]) -> None:
    print("windows:", dict(sorted(together(reports).items())))
    for report in reports:
        waits = ", ".join(f"{name} {report[name]:.2f}" for name in ("p50_ms", "p99_ms", "slowest_ms"))
        print(report["outcomes"], waits)


@pytest.mark.parametrize("amount", [7, 100, 2000])
def test_processes_together_never_admit_more_than_the_limit(server: RedisServer, amount: int) -> None:
    replicas = Replicas(server, amount, "closed")
    since, until = calm(6)
    reports = replicas.end()
    show(reports)
    windows = together(reports)
    assert max(windows.values()) <= amount
    counts = sorted(windows[window] for window in windows_between(since, until))
    assert len(counts) >= 3
    del counts[0]  # a Redis that was late once may have cost one
    assert sum(counts) >= 0.9 * amount * len(counts)


@pytest.mark.parametrize("when_down", ["open", "closed"])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_a_redis_that_goes_and_comes_back(server: RedisServer, when_down: str, blow: signal.Signals) -> None:
    """Open: each process counts for itself meanwhile. Closed: nothing more is admitted. Then all count together; on a
    busy machine even a healthy Redis is late at times, which costs an open limit its exactness: a process that has
    waited in vain counts for itself for a second, so in two windows."""
    amount = 200
    replicas = Replicas(server, amount, when_down)
    calm(3)  # in mid-flight
    server.send(blow)
    down = calm(3)
    if blow == signal.SIGKILL:
        server.start()
    else:
        server.send(signal.SIGCONT)
    since, until = calm(8)
    reports = replicas.end()
    show(reports)
    windows = together(reports)
    without = [window for window in windows_between(*down) if windows[window]]
    last = windows_between(since, until)[-5:]
    assert sum(0 < windows[window] <= 1.5 * amount for window in last) >= 3
    if when_down == "open":
        assert without
        assert all(amount < windows[window] <= PROCESSES * amount for window in without)
    else:
        assert not without
        assert max(windows.values()) <= amount
        assert all(report["outcomes"]["Unavailable"] for report in reports)
