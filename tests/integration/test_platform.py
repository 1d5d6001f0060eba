"""The platform on free ports, in a home of its own: it starts, it is seen, and it leaves nothing behind."""

import os
import signal
import socket

import httpx
import psutil
import pytest

from include.quarry.operations.health import wait_until
from include.quarry.operations.ports import is_taken, ports_of
from include.quarry.operations.processes import is_alive, processes_of
from tests.integration.conftest import Platform

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def test_a_taken_port_stops_the_start_before_anything_runs(platform):
    port = platform.ports["mlflow_port"]
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", port))
        squatter.listen()
        refused = platform.command("up")
    assert refused.returncode == 1
    for part in (str(port), "QUARRY_MLFLOW_PORT", f"pid {os.getpid()}"):
        assert part in refused.stderr
    assert processes_of(platform.installation) == set()


def test_the_platform_starts_shows_itself_recovers_and_leaves_nothing(platform):
    installation = platform.installation
    started = platform.command("up")
    assert started.returncode == 0, started.stdout + started.stderr
    again = platform.command("up")
    assert "already up" in again.stdout

    shown = platform.command("status")
    assert shown.returncode == 0, shown.stdout
    for part in ("ray", "mlflow", "airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"):
        assert part in shown.stdout

    _every_configured_port_is_on_loopback(platform)
    _a_killed_part_comes_back(platform)

    ours = processes_of(installation)
    stopped = platform.command("down")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert [process for process in ours if is_alive(process)] == []
    assert processes_of(installation) == set()
    assert [port for port in ports_of(installation.settings) if is_taken(port.number, "127.0.0.1")] == []
    assert not installation.sockets.exists()
    assert "not running" in platform.command("down").stdout


def _every_configured_port_is_on_loopback(platform: Platform) -> None:
    listening = {
        connection.laddr.port: connection.laddr.ip
        for connection in psutil.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    for name, number in platform.ports.items():
        assert listening.get(number, "").removeprefix("::ffff:") == "127.0.0.1", name


def _a_killed_part_comes_back(platform: Platform) -> None:
    """haproxy and MLflow die without a word; both serve again, on the same ports."""
    settings = platform.installation.settings
    victims = [
        process
        for process in processes_of(platform.installation)
        if "haproxy.cfg" in " ".join(process.cmdline()) or "mlflow server" in " ".join(process.cmdline())
    ]
    assert len(victims) >= 2
    for process in victims:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(victims, timeout=30)

    def serves_again() -> bool:
        try:
            answers = [httpx.get(f"{url}", trust_env=False) for url in (f"{settings.http_url}/readyz", health)]
        except httpx.HTTPError:
            return False
        return all(answer.is_success for answer in answers)

    health = f"{settings.mlflow_url}/health"
    wait_until(serves_again, "the killed parts", timeout_s=240, tick=lambda _: None)
