"""What a command asks of Airflow's REST API: start a run, see how runs and their tasks fare."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from include.quarry.errors import Unavailable

USER = "admin"
FINAL_STATES = frozenset({"success", "failed"})
_DAG_PATIENCE_S = 120.0
_REPEAT_AFTER_S = (1.0, 2.0, 4.0)
"""Waits before a request is made again that Airflow failed on: under load its database is locked now and then."""


class DagRun(NamedTuple):
    """A run of a DAG and its state: queued, running, success or failed."""

    dag_id: str
    run_id: str
    state: str


class AirflowApi:
    """A logged-in client. Raises `Unavailable` when Airflow does not answer as it should.

    What Airflow answers with a 5xx is asked again: every request here may be repeated.
    """

    def __init__(self, url: str, password: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)
        login = self._call("POST", "/auth/token", json={"username": USER, "password": password})
        self._client.headers["Authorization"] = f"Bearer {login['access_token']}"

    def wait_for_dag(self, dag_id: str) -> None:
        """Wait until the DAG has been read and let it run; right after a start, that takes a while."""
        deadline = time.monotonic() + _DAG_PATIENCE_S
        while self._ask("GET", f"/api/v2/dags/{dag_id}").status_code == httpx.codes.NOT_FOUND:
            if time.monotonic() > deadline:
                raise Unavailable(f"Airflow does not know the DAG {dag_id!r}; see `make logs PART=airflow-dag`")
            time.sleep(1.0)
        self._call("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: Mapping[str, str]) -> DagRun:
        """Start a run by hand, once, also where Airflow started it and failed to say so."""
        self.wait_for_dag(dag_id)
        run_id = f"manual__{datetime.now(UTC).isoformat()}"
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        runs = f"/api/v2/dags/{dag_id}/dagRuns"
        response = self._ask("POST", runs, json=body)
        if response.status_code == httpx.codes.CONFLICT:  # the id is ours alone, so it is a repeated request's
            return _run(self._call("GET", f"{runs}/{run_id}"))
        return _run(_answer(response))

    def look(self, run: DagRun) -> DagRun:
        """The run as it is now."""
        return _run(self._call("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}"))

    def newest_since(self, dag_id: str, since: datetime) -> DagRun | None:
        """The newest run that was queued at or after `since`, however it was started."""
        options = {"run_after_gte": since.isoformat(), "order_by": "-run_after", "limit": "1"}
        runs = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params=options)["dag_runs"]
        return _run(runs[0]) if runs else None

    def failed_tasks(self, run: DagRun) -> list[tuple[str, int]]:
        """Task id and attempt of every task of the run that failed."""
        tasks = self._call("GET", f"/api/v2/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances")["task_instances"]
        return [(task["task_id"], task["try_number"]) for task in tasks if task["state"] == "failed"]

    def _call(self, method: str, path: str, **options: Any) -> Any:
        return _answer(self._ask(method, path, **options))

    def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = self._client.request(method, path, **options)
            for wait_s in _REPEAT_AFTER_S:
                if not response.is_server_error:
                    break
                time.sleep(wait_s)
                response = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Unavailable(f"Airflow does not answer {method} {path}: {error}") from error
        return response


def read_password(path: Path) -> str:
    """The password of Airflow's `admin`. Raises `Unavailable` before the first start."""
    try:
        return str(json.loads(path.read_text())[USER])
    except (OSError, ValueError, KeyError) as error:
        raise Unavailable(f"{path}, which `make up` writes, tells no password for Airflow: {error}") from error


def _run(document: Mapping[str, Any]) -> DagRun:
    return DagRun(document["dag_id"], document["dag_run_id"], document["state"])


def _answer(response: httpx.Response) -> Any:
    if response.is_error:
        asked = f"{response.request.method} {response.request.url.path}"
        raise Unavailable(f"Airflow answers {asked} with {response.status_code}: {response.text[:500]}")
    return response.json()
