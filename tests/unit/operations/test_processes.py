import os
import subprocess
import sys

import psutil
import pytest

from include.quarry.operations.installation import MARK
from include.quarry.operations.processes import describe, end, is_alive, processes_of
from include.quarry.operations.programs import PART

STUBBORN = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]], env={})"
PLAIN = "import time; print(flush=True); time.sleep(60)"


@pytest.fixture
def start():
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str, **variables: str) -> psutil.Process:
        process = subprocess.Popen(
            [sys.executable, "-c", *arguments], env={**os.environ, **variables}, stdout=subprocess.PIPE
        )
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()  # it has set itself up
        return psutil.Process(process.pid)

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_a_marked_process_is_ours_and_a_stranger_is_not(installation, start):
    ours = start(PLAIN, **{MARK: str(installation.home), PART: "ray"})
    stranger = start(PLAIN, **{MARK: "/another/home"})
    assert processes_of(installation) == {ours}
    assert stranger not in processes_of(installation)


def test_only_the_named_part_is_found(installation, start):
    ray = start(PLAIN, **{MARK: str(installation.home), PART: "ray"})
    start(PLAIN, **{MARK: str(installation.home), PART: "mlflow"})
    assert processes_of(installation, "ray") == {ray}


def test_children_that_lost_the_mark_are_ours_too(installation, start):
    parent = start(PARENT, PLAIN, **{MARK: str(installation.home), PART: "ray"})
    assert processes_of(installation) == {parent, *parent.children()}
    assert len(parent.children()) == 1
    end(processes_of(installation), patience_s=2)


def test_a_command_that_names_our_folders_is_ours(installation, start):
    ours = start(PLAIN, f"--session-dir={installation.ray}/session_1")
    assert processes_of(installation) == {ours}


def test_this_process_is_never_ours_to_end(installation, monkeypatch):
    monkeypatch.setenv(MARK, str(installation.home))
    assert psutil.Process() not in processes_of(installation)


def test_a_process_that_ignores_the_request_is_killed(start):
    process = start(STUBBORN)
    assert end({process}, patience_s=0.3) == set()
    assert not is_alive(process)


def test_a_description_names_pid_and_command(start):
    process = start(PLAIN)
    assert str(process.pid) in describe(process)
    assert "time.sleep" in describe(process)
