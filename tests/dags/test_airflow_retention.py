"""`maintain_airflow` on a real metadata database, to which a scheduler writes meanwhile: what is over goes, no more."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from include.quarry.operations.installation import Installation
from include.quarry.settings import load_settings
from tests.dags.airflow_home import ROOT

NOW = datetime.now(UTC)
OLD_DAYS, YOUNG_DAYS = 100, 80
_NOT_FOR_TASKS = "airflow-db-not-allowed:///"  # what the supervisor of a task puts in the place of the database


@dataclass
class Platform:
    """A home with an Airflow database, filled as the scheduler would have filled it."""

    home: Path
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**6)))

    @property
    def database(self) -> Path:
        return self.home / "airflow" / "airflow.db"

    def insert(self, model: type, **values: object) -> int:
        with sa.create_engine(f"sqlite:///{self.database}").begin() as connection:
            (key,) = connection.execute(sa.insert(model).values(**values)).inserted_primary_key[:1]
            return key

    def names(self, query: str) -> set[str]:
        with closing(sqlite3.connect(self.database)) as connection:
            return {row[0] for row in connection.execute(query)}

    def runs(self, dag_id: str) -> set[str]:
        return self.names(f"SELECT run_id FROM dag_run WHERE dag_id = '{dag_id}'")

    def run(
        self,
        dag_id: str,
        name: str,
        ended_days: int,
        kind: str = "scheduled",
        of_task: UUID | None = None,
        **more: object,
    ) -> None:
        """A run with a task that left an XCom and a log; logical dates are in the order of the calls."""
        from airflow.models.dagrun import DagRun
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.xcom import XComModel

        number, ended = next(self.numbers), NOW - timedelta(days=ended_days)
        day = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number)
        values = {"state": "success", "logical_date": day, "run_after": day, "start_date": ended, "end_date": ended}
        of_run = {"dag_id": dag_id, "run_id": name}
        run = self.insert(DagRun, **of_run, run_type=kind, clear_number=0, **(values | more))
        task = {**of_run, "task_id": "work", "map_index": -1}
        place = {"pool": "default_pool", "pool_slots": 1, "dag_version_id": of_task}
        self.insert(TaskInstance, **task, **place, id=uuid4(), try_number=1, start_date=ended)
        self.insert(XComModel, **task, dag_run_id=run, key="return_value", value=1, timestamp=ended)
        self.log(f"dag_id={dag_id}/run_id={name}/task_id=work/attempt=1.log", ended_days)

    def log(self, name: str, days: int) -> Path:
        path = self.home / "logs" / "airflow" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("said\n")
        written = (NOW - timedelta(days=days)).timestamp()
        os.utime(path, (written, written))
        return path

    def clean(self, **more: str) -> str:
        """Have it run to its end; returns what it said."""
        done = self.command(**more)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def command(self, **more: str) -> subprocess.CompletedProcess[str]:
        """Run the command as a task of the Dag would, with Airflow's database out of reach."""
        names = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN")
        environment = {**os.environ, **dict.fromkeys(names, _NOT_FOR_TASKS), "QUARRY_HOME": str(self.home), **more}
        command = [sys.executable, "-m", "include.quarry", "clean-airflow"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def platform(airflow_database: None, tmp_path: Path) -> Platform:
    from airflow.settings import get_engine

    platform = Platform(tmp_path)
    platform.database.parent.mkdir()
    with (
        closing(sqlite3.connect(str(get_engine().url.database))) as migrated,
        closing(sqlite3.connect(platform.database)) as ours,
    ):
        migrated.backup(ours)
        ours.execute("PRAGMA journal_mode=WAL")
        for table in ("xcom", "task_instance", "dag_run", "dag_version", "log", "asset_event"):  # of other tests
            ours.execute(f"DELETE FROM {table}")
        ours.commit()
    return platform


def test_runs_that_ended_long_ago_go_with_tasks_xcoms_and_logs_and_younger_ones_stay(platform: Platform) -> None:
    for name, days in (("old", OLD_DAYS), ("young", YOUNG_DAYS), ("last", 1)):
        platform.run("a", name, days)
    platform.clean()
    for table in ("dag_run", "task_instance", "xcom"):
        assert platform.names(f"SELECT run_id FROM {table}") == {"young", "last"}, table
    logs = platform.home / "logs" / "airflow" / "dag_id=a"
    assert {path.name for path in logs.iterdir()} == {"run_id=young", "run_id=last"}


def test_the_retention_is_a_setting(platform: Platform) -> None:
    for name, days in (("old", OLD_DAYS), ("young", YOUNG_DAYS), ("last", 1)):
        platform.run("a", name, days)
    platform.clean(QUARRY_AIRFLOW_RETENTION_S=str(86_400 * (YOUNG_DAYS - 1)))
    assert platform.runs("a") == {"last"}


def test_the_last_run_of_a_dag_stays_with_its_tasks_however_old(platform: Platform) -> None:
    for name in ("first", "last"):
        platform.run("resting", name, OLD_DAYS)
    for name in ("by_hand_first", "by_hand_last"):
        platform.run("resting", name, OLD_DAYS, kind="manual", logical_date=None)
    platform.clean()
    assert platform.runs("resting") == {"last", "by_hand_last"}
    assert platform.names("SELECT run_id FROM task_instance") == {"last", "by_hand_last"}


def test_a_run_that_stays_keeps_its_logs_however_old(platform: Platform) -> None:
    platform.run("a", "waits_for_a_person", OLD_DAYS, kind="manual", state="running", end_date=None)
    for name in ("first", "last"):
        platform.run("a", name, OLD_DAYS)
    platform.clean()
    logs = platform.home / "logs" / "airflow" / "dag_id=a"
    assert {path.parents[1].name for path in logs.rglob("*.log")} == {"run_id=waits_for_a_person", "run_id=last"}


def test_the_run_after_which_the_schedule_goes_on_stays_also_when_assets_start_runs_too(platform: Platform) -> None:
    platform.run("a", "scheduled", OLD_DAYS, logical_date=datetime(2026, 1, 2, tzinfo=UTC))
    platform.run("a", "made_later_for_an_earlier_day", OLD_DAYS, logical_date=datetime(2019, 1, 1, tzinfo=UTC))
    platform.run("a", "between", OLD_DAYS, kind="asset_triggered", logical_date=None)
    platform.run("a", "by_asset", 1, kind="asset_triggered", logical_date=None)
    platform.clean()
    assert platform.runs("a") == {"scheduled", "made_later_for_an_earlier_day", "by_asset"}


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_run_that_has_not_ended_stays(platform: Platform, state: str) -> None:
    platform.run("a", "waits_for_a_person", OLD_DAYS, state=state, end_date=None)
    platform.run("a", "cleared", OLD_DAYS, state=state)
    platform.run("a", "last", 1)
    platform.clean()
    assert platform.runs("a") == {"waits_for_a_person", "cleared", "last"}


def test_what_a_backfill_works_on_stays_until_it_is_complete(platform: Platform) -> None:
    from airflow.models.backfill import Backfill

    span = {"from_date": NOW, "to_date": NOW, "max_active_runs": 1, "dag_run_conf": {}, "is_paused": False}
    ways = {"reprocess_behavior": "none", "created_at": NOW, "updated_at": NOW}
    at_work = platform.insert(Backfill, dag_id="a", **span, **ways, completed_at=None)
    complete = platform.insert(Backfill, dag_id="a", **span, **ways, completed_at=NOW)
    for number in range(2):
        platform.run("a", f"at_work_{number}", OLD_DAYS, kind="backfill", backfill_id=at_work)
        platform.run("a", f"complete_{number}", OLD_DAYS, kind="backfill", backfill_id=complete)
    platform.run("a", "last", 1, kind="backfill", backfill_id=at_work)
    platform.clean()
    assert platform.runs("a") == {"at_work_0", "at_work_1", "last"}


def test_a_dag_version_goes_when_no_run_knows_it_and_a_newer_one_is_there(platform: Platform) -> None:
    from airflow.models.dag import DagModel
    from airflow.models.dag_version import DagVersion
    from airflow.models.dagbundle import DagBundleModel

    platform.insert(DagBundleModel, name="b", signed_url_template=None)
    limits = {"max_active_tasks": 1, "max_consecutive_failed_dag_runs": 0, "has_task_concurrency_limits": False}
    old, versions = NOW - timedelta(days=OLD_DAYS), {}
    for dag_id, count in (("a", 5), ("alone", 1)):
        platform.insert(DagModel, dag_id=dag_id, bundle_name="b", fileloc="f", **limits)
        for number in range(1, count + 1):
            key = versions[dag_id, number] = uuid4()
            platform.insert(DagVersion, id=key, dag_id=dag_id, version_number=number, created_at=old, last_updated=old)
    platform.run("a", "old", OLD_DAYS, created_dag_version_id=versions["a", 1])
    platform.run("a", "last", 1, created_dag_version_id=versions["a", 2], of_task=versions["a", 3])
    platform.clean()
    left = platform.names("SELECT dag_id || version_number FROM dag_version")
    assert left == {"a2", "a3", "a5", "alone1"}


def test_rows_and_events_go_by_their_age(platform: Platform) -> None:
    from airflow.models.asset import AssetEvent
    from airflow.models.log import Log

    for name, days in (("old", OLD_DAYS), ("young", YOUNG_DAYS)):
        then = NOW - timedelta(days=days)
        for _ in range(3):
            platform.insert(Log, event=name, dttm=then)
        platform.insert(AssetEvent, asset_id=1, source_dag_id=name, source_map_index=-1, timestamp=then, extra={})
    platform.clean()
    assert platform.names("SELECT event FROM log") == {"young"}
    assert platform.names("SELECT source_dag_id FROM asset_event") == {"young"}
    assert platform.names("SELECT name FROM sqlite_master WHERE name LIKE '_airflow_deleted%'") == set()


def test_of_files_only_old_logs_of_tasks_go(platform: Platform, tmp_path: Path) -> None:
    run = "dag_id=a/run_id=r"
    mapped = platform.log(f"{run}/task_id=t/map_index=3/attempt=1.log", OLD_DAYS)
    trigger = platform.log(f"{run}/task_id=t/attempt=2.log.trigger.7.log", OLD_DAYS)
    retried = platform.log("dag_id=a/run_id=s/task_id=t/attempt=1.log", OLD_DAYS)
    outside = platform.log("../../elsewhere/task_id=t/attempt=1.log", OLD_DAYS)
    link = platform.home / "logs" / "airflow" / "dag_id=a" / "run_id=linked"
    link.symlink_to(outside.parent.parent)
    kept = [
        outside,
        platform.log("dag_id=a/run_id=s/task_id=t/attempt=2.log", YOUNG_DAYS),
        platform.log("dag_id=a/run_id=u/task_id=t/notes.txt", OLD_DAYS),
        platform.log("scheduler.log", OLD_DAYS),
        platform.log("other/attempt=1.log", OLD_DAYS),
    ]
    assert "removed 3 log files" in platform.clean()
    assert not any(path.exists() for path in (mapped, trigger, retried, mapped.parents[2]))
    assert all(path.exists() for path in kept)


def test_what_the_reading_of_dag_files_said_goes_by_days(platform: Platform) -> None:
    """Airflow begins a folder a day, and writes a line to it for each file, twice a minute."""
    said = platform.home / "airflow" / "logs" / "dag_processor"
    old, young, today = (str((NOW - timedelta(days=days)).date()) for days in (OLD_DAYS, YOUNG_DAYS, 0))
    for name in (old, young, today, "notes"):
        (said / name / "dags-folder").mkdir(parents=True)
        (said / name / "dags-folder" / "a.py.log").write_text("said\n")
    (said / "latest").symlink_to(today)
    assert "1 days of logs" in platform.clean()
    assert {path.name for path in said.iterdir()} == {young, today, "notes", "latest"}
    assert (said / "latest" / "dags-folder" / "a.py.log").exists()


def test_a_scheduler_that_writes_meanwhile_never_waits_for_long(platform: Platform) -> None:
    """2000 old runs and 5000 old rows; SQLite gives up after 5 s, the scheduler's default, and no wait is near it."""
    for name in ("pattern", "last"):
        platform.run("a", name, OLD_DAYS)
    day = "datetime(logical_date, '-' || n || ' seconds')"
    new_ids = {"dag_run": "id - n", "task_instance": "lower(hex(randomblob(16)))"}
    with closing(sqlite3.connect(platform.database)) as connection:
        for table, new_id in new_ids.items():
            known = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            new = {"id": new_id, "run_id": "run_id || n", "logical_date": day}
            chosen = ", ".join(new.get(column, column) for column in known)
            connection.execute(
                f"WITH RECURSIVE c(n) AS (SELECT 10 UNION ALL SELECT n + 1 FROM c WHERE n < 2009) "
                f"INSERT INTO {table} SELECT {chosen} FROM {table}, c WHERE run_id = 'pattern'"
            )
        connection.execute(
            "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000) "
            "INSERT INTO log (event, dttm) SELECT 'old', '2020-01-01 00:00:00' FROM c"
        )
        connection.execute("CREATE TABLE heartbeat (beats INTEGER)")
        connection.commit()
    waits, done = [], threading.Event()

    def schedule() -> None:
        with closing(sqlite3.connect(platform.database)) as connection:
            while not done.is_set():
                begun = time.monotonic()
                connection.execute("INSERT INTO heartbeat VALUES (1)")
                connection.commit()
                waits.append(time.monotonic() - begun)
                done.wait(0.005)

    scheduler = threading.Thread(target=schedule)
    scheduler.start()
    try:
        said = platform.clean()
    finally:
        done.set()
        scheduler.join()
    assert platform.runs("a") == {"last"}
    assert "removed 2001 runs" in said
    assert platform.names("SELECT event FROM log") == set()
    assert len(waits) > 50
    assert max(waits) < 4


@pytest.mark.parametrize("revision", [None, "of_another_airflow"])
def test_a_database_without_this_airflows_tables_is_said_and_left_alone(
    platform: Platform, revision: str | None
) -> None:
    if revision is None:
        platform.database.unlink()
        platform.database.touch()  # as a `make up` leaves it that was killed before it migrated
    else:
        platform.run("a", "old", OLD_DAYS)
        platform.run("a", "last", 1)
        with closing(sqlite3.connect(platform.database)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
            connection.commit()
    done = platform.command()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"Temporarily unavailable: Airflow's database sqlite:///{platform.database} is not there")
    assert revision is None or revision in said
    assert "`make up` makes it" in said
    assert revision is None or platform.runs("a") == {"old", "last"}


def test_a_database_elsewhere_that_does_not_answer_is_said_without_its_password(platform: Platform) -> None:
    at_nobody = "postgresql+psycopg2://quarry:hidden@127.0.0.1:1/airflow"
    done = platform.command(
        QUARRY_AIRFLOW_ADDRESS="http://airflow:8080",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=at_nobody,
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC="sqlite+aiosqlite://",  # asyncpg comes with the containers only
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "postgresql+psycopg2://quarry:***@127.0.0.1:1/airflow" in done.stderr
    assert "hidden" not in done.stderr + done.stdout
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in done.stderr


@pytest.fixture
def installation(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    monkeypatch.setenv("QUARRY_HOME", str(platform.home))
    load_settings.cache_clear()
    installation = Installation(load_settings())
    yield installation
    load_settings.cache_clear()
    shutil.rmtree(installation.sockets, ignore_errors=True)  # where Ray's sessions are when home's path is long


def test_the_dag_cleans_the_embedded_airflow_and_ray_and_leaves_others_alone(
    platform: Platform, installation: Installation, dag_bag, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "last"):
        platform.run("a", name, OLD_DAYS)
    folder = installation.ray / "session_2026-01-01_00-00-00_000000_1" / "logs"
    ray_logs = {platform.log(str(folder / f"worker-{days}.out"), days) for days in (OLD_DAYS, YOUNG_DAYS)}
    dag = dag_bag.dags["maintain_airflow"]
    for task in dag.tasks:
        monkeypatch.setattr(task, "retries", 0)
    for elsewhere, state in ((True, "skipped"), (False, "success")):
        monkeypatch.setenv("QUARRY_AIRFLOW_ADDRESS", "http://airflow:8080" if elsewhere else "")
        monkeypatch.setenv("QUARRY_RAY_ADDRESS", "http://ray:8265" if elsewhere else "")
        load_settings.cache_clear()
        states = {ti.task_id: str(ti.state) for ti in dag.test().get_task_instances()}
        assert states == {"clean_airflow": state, "forget_ray_logs": state}
        assert platform.runs("a") == ({"old", "last"} if elsewhere else {"last"})
        assert set(folder.iterdir()) == (ray_logs if elsewhere else {folder / f"worker-{YOUNG_DAYS}.out"})
