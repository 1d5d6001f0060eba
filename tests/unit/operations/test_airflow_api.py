"""Airflow is asked again where it failed, a run is started once, and what it says in the end is told."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI, HTTPException, Request

from include.quarry.errors import Unavailable
from include.quarry.operations import airflow_api
from include.quarry.operations.airflow_api import AirflowApi, DagRun, read_password
from tests.servers.asgi import serving


class LockedAirflow:
    """As much of Airflow's API as a run needs. A request that `failing` names is carried out, and answered with 500."""

    def __init__(self) -> None:
        self.failing: list[str] = []
        self.awake = False
        self.runs: dict[str, dict[str, object]] = {}
        self.app = FastAPI()
        self.app.post("/auth/token")(self.log_in)
        self.app.get("/api/v2/dags/{dag_id}")(self.show_dag)
        self.app.patch("/api/v2/dags/{dag_id}")(self.wake)
        self.app.post("/api/v2/dags/{dag_id}/dagRuns")(self.start)
        self.app.get("/api/v2/dags/{dag_id}/dagRuns/{run_id}")(self.show_run)

    async def log_in(self) -> dict[str, str]:
        self._fail("log_in")
        return {"access_token": "token"}

    async def show_dag(self, dag_id: str) -> dict[str, str]:
        return {"dag_id": dag_id}

    async def wake(self, dag_id: str) -> dict[str, str]:
        self.awake = True
        self._fail("wake")
        return {"dag_id": dag_id}

    async def start(self, dag_id: str, request: Request) -> dict[str, object]:
        body = await request.json()
        if body["dag_run_id"] in self.runs:
            raise HTTPException(409, "a run of this id exists")
        self.runs[body["dag_run_id"]] = {"dag_id": dag_id, "dag_run_id": body["dag_run_id"], "state": "queued"}
        self._fail("start")
        return self.runs[body["dag_run_id"]]

    async def show_run(self, run_id: str) -> dict[str, object]:
        return self.runs[run_id]

    def _fail(self, request: str) -> None:
        if request in self.failing:
            self.failing.remove(request)
            raise HTTPException(500, "database is locked")


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> LockedAirflow:
    monkeypatch.setattr(airflow_api, "_REPEAT_AFTER_S", (0.0, 0.0, 0.0))
    return LockedAirflow()


@pytest.fixture
def airflow(locked: LockedAirflow) -> Iterator[AirflowApi]:
    with serving(locked.app) as url:
        locked.failing = ["log_in"]
        yield AirflowApi(url, "sesame")


def test_a_dag_is_unpaused_though_the_database_is_locked_at_first(locked: LockedAirflow, airflow: AirflowApi) -> None:
    locked.failing = ["wake"] * 3
    airflow.wait_for_dag("reindex_corpus")
    assert locked.awake
    assert not locked.failing


def test_a_run_whose_start_went_unanswered_is_started_once(locked: LockedAirflow, airflow: AirflowApi) -> None:
    locked.failing = ["start"]
    run = airflow.trigger("reindex_corpus", {"corpus": "main"})
    assert [*locked.runs] == [run.run_id]
    assert airflow.look(run) == DagRun("reindex_corpus", run.run_id, "queued")


def test_an_airflow_that_goes_on_failing_is_unavailable_and_says_why(
    locked: LockedAirflow, airflow: AirflowApi
) -> None:
    locked.failing = ["wake"] * 4
    with pytest.raises(Unavailable, match=r"PATCH /api/v2/dags/reindex_corpus with 500: .*database is locked"):
        airflow.wait_for_dag("reindex_corpus")


def test_a_silent_airflow_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="POST /auth/token"):
        AirflowApi("http://127.0.0.1:9", "sesame")


def test_the_password_is_asked_for_too_early(tmp_path):
    with pytest.raises(Unavailable, match="password"):
        read_password(tmp_path / "absent.json")


def test_the_password_of_admin_is_read(tmp_path):
    path = tmp_path / "passwords.json"
    path.write_text('{"admin": "sesame"}')
    assert read_password(path) == "sesame"
