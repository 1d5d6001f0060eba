"""The ways to ask stand side by side in MLflow, each as a run with the same measures."""

import json
from datetime import UTC, datetime
from pathlib import Path

from evaluation.answer_record import TierRun, TiersRecord
from evaluation.tracking import TIERS_EXPERIMENT, connect, log_tiers

from .test_answer_record import answer


def test_each_way_to_ask_is_a_run_with_the_same_measures(tmp_path: Path) -> None:
    client = connect(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.create_experiment(TIERS_EXPERIMENT, artifact_location=str(tmp_path / "artifacts"))
    runs = tuple(TierRun(wanted=each, answers=(answer("1", matched=True), answer())) for each in ("fast", "deep"))
    models = {"fast": "small", "deep": "large"}
    kept = log_tiers(client, TiersRecord(suite="s", started_at=datetime.now(UTC), models=models, runs=runs))
    fast, deep = (client.get_run(run_id) for run_id in kept)
    assert fast.data.metrics.keys() == deep.data.metrics.keys() == runs[0].measures.keys()
    assert (fast.data.tags["tier"], deep.data.tags["tier"]) == ("fast", "deep")
    assert fast.data.params["model.deep"] == "large"
    table = json.loads(Path(client.download_artifacts(kept[0], "answers.json", str(tmp_path))).read_text())
    assert len(table["data"]) == 2
