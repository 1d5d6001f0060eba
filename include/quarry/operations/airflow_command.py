"""Programs that know Airflow, on the platform's Airflow: its database, its Dags, its secrets."""

import os
import sys
from collections.abc import Sequence

from include.quarry.errors import Unavailable
from include.quarry.operations.installation import REPOSITORY, Installation
from include.quarry.operations.programs import Program, airflow_environment, environment_of


def airflow(installation: Installation, arguments: Sequence[str]) -> None:
    """Turn this process into `airflow ARGUMENTS`, in the environment of Airflow's own parts. Does not return.

    Without it, a user's shell would reach an Airflow of its own in `~/airflow`, which knows nothing of the platform.
    """
    command = Program("airflow", ("airflow", *arguments), airflow_environment(installation))
    environment = environment_of(command, installation)
    os.execvpe(command.command[0], command.command, environment)  # noqa: S606 (a command in the foreground)


def clean_airflow(installation: Installation) -> None:
    """Turn this process into the one that removes what Airflow has kept long enough. Does not return.

    Where Airflow runs elsewhere, this is a process beside it, and finds its database by the environment that it has.
    Raises `Unavailable` where this installation's Airflow has none yet: SQLite would make an empty one.
    """
    script = (sys.executable, str(REPOSITORY / "plugins" / "airflow_retention.py"))
    elsewhere = bool(installation.settings.airflow_address)
    database = installation.airflow_database
    if not elsewhere and not database.exists():
        raise Unavailable(f"there is no Airflow database {database}; `make up` makes it, QUARRY_HOME says where")
    command = Program("clean-airflow", script, {} if elsewhere else airflow_environment(installation))
    os.execvpe(script[0], script, environment_of(command, installation))  # noqa: S606 (a command in the foreground)
