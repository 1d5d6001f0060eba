"""A Ray cluster of this machine's own: a head, and nodes that stand for instances which join and vanish."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.chaos.journal import wait_until
from tests.conftest import free_port

_REPOSITORY = Path(__file__).resolve().parents[2]
ACTOR_CPUS = 3
_NODE_CPUS = ACTOR_CPUS + 2
"""Room for one embedding actor and never for two, and for the tasks and the filter of a resumed run."""
_HEAD, _SPOT = "127.0.0.2", "127.0.0.3"
"""Loopback too, but Ray does not trade them for the machine's own address as it does with 127.0.0.1 (services.py)."""
_OBJECT_STORE_BYTES = 80 * 2**20


class RayNode:
    """One node: `ray start`, its raylet, and everything that runs below."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        below = psutil.Process(process.pid).children(recursive=True)
        self.raylet = next(child for child in below if child.name() == "raylet")

    @property
    def alive(self) -> bool:
        """Whether the machine is there: `ray start` ends when its raylet does."""
        return self.process.poll() is None

    def has(self, process: psutil.Process) -> bool:
        """Whether a process is a living worker of this node."""
        try:
            return process.ppid() == self.raylet.pid and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def notice(self) -> None:
        """Say that the machine will be taken away, as its cloud does."""
        self.process.terminate()

    def vanish(self) -> None:
        """Take the machine away, without a word."""
        end_family([self.process])


def end_family(heads: Sequence[subprocess.Popen[bytes]]) -> None:
    """Kill processes and all that they have started."""
    running = [psutil.Process(head.pid) for head in heads if head.poll() is None]
    family = [child for process in running for child in process.children(recursive=True)]
    for process in (*running, *family):
        if process.is_running():
            process.kill()
    psutil.wait_procs([*running, *family], timeout=20)
    for head in heads:
        head.wait()


class RayCluster:
    """Starts nodes as processes, and ends what it started, by pid."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="rc", dir="/tmp"))  # short: Ray's sockets lie below
        self._nodes: list[subprocess.Popen[bytes]] = []
        self._spot: subprocess.Popen[bytes] | None = None
        self._port = free_port()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
            "PYTHONPATH": str(_REPOSITORY),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "RAY_ADDRESS": f"{_HEAD}:{self._port}",
            "RAY_AUTH_MODE": "token",  # Ray listens on every address here, so it must ask who is calling
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_idle_worker_killing_time_threshold_ms": "60000",  # a worker costs seconds to start
            "RAY_worker_niceness": "0",  # Ray's 15 would let everything else on the machine go first
            "RAY_raylet_start_wait_time_s": "120",  # a busy machine is slow, not broken
            "RAY_health_check_period_ms": "1000",  # 5 failures make a node a lost one: after 5 s instead of 15
            "RAY_health_check_timeout_ms": "3000",  # and one that hangs, after 20 s
        }
        head = ("--head", f"--port={self._port}", f"--temp-dir={self._folder}", "--include-dashboard=false")
        self._start(_HEAD, _NODE_CPUS, *head, f"--ray-client-server-port={free_port()}")

    def spot_raylet(self) -> psutil.Process:
        """The raylet of the second node, which is started where there is none (any more)."""
        if self._spot is None or self._spot.poll() is not None:
            self._spot = self._start(_SPOT, _NODE_CPUS, f"--address={_HEAD}:{self._port}")
        return RayNode(self._spot).raylet

    def join(self, node_class: str, cpus: int = ACTOR_CPUS) -> RayNode:
        """A new node with the label of a class: room for one embedding actor, and for nothing else."""
        host = f"127.0.0.{10 + len(self._nodes) % 200}"
        label = f"--labels=ray.io/market-type={node_class}"
        return RayNode(self._start(host, cpus, f"--address={_HEAD}:{self._port}", label))

    def end_joined(self) -> None:
        """Take away every node that has joined, so that the next test finds the head alone."""
        end_family(self._nodes[1:])

    def stop(self) -> None:
        """End every process of every node."""
        end_family(self._nodes)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self, host: str, cpus: int, *options: str) -> subprocess.Popen[bytes]:
        log = self._folder / f"node-{len(self._nodes)}.log"
        fixed = (
            "--block",
            "--disable-usage-stats",
            f"--node-ip-address={host}",
            f"--num-cpus={cpus}",
            f"--object-store-memory={_OBJECT_STORE_BYTES}",
            f"--dashboard-agent-listen-port={free_port()}",
            f"--metrics-export-port={free_port()}",
        )
        command = (str(Path(sys.executable).parent / "ray"), "start", *options, *fixed)
        with log.open("wb") as output:
            node = subprocess.Popen(
                command, env=self.environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        self._nodes.append(node)

        def started() -> bool:
            assert node.poll() is None, f"ray start ended with {node.returncode}: {log.read_text()[-2000:]}"
            return "Ray runtime started" in log.read_text()

        wait_until(started, f"ray start on {host}", timeout_s=120)
        return node
