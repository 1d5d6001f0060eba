"""What every Dag file promises: it parses quickly, imports nothing heavy, and shares the skeleton."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.dags.airflow_home import ROOT

FILES = sorted((ROOT / "dags").glob("*.py"))
PARSE = """
import json, os, sys, time
from airflow.dag_processing.dagbag import DagBag

for file in sys.argv[1:]:
    if os.fork():  # as the Dag processor does: each file in a fresh child of a process that knows Airflow
        os.wait()
        continue
    started = time.process_time()
    bag = DagBag(file, bundle_name="dags-folder")
    seconds = time.process_time() - started
    heavy = sorted({"torch", "ray", "mlflow", "openvino", "faiss", "pyarrow"} & set(sys.modules))
    found = {"file": file, "seconds": seconds, "heavy": heavy, "dags": list(bag.dags), "errors": bag.import_errors}
    print("RESULT", json.dumps(found), flush=True)
    os._exit(0)
"""


@pytest.fixture(scope="module")
def parsed() -> dict[str, dict[str, Any]]:
    """How each file parsed, in a process that has seen none of our modules."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PARSE, *map(str, FILES)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=True)
    results = [json.loads(line.removeprefix("RESULT ")) for line in done.stdout.splitlines() if line.startswith("RES")]
    return {result["file"]: result for result in results}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dag_file_parses_in_three_seconds_of_processor_time_and_imports_nothing_heavy(parsed, file) -> None:
    result = parsed[str(file)]
    assert result["errors"] == {}
    assert result["dags"] == [file.stem]
    assert result["heavy"] == []
    assert result["seconds"] < 3


def test_the_folder_holds_these_dags_without_an_error(dag_bag) -> None:
    assert dag_bag.import_errors == {}
    assert {"ingest_documents", "backfill_embeddings", "reindex_corpus", "evaluate_relevance"} <= set(dag_bag.dags)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dag_is_named_after_its_file_and_explained_by_its_docstring(dag_bag, file) -> None:
    dag = dag_bag.dags[file.stem]
    assert dag.fileloc == str(file)
    assert len(dag.doc_md.strip().splitlines()) > 2
    assert dag.description == dag.doc_md.strip().splitlines()[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dag_file_is_a_table_of_contents(file) -> None:
    assert len(file.read_text().splitlines()) <= 120


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_dag_shares_the_skeleton(dag_bag, file) -> None:
    dag = dag_bag.dags[file.stem]
    assert dag.catchup is False
    assert dag.max_active_runs == (100 if file.stem == "reindex_corpus" else 1)
    assert "quarry" in dag.tags
    for task in dag.tasks:
        assert task.owner == "quarry"
        assert (task.execution_timeout or task.response_timeout) is not None
        assert [callback.__name__ for callback in task.on_failure_callback] == ["notify_failure"]
        assert task.retries == (0 if task.task_id == "judge" else 2)


@pytest.mark.parametrize("name", ["main; rm -rf /", "$(id)", "", "a/b", "-flag"])
def test_a_name_that_a_shell_could_misread_is_refused(dag_bag, name: str) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    for dag in dag_bag.dags.values():
        for param in {"corpus", "tenant"} & set(dag.params):
            with pytest.raises(ParamValidationError):
                dag.params.get_param(param).resolve(name)
