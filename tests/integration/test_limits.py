"""Limits of a tenant over several processes and a real Redis, which is killed, hangs, and comes back."""

import json
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
Report = dict[str, Any]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


class Replicas:
    """Processes that all ask for one tenant."""

    def __init__(self, server: RedisServer, amount: int, seconds: float, when_down: str) -> None:
        module = "tests.integration.limits_driver"
        command = [sys.executable, "-m", module, server.url, str(amount), str(seconds), when_down]
        self._processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "begun\n"

    def reports(self) -> list[Report]:
        found = []
        for process in self._processes:
            output, _ = process.communicate(timeout=120)
            assert process.returncode == 0
            found.append(json.loads(output))
        return found


def together(reports: Sequence[Report]) -> Counter[int]:
    """What all admitted in each window."""
    total: Counter[int] = Counter()
    for report in reports:
        total.update({int(window): count for window, count in report["windows"].items()})
    return total


def show(reports: Sequence[Report]) -> None:
    print("windows:", dict(sorted(together(reports).items())))
    for report in reports:
        waits = ", ".join(f"{name} {report[name]:.2f}" for name in ("p50_ms", "p99_ms", "slowest_ms"))
        print(report["outcomes"], waits)


@pytest.mark.parametrize("amount", [7, 100, 2000])
def test_processes_together_never_admit_more_than_the_limit(server: RedisServer, amount: int) -> None:
    reports = Replicas(server, amount, 6, "closed").reports()
    show(reports)
    windows = together(reports)
    assert max(windows.values()) <= amount
    whole = sorted(windows)[1:-1]  # in the first and in the last not all of them asked all the time
    assert len(whole) >= 3
    assert sum(windows[window] for window in whole) >= 0.9 * amount * len(whole)


@pytest.mark.parametrize("when_down", ["open", "closed"])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hanging"])
def test_a_redis_that_goes_and_comes_back(server: RedisServer, when_down: str, blow: signal.Signals) -> None:
    """Open: each process counts for itself meanwhile. Closed: nothing more is admitted. Then all count together; on a
    busy machine even a healthy Redis is late at times, which costs an open limit its exactness."""
    amount = 200
    replicas = Replicas(server, amount, 12, when_down)
    time.sleep(3)  # in mid-flight
    server.send(blow)
    gone_at = time.time()
    time.sleep(3)
    back_at = time.time()
    if blow == signal.SIGKILL:
        server.start()
    else:
        server.send(signal.SIGCONT)
    reports = replicas.reports()
    show(reports)
    windows = together(reports)
    without = [window for window in windows if gone_at + 1 < window < back_at - 1]
    after = sorted(window for window in windows if window > back_at)
    again = next(window for window in after if windows[window] <= 1.5 * amount)
    print(f"counted together {again - back_at:.1f} s after Redis came back")
    assert all(windows[window] <= 1.5 * amount for window in after if window > again)
    if when_down == "open":
        assert without
        assert all(amount < windows[window] <= PROCESSES * amount for window in without)
    else:
        assert not without
        assert max(windows.values()) <= amount
        assert all(report["outcomes"]["Unavailable"] for report in reports)
