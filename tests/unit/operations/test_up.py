"""What is done before and while the parts start."""

import json
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from include.quarry.operations.airflow_api import read_password
from include.quarry.operations.health import is_healthy
from include.quarry.operations.programs import Program, programs_of
from include.quarry.operations.up import _migrate_airflow, choose_password, forget_sessions, stages


def test_airflow_starts_no_task_before_it_can_hear_of_it(installation):
    ray_first, then, last = ([part.name for part in stage] for stage in stages(programs_of(installation)))
    assert set(ray_first) == {"ray", "mlflow"}
    assert "airflow-api" in then
    assert last == ["airflow-scheduler"]
    assert len({*ray_first, *then, *last}) == len(programs_of(installation))


def test_airflow_finds_a_password_and_so_prints_none(installation):
    installation.prepare()
    choose_password(installation)
    password = read_password(installation.airflow_passwords)
    assert len(password) >= 16
    choose_password(installation)
    assert json.loads(installation.airflow_passwords.read_text()) == {"admin": password}


def test_the_logs_of_earlier_starts_do_not_pile_up(installation):
    names = [f"session_2026-11-{day:02}_10-00-00_000000_1" for day in range(1, 8)]
    for name in names:
        (installation.ray / name / "logs").mkdir(parents=True)
    (installation.ray / "session_latest").symlink_to(names[-1])
    forget_sessions(installation)
    kept = {path.name for path in installation.ray.iterdir()}
    assert kept == {"session_latest", *names[-4:]}


def test_an_airflow_database_that_was_removed_is_made_anew(installation):
    installation.prepare()
    parts = programs_of(installation)
    for _ in range(2):
        _migrate_airflow(installation, parts)
        with closing(sqlite3.connect(installation.airflow_database)) as connection:
            assert connection.execute("SELECT count(*) FROM dag_run").fetchone() == (0,)
        installation.airflow_database.unlink()


@pytest.mark.parametrize("said", ["[]", "null", '{"scheduler": null}', "hello", '"scheduler"'])
def test_a_stranger_at_the_port_of_a_part_is_not_its_health(said):
    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_arguments): ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/health"
        assert not is_healthy(Program("airflow-scheduler", (), health_url=url, health_key="scheduler"))
        server.shutdown()
