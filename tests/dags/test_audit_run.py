"""`audit_access` from end to end: an intact audit passes, a broken one fails the report and is told."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from include.quarry.audit.journal import Journal
from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.request_schema import audit_records, audit_seals
from include.quarry.settings import load_settings
from tests.unit.audit.entries import record


@pytest.fixture
def run_audit(
    airflow_database, dag_bag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], SimpleNamespace]:
    """Runs the Dag in this process, each task once, over a home of its own; MLflow is a file in it."""
    monkeypatch.setenv("QUARRY_HOME", str(tmp_path))
    mlflow = f"sqlite:///{tmp_path / 'mlflow.db'}"
    MlflowClient(tracking_uri=mlflow).create_experiment("quarry-audit", artifact_location=str(tmp_path / "artifacts"))
    monkeypatch.setenv("QUARRY_MLFLOW_ADDRESS", mlflow)
    load_settings.cache_clear()
    migrate(load_settings().catalog_url)
    dag = dag_bag.dags["audit_access"]
    for task in dag.tasks:
        monkeypatch.setattr(task, "retries", 0)  # the bag is shared with other tests

    def run() -> SimpleNamespace:
        run = dag.test()
        return SimpleNamespace(
            state=str(run.state), tasks={ti.task_id: str(ti.state) for ti in run.get_task_instances()}
        )

    yield run
    load_settings.cache_clear()


def test_an_intact_audit_is_sealed_and_a_broken_one_fails_its_report(
    run_audit: Callable[[], SimpleNamespace], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    journal = Journal(tmp_path / "audit", "gateway")
    for number in range(4):
        journal.append(record(f"q{number}"))
    journal.close()
    assert run_audit().state == "success"
    database = Database(load_settings().catalog_url)
    with database.write() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(audit_seals)) == 1
        connection.execute(sa.delete(audit_records).where(audit_records.c.number == 2))
    database.close()
    run = run_audit()
    assert run.tasks == {"inspect": "success", "report": "failed"}
    assert "is gone from between its neighbours" in "".join(capfd.readouterr())
    assert len(list((tmp_path / "audit-reports").glob("*/access.html"))) == 2


def test_nothing_is_reported_that_was_not_verified(dag_bag) -> None:
    assert dag_bag.dags["audit_access"].get_task("report").upstream_task_ids == {"inspect"}
