import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from include.quarry.operations.installation import MARK, Installation
from include.quarry.operations.ray_logs import forget_ray_logs

NOW = datetime.now(UTC)
HOLD = "import sys; file = open(sys.argv[1], 'a'); print(flush=True); input()"


@pytest.fixture
def logs(installation: Installation) -> Path:
    """The logs of the session that runs."""
    folder = installation.ray / "session_2026-11-27_02-06-54_198750_8594" / "logs"
    folder.mkdir(parents=True)
    (installation.ray / "session_latest").symlink_to(folder.parent)
    return folder


@pytest.fixture
def silent_worker(installation: Installation, logs: Path) -> Iterator[Path]:
    """The log of a process of ours that lives and has said nothing for long."""
    path = log(logs / "worker-1f-01000000-9.err", days=100)
    environment = {**os.environ, MARK: str(installation.home)}
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has opened the file
        yield path
        process.communicate(b"\n")


def log(path: Path, days: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("said\n")
    written = (NOW - timedelta(days=days)).timestamp()
    os.utime(path, (written, written))
    return path


def test_logs_of_jobs_and_workers_that_are_over_go_and_younger_ones_stay(installation, logs):
    old = [
        log(logs / name, days=100)
        for name in (
            "worker-1f-02000000-7.out",
            "python-core-worker-1f_7.log",
            "job-driver-backfill.1.log",
            "events/event_CORE_WORKER_7.log",
            "ray-data/ray-data-dataset_0.log",
        )
    ]
    young = log(logs / "job-driver-backfill.2.log", days=80)
    assert forget_ray_logs(installation, NOW - timedelta(days=90)) == len(old)
    assert not any(path.exists() for path in old)
    assert young.exists()


def test_the_log_of_a_worker_that_lives_stays_however_long_it_was_silent(installation, silent_worker):
    assert forget_ray_logs(installation, NOW - timedelta(days=90)) == 0
    assert silent_worker.exists()


def test_nothing_outside_of_the_sessions_logs_goes(installation, logs, tmp_path):
    outside = log(tmp_path / "outside" / "a.log", days=100)
    (logs / "linked").symlink_to(outside.parent)
    (logs / "a.log").symlink_to(outside)
    kept = [outside, log(logs.parent / "prom_metrics_service_discovery.json", days=100)]
    assert forget_ray_logs(installation, NOW - timedelta(days=90)) == 0
    assert all(path.exists() for path in kept)


def test_before_ray_has_ever_run_there_is_nothing_to_forget(installation):
    assert forget_ray_logs(installation, NOW) == 0
