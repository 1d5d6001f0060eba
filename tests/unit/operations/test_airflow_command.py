"""`python -m include.quarry airflow` and `clean-airflow` run on the platform's Airflow."""

import pytest

from include.quarry.__main__ import _parser
from include.quarry.errors import Unavailable
from include.quarry.operations import airflow_command
from include.quarry.operations.airflow_command import airflow, clean_airflow
from include.quarry.operations.installation import Installation
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


def test_airflow_is_cleaned_in_the_platforms_own_database_whatever_the_environment_says(
    installation, started, monkeypatch
):
    installation.prepare()
    installation.airflow_database.touch()
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    clean_airflow(installation)
    ((_, (_, script), environment),) = started
    assert script.endswith("plugins/airflow_retention.py")
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == f"sqlite:///{installation.airflow / 'airflow.db'}"


def test_where_airflow_has_no_database_yet_that_is_said_and_none_is_made(installation, started):
    with pytest.raises(Unavailable, match=f"{installation.airflow / 'airflow.db'}.*make up.*QUARRY_HOME"):
        clean_airflow(installation)
    assert not started
    assert not installation.home.exists()


def test_an_airflow_elsewhere_is_cleaned_where_its_own_environment_says(installation, started, monkeypatch):
    database = "postgresql+psycopg2://quarry@postgres/airflow"
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", database)
    settings = installation.settings.model_copy(update={"airflow_address": "http://airflow-api:8080"})
    clean_airflow(Installation(settings))
    ((_, _, environment),) = started
    assert environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == database
