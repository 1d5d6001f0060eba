"""Start the platform: look before leaping, migrate, start the parts, wait until each is well."""

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from dotenv import dotenv_values

from include.quarry.catalog.database import migrate
from include.quarry.errors import Conflict, Misconfigured, Unavailable
from include.quarry.feeds.feed_specs import load_feed_specs
from include.quarry.gateway.composition import open_door
from include.quarry.generation.prices import read_prices
from include.quarry.operations.airflow_api import USER
from include.quarry.operations.health import is_healthy, wait_until
from include.quarry.operations.installation import REPOSITORY, Installation
from include.quarry.operations.mistyped import require_known
from include.quarry.operations.ports import ports_of, require_free
from include.quarry.operations.processes import describe, processes_of
from include.quarry.operations.programs import Program, environment_of, programs_of
from include.quarry.operations.progress import Phase, console, phase
from include.quarry.operations.serving import ServeApi, serve_document
from include.quarry.operations.supervision import settings_changed, start, start_part, states, supervisor_process

_STAGES = {"ray": 0, "mlflow": 0, "airflow-scheduler": 2}
"""Ray gives its own parts 30 s to find each other (ray/_private/node.py), and a task whose start Airflow's API does not
hear of has failed: so everything else waits for Ray, and the scheduler for everything else."""
_SESSIONS_KEPT = 4


def up(installation: Installation) -> None:
    """Start what does not run yet, and return when every part is healthy. Raises `Conflict` before anything starts."""
    parts = programs_of(installation)
    if supervisor := supervisor_process(installation):
        if changed := settings_changed(installation, supervisor):
            raise Conflict(
                f"Quarry is up ({installation.home}) with other settings than these: {', '.join(changed)} changed; "
                "`make down`, then `make up`, takes them over"
            )
        console.print(f"Quarry is already up ({installation.home}); `make status` shows its parts.")
    else:
        _require_clean(installation)
        installation.prepare()
        choose_password(installation)
        forget_sessions(installation)
        with phase("migrate the catalog"):
            migrate(installation.settings.catalog_url)
        with phase("migrate Airflow's database"):
            _migrate_airflow(installation, parts)
        start(installation, parts)
    for stage in stages(parts):
        for part in stage:
            start_part(installation, part.name)
        for part in stage:
            if not is_healthy(part):
                with phase(f"start {part.name}") as step:
                    _wait_for(installation, part, step)


def stages(parts: Sequence[Program]) -> list[list[Program]]:
    """The parts, those together that start at once."""
    return [[part for part in parts if _STAGES.get(part.name, 1) == stage] for stage in range(3)]


def _require_clean(installation: Installation) -> None:
    """Nothing of an earlier life may run, every port must be free, and what shall run must be readable and safe."""
    settings = installation.settings
    require_known({**dotenv_values(".env"), **os.environ})
    if left := processes_of(installation):
        listed = "\n".join(f"  {describe(process)}" for process in left)
        raise Unavailable(f"processes of an earlier start still run:\n{listed}\n`make down` ends them.")
    require_free(ports_of(settings), settings.host)
    open_door(settings)  # raises when it would let strangers in
    serve_document(REPOSITORY / settings.serve_config, settings.host, settings.http_port)
    read_prices(REPOSITORY / settings.prices)
    if settings.feeds:
        load_feed_specs(REPOSITORY / settings.feeds)


def choose_password(installation: Installation) -> None:
    """Make up the password of Airflow's `admin`, unless there is one. Airflow would print it into its log."""
    with suppress(FileExistsError), installation.airflow_passwords.open("x") as file:
        file.write(json.dumps({USER: secrets.token_urlsafe(15)}) + "\n")


def forget_sessions(installation: Installation) -> None:
    """Remove all but the newest of Ray's sessions, which hold logs: Ray keeps each for ever."""
    for session in sorted(installation.ray.glob("session_2*"))[:-_SESSIONS_KEPT]:
        shutil.rmtree(session, ignore_errors=True)


def _migrate_airflow(installation: Installation, parts: tuple[Program, ...]) -> None:
    stamp = installation.airflow / f"migrated-{version('apache-airflow')}"
    if stamp.exists() and installation.airflow_database.exists():
        return
    environment = environment_of(next(part for part in parts if part.name == "airflow-api"), installation)
    command = ["airflow", "db", "migrate"]
    log = installation.logs / "airflow-migration.log"
    with log.open("w") as output:
        done = subprocess.run(command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise Unavailable(f"`airflow db migrate` ended with {done.returncode}; see {log}")
    stamp.touch()


def _wait_for(installation: Installation, part: Program, step: Phase) -> None:
    log = installation.logs / f"{part.name}.log"

    def tick(waited_s: float) -> None:
        state = next((state for state in states(installation) if state.name == part.name), None)
        if state is None or state.state == "FATAL":
            raise Unavailable(f"{part.name} does not stay up; see {log}\n{tail(log)}")
        if part.name == "serve" and (problems := _serve_failures(installation)):
            raise Misconfigured("\n".join([*problems, f"see {installation.ray / 'session_latest/logs/serve'}"]))
        step.say(state.state.lower())

    try:
        wait_until(lambda: is_healthy(part), part.name, installation.settings.start_timeout_s, tick)
    except Unavailable as error:
        raise Unavailable(f"{error}; the log is {log}") from error


def _serve_failures(installation: Installation) -> list[str]:
    try:
        return ServeApi(installation.settings.ray_url, installation.ray_token).failures()
    except Unavailable:
        return []


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, or nothing when there is none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
