"""The composition for servers, read as Docker would."""

from pathlib import Path

import yaml

COMPOSE = yaml.safe_load((Path(__file__).parents[3] / "docker-compose.airflow.yml").read_text())


def test_no_secret_stands_in_a_command_which_everybody_on_the_machine_may_read():
    for name, service in COMPOSE["services"].items():
        assert "PASSWORD" not in str(service.get("command")), name
