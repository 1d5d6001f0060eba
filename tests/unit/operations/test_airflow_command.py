"""`python -m include.quarry airflow` is Airflow's own command line, on the platform's Airflow."""

import pytest

from include.quarry.__main__ import _parser
from include.quarry.operations import airflow_command
from include.quarry.operations.airflow_command import airflow
from include.quarry.operations.programs import environment_of, program

BACKFILL = ["backfill", "create", "--dag-id", "backfill_embeddings", "--from-date", "2026-11-01"]


@pytest.fixture
def started(monkeypatch):
    """What the process turned into: the file, its arguments and its environment."""
    found = []
    monkeypatch.setattr(airflow_command.os, "execvpe", lambda *what: found.append(what))
    return found


def test_the_command_sees_what_airflows_parts_see(installation, started):
    airflow(installation, BACKFILL)
    ((file, words, environment),) = started
    assert (file, list(words)) == ("airflow", ["airflow", *BACKFILL])
    scheduler = environment_of(program(installation, "airflow-scheduler"), installation)
    assert environment == scheduler | {"QUARRY_PART": "airflow"}
    assert environment["AIRFLOW_HOME"] == str(installation.airflow)


@pytest.mark.parametrize("words", [BACKFILL, ["--help"], ["-h"], ["dags", "list", "-o", "json"], ["x", "--", "-y"], []])
def test_every_word_after_the_command_is_airflows(words):
    options = _parser().parse_args(["airflow", *words])
    assert (options.command, options.arguments) == ("airflow", words)
