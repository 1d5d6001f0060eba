"""An inspection leaves a page for people, in MLflow too; and its seals are held against those that were kept there."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from mlflow.exceptions import MlflowException

from evaluation.access_session import report_access
from evaluation.command import main
from evaluation.tracking import AUDIT_EXPERIMENT, connect, kept_seals
from include.quarry.audit.inspection import inspect
from include.quarry.audit.journal import Journal
from include.quarry.catalog.database import Database, migrate
from include.quarry.catalog.request_schema import audit_records, audit_seals
from include.quarry.errors import NotFound, Unavailable
from include.quarry.settings import Settings, load_settings
from tests.unit.audit.entries import record

NOW = datetime.now(UTC)
SINCE, UNTIL = NOW - timedelta(days=1), NOW + timedelta(days=1)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A home in which a process has answered five times, and died."""
    monkeypatch.setenv("QUARRY_HOME", str(tmp_path))
    load_settings.cache_clear()
    made = load_settings()
    migrate(made.catalog_url)
    journal = Journal(tmp_path / "audit", "gateway")
    for number in range(5):
        journal.append(record(f"q{number}", at=NOW, subject="<script>"))
    journal.close()
    yield made
    load_settings.cache_clear()


@pytest.fixture
def mlflow(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'mlflow.db'}"
    connect(url).create_experiment(AUDIT_EXPERIMENT, artifact_location=str(tmp_path / "artifacts"))
    return url


def change(settings: Settings, statement: sa.Executable) -> None:
    database = Database(settings.catalog_url)
    with database.write() as connection:
        connection.execute(statement)
    database.close()


def test_an_intact_audit_leaves_a_page_and_its_seal_in_mlflow(settings: Settings, mlflow: str) -> None:
    found = inspect(settings)
    assert (found["seal"], found["records"], found["new"]) == (1, 5, [])
    page, inspection, run_id = report_access(SINCE, UNTIL, settings, mlflow)
    assert inspection.outcome == "clean"
    text = page.read_text()
    assert "The chains are intact" in text
    assert f"1:{found['hash']}" in text
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    client = connect(mlflow)
    assert kept_seals(client) == {1: found["hash"]}
    assert {each.path for each in client.list_artifacts(run_id)} == {"access.html", "seal.json"}


def test_a_broken_chain_is_told_once_and_then_known(settings: Settings, mlflow: str) -> None:
    inspect(settings)
    change(settings, sa.delete(audit_records).where(audit_records.c.number == 3))
    assert len(inspect(settings)["new"]) == 1
    page, inspection, _ = report_access(SINCE, UNTIL, settings, mlflow)
    assert inspection.outcome == "broken"
    assert "The chains are broken" in page.read_text()
    found = inspect(settings)
    assert (len(found["findings"]), found["new"]) == (1, [])
    page, inspection, _ = report_access(SINCE, UNTIL, settings, mlflow)
    assert inspection.outcome == "clean"
    assert "Known from earlier seals" in page.read_text()


def test_an_audit_forged_with_its_seals_does_not_fit_what_mlflow_has_kept(settings: Settings, mlflow: str) -> None:
    inspect(settings)
    report_access(SINCE, UNTIL, settings, mlflow)
    change(settings, sa.delete(audit_seals))
    assert inspect(settings)["findings"] == [], "from inside it cannot be seen"
    _, inspection, _ = report_access(SINCE, UNTIL, settings, mlflow)
    assert [finding.kind for finding in inspection.new] == ["replaced"]


def test_what_was_never_sealed_cannot_be_reported(settings: Settings) -> None:
    with pytest.raises(NotFound, match="audit_access"):
        report_access(SINCE, UNTIL, settings, None)


def test_the_command_ends_with_1_when_the_audit_is_broken(
    settings: Settings, mlflow: str, capsys: pytest.CaptureFixture[str]
) -> None:
    inspect(settings)
    times = ["--since", SINCE.isoformat(), "--until", UNTIL.isoformat()]
    assert main(["access", *times, "--mlflow", mlflow]) == 0
    change(settings, sa.delete(audit_records).where(audit_records.c.number == 5))
    inspect(settings)
    assert main(["access", *times, "--mlflow", mlflow]) == 1
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["outcome"] == "broken"
    assert "ends at number 4" in said["reasons"][0]["text"]
    assert connect(mlflow).get_experiment_by_name(AUDIT_EXPERIMENT) is not None


def test_records_past_their_retention_are_gone_and_the_audit_still_fits(settings: Settings) -> None:
    inspect(settings)
    short = settings.model_copy(update={"audit_retention_s": 1e-6})
    inspect(short)
    found = inspect(short)
    assert (found["records"], found["findings"]) == (0, [])


def test_what_an_inspection_found_is_told_though_it_was_run_again_before_its_report(
    settings: Settings, mlflow: str
) -> None:
    inspect(settings)
    report_access(SINCE, UNTIL, settings, mlflow)
    change(settings, sa.delete(audit_records).where(audit_records.c.number == 3))
    inspect(settings)  # it was killed before its task could end, and so came twice
    inspect(settings)
    _, inspection, _ = report_access(SINCE, UNTIL, settings, mlflow)
    assert [finding.kind for finding in inspection.new] == ["missing"]
    inspect(settings)
    _, inspection, _ = report_access(SINCE, UNTIL, settings, mlflow)
    assert ([*inspection.new], [finding.kind for finding in inspection.known]) == ([], ["missing"])


def test_a_report_that_mlflow_did_not_keep_has_told_nobody(
    settings: Settings, mlflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect(settings)
    change(settings, sa.delete(audit_records).where(audit_records.c.number == 3))
    inspect(settings)
    with monkeypatch.context() as away:
        away.setattr("evaluation.tracking.MlflowClient.log_artifact", _refuse)
        with pytest.raises(Unavailable):
            report_access(SINCE, UNTIL, settings, mlflow)
    inspect(settings)
    _, inspection, _ = report_access(SINCE, UNTIL, settings, mlflow)
    assert inspection.outcome == "broken"


def test_a_record_that_was_made_unreadable_is_reported_and_not_stumbled_over(settings: Settings, mlflow: str) -> None:
    inspect(settings)
    change(settings, sa.update(audit_records).where(audit_records.c.number == 3).values(body="\x00 no record"))
    inspect(settings)
    _, inspection, _ = report_access(SINCE, UNTIL, settings, mlflow)
    assert {finding.kind for finding in inspection.new} == {"edited"}
    assert inspection.reads.records == 5


def _refuse(*_: object) -> None:
    raise MlflowException("the disk is full")
