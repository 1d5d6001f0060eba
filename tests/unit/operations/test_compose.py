"""The composition for servers, read as Docker would."""

from pathlib import Path

import yaml

from include.quarry.operations.installation import Installation
from include.quarry.operations.programs import program
from include.quarry.settings import Settings

COMPOSE = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.airflow.yml").read_text())


def test_no_secret_stands_in_a_command_which_everybody_on_the_machine_may_read():
    for name, service in COMPOSE["services"].items():
        assert "PASSWORD" not in str(service.get("command")), name


def test_who_builds_a_version_finds_the_password_that_airflow_was_given():
    airflow = COMPOSE["services"]["airflow-api"]
    place = str(Installation(Settings(home="/state", _env_file=None)).airflow_passwords)
    assert airflow["environment"]["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"] == place
    assert f"/run/secrets/airflow_passwords {place};" in airflow["command"][-1]


def test_what_a_container_says_is_not_kept_for_ever():
    for name, service in COMPOSE["services"].items():
        assert service["logging"]["driver"] == "local", f"{name}: Docker's default, json-file, is not rotated"


def test_rays_logs_are_kept_as_small_as_without_containers(installation):
    ray = program(installation, "ray").environment
    of_logs = ("RAY_ROTATION_MAX_BYTES", "RAY_ROTATION_BACKUP_COUNT", "RAY_DATA_LOG_LEVEL")
    there = COMPOSE["services"]["ray"]["environment"]
    assert {name: there[name] for name in of_logs} == {name: ray[name] for name in of_logs}


def test_no_task_starts_before_airflow_can_hear_of_it():
    scheduler, airflow = (COMPOSE["services"][name] for name in ("airflow-scheduler", "airflow-api"))
    assert scheduler["depends_on"]["airflow-api"] == {"condition": "service_healthy"}
    assert airflow["healthcheck"]["test"]


def test_what_no_task_can_reach_a_container_beside_the_scheduler_cleans():
    retention, scheduler = (COMPOSE["services"][name] for name in ("airflow-retention", "airflow-scheduler"))
    assert retention["environment"] == scheduler["environment"]
    assert "python -m include.quarry clean-airflow" in retention["command"][-1]
    assert retention["environment"]["QUARRY_AIRFLOW_ADDRESS"], "else it would clean a database of its own"
    logs = Installation(Settings(home="/state", _env_file=None)).logs / "airflow"
    assert retention["environment"]["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] == str(logs)
