"""Airflow's own command line on the platform's Airflow: its database, its Dags, its secrets."""

import os
from collections.abc import Sequence

from include.quarry.operations.installation import Installation
from include.quarry.operations.programs import Program, airflow_environment, environment_of


def airflow(installation: Installation, arguments: Sequence[str]) -> None:
    """Turn this process into `airflow ARGUMENTS`, in the environment of Airflow's own parts. Does not return.

    Without it, a user's shell would reach an Airflow of its own in `~/airflow`, which knows nothing of the platform.
    """
    command = Program("airflow", ("airflow", *arguments), airflow_environment(installation))
    environment = environment_of(command, installation)
    os.execvpe(command.command[0], command.command, environment)  # noqa: S606 (a command in the foreground)
