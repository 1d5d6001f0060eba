"""A tracked run can be found, read and compared later; an absent MLflow is a quick, clear error."""

import json
import socket
from pathlib import Path
from time import perf_counter

import pytest
from mlflow import MlflowClient

from evaluation.gate import judge
from evaluation.judgments import Thresholds
from evaluation.record import Ingestion
from evaluation.tracking import EXPERIMENT, connect, fetch_record, log_run
from include.quarry.errors import NotFound, Unavailable


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> MlflowClient:
    folder = tmp_path_factory.mktemp("mlflow")
    client = connect(f"sqlite:///{folder / 'mlflow.db'}")
    client.create_experiment(EXPERIMENT, artifact_location=str(folder / "artifacts"))
    return client


def test_a_run_is_kept_whole(client: MlflowClient, make_record, tmp_path: Path) -> None:
    thresholds = Thresholds(at_least={"ndcg@10": 0.9}, at_most={"latency_p99_ms": 100})
    record = make_record(thresholds=thresholds, ingestion=Ingestion(documents=6, seconds=2))
    run_id = log_run(client, record, judge(record, thresholds))
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert run.data.metrics["ndcg_at_10"] == pytest.approx(0.5)
    assert run.data.metrics["ingestion_documents_per_s"] == pytest.approx(3)
    assert run.data.params["threshold.at_least.ndcg_at_10"] == "0.9"
    tags = run.data.tags
    assert (tags["suite"], tags["corpus"], tags["index_version"], tags["spec"]) == (
        record.suite,
        record.corpus,
        "v1",
        record.spec,
    )
    assert tags["verdict"] == "fail"
    assert "ndcg@10" in tags["verdict.reasons"]
    kept = {artifact.path for artifact in client.list_artifacts(run_id)}
    assert kept == {"run.json", "queries.json", "distribution.png"}
    table = json.loads(Path(client.download_artifacts(run_id, "queries.json", str(tmp_path))).read_text())
    assert len(table["data"]) == len(record.queries)
    assert fetch_record(client, run_id) == record


def test_an_unknown_run_is_not_found(client: MlflowClient) -> None:
    with pytest.raises(NotFound, match="no-such-run"):
        fetch_record(client, "no-such-run")


def test_an_absent_server_is_reported_at_once_with_the_way_around_it() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        started = perf_counter()
        with pytest.raises(Unavailable, match="--no-track"):
            connect(f"http://127.0.0.1:{reserved.getsockname()[1]}")
    assert perf_counter() - started < 10


def test_a_server_that_accepts_and_says_nothing_is_given_up_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Unavailable, match="--no-track"):
        connect(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout_s=0.2)


def test_a_file_store_is_refused_with_the_way_around_it(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="--no-track"):
        connect(tmp_path.as_uri())
