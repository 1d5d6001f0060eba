"""The platform on free ports, in a home of its own: it starts, is seen, does its work, and leaves nothing behind.

Its work is the loop, by Dags alone: documents shift, drift is found, a new version is built, tried and let in; or taken
off. Only files are written and the clock's work is done by hand (an ingestion, a look for drift). Everything else
follows from assets and tasks, as it does at night. One start serves all of it, so the tests follow each other.
"""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
import pytest

from include.quarry.operations.health import wait_until
from include.quarry.operations.ports import is_taken, ports_of
from include.quarry.operations.processes import is_alive, processes_of
from tests.integration.conftest import Platform
from tests.integration.loop import (
    Loop,
    asked_by_people,
    canary_of,
    damage,
    poison,
    python_passages,
    stone_passages,
)
from tests.processes import title_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def up(platform: Platform) -> Platform:
    """The platform, started."""
    started = platform.command("up")
    assert started.returncode == 0, started.stdout + started.stderr
    return platform


@pytest.fixture(scope="module")
def loop(up: Platform) -> Iterator[Loop]:
    """A corpus of 240 passages about Python, ingested and live."""
    with TemporaryDirectory() as folder:
        loop = Loop(up, Path(folder))
        loop.write("python", python_passages(240))
        began = datetime.now(UTC)
        assert loop.run("ingest_documents", folder=folder).state == "success"
        assert loop.follows("reindex_corpus", began).state == "success"
        with closing(loop.database):
            yield loop


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


def test_the_platform_starts_and_shows_itself(up):
    assert "already up" in up.command("up").stdout
    shown = up.command("status")

    def all_answer() -> bool:
        nonlocal shown
        shown = up.command("status")
        return shown.returncode == 0

    wait_until(all_answer, "every part to answer in time", timeout_s=120, tick=lambda _: None)
    for part in ("ray", "mlflow", "airflow-api", "airflow-scheduler", "airflow-dag-processor", "airflow-triggerer"):
        assert part in shown.stdout


def test_every_configured_port_is_on_loopback(up):
    listening = {
        connection.laddr.port: connection.laddr.ip
        for connection in psutil.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    for name, number in up.ports.items():
        assert listening.get(number, "").removeprefix("::ffff:") == "127.0.0.1", name


def test_a_message_on_a_topic_wakes_the_ingestion_before_its_hour(loop: Loop) -> None:
    began, told = datetime.now(UTC), 0

    def woken() -> bool:
        nonlocal told
        told += 1
        loop.tell(f"Bulletin {told}: the northern pit is open again.")
        run = loop.airflow.newest_since("ingest_documents", began)
        return run is not None and run.run_id.startswith("asset_triggered")

    loop.until(woken, "a run that a message started")
    assert loop.follows("ingest_documents", began).state == "success"
    loop.until(lambda: loop.last_told() == f"Bulletin {told}: the northern pit is open again.", "the last message")


def test_documents_of_another_kind_bring_a_new_version_without_anyone_asking(loop: Loop) -> None:
    before = loop.route()
    assert before is not None

    def is_replaced() -> bool:
        now = loop.route()
        return now is not None and now.live_version != before.live_version

    loop.write("stone", stone_passages(120))
    began = datetime.now(UTC)
    assert loop.run("ingest_documents", folder=str(loop.folder)).state == "success"
    assert loop.follows("backfill_embeddings", began).state == "success"
    began = datetime.now(UTC)
    drift = loop.run("detect_drift")
    assert (drift.state, loop.airflow.failed_tasks(drift)) == ("success", [])
    loop.until(is_replaced, "another version to be live")
    reindex = loop.follows("reindex_corpus", began)
    assert (reindex.state, loop.airflow.failed_tasks(reindex)) == ("success", [])
    after = loop.route()
    assert after is not None
    assert after.live_version != before.live_version
    assert after.previous_version == before.live_version
    assert after.candidate is None


def test_a_poisoned_candidate_ends_in_a_rollback_and_the_live_version_answers_on(loop: Loop) -> None:
    before = loop.route()
    assert before is not None
    run = loop.airflow.trigger("reindex_corpus", {"suite": ""})
    poisoned = poison(loop, run, loop.versions()[before.live_version].spec)
    assert loop.ended(run).state == "failed"
    assert loop.airflow.failed_tasks(run)[0][0] in ("shadow", "canary_5")
    after, version = loop.route(), loop.versions()[poisoned]
    assert after is not None
    assert (after.live_version, after.candidate) == (before.live_version, None)
    assert version.state == "failed"
    assert "overlap@10" in version.reason


def test_a_candidate_that_turns_bad_as_canary_is_taken_off_by_the_run_itself_and_no_request_fails(loop: Loop) -> None:
    before = loop.route()
    assert before is not None
    run = loop.airflow.trigger("reindex_corpus", {"suite": ""})
    with asked_by_people(loop) as answers:
        candidate = canary_of(loop)
        damage(Path(loop.versions()[candidate].snapshot))
        assert loop.ended(run).state == "failed"
        asked = len(answers)
        loop.until(lambda: len(answers) >= asked + 20, "people to be answered on")
    assert [status for status, _ in answers if status != httpx.codes.OK] == []
    assert {version for _, version in answers[asked + 5 :]} == {before.live_version}
    assert loop.airflow.failed_tasks(run)[0][0].startswith("canary_")
    after, version = loop.route(), loop.versions()[candidate]
    assert after is not None
    assert (after.live_version, after.candidate) == (before.live_version, None)
    assert version.state == "failed"
    assert version.reason.startswith("as canary")
    assert "failed on" in version.reason


def test_killed_parts_come_back(up):
    """haproxy and MLflow die without a word; both serve again, on the same ports."""
    settings = up.installation.settings
    victims = [
        process
        for process in processes_of(up.installation)
        if any(name in title_of(process) for name in ("haproxy.cfg", "mlflow server"))
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


def test_it_leaves_nothing(up):
    installation = up.installation
    ours = processes_of(installation)
    stopped = up.command("down")
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert [process for process in ours if is_alive(process)] == []
    assert processes_of(installation) == set()
    assert [port for port in ports_of(installation.settings) if is_taken(port.number, "127.0.0.1")] == []
    assert not installation.sockets.exists()
    assert "not running" in up.command("down").stdout
