"""Stop the platform and check that nothing is left: no process, no port, no socket, no working folder."""

import shutil
import time

import psutil

from include.quarry.errors import Conflict, Unavailable
from include.quarry.operations import supervision
from include.quarry.operations.installation import Installation
from include.quarry.operations.ports import holder_of, is_taken, ports_of
from include.quarry.operations.processes import describe, end, is_alive, processes_of
from include.quarry.operations.progress import Phase, console, phase
from include.quarry.operations.serving import ServeApi
from include.quarry.routing.scratch import remove_abandoned

_SERVE_S = 12.0
_SUPERVISOR_S = 45.0
_PATIENCE_S = 5.0
_PORT_S = 5.0


def down(installation: Installation) -> None:
    """Stop everything of this installation. Raises `Conflict` naming what could not be ended."""
    ours = processes_of(installation)
    if not ours:
        console.print(f"Quarry is not running ({installation.home}).")
    elif supervision.supervisor_process(installation):
        with phase("stop Ray Serve"):
            _stop_serve(installation)
        with phase("stop the parts") as step:
            _stop_supervisor(installation, ours, step)
    with phase("check that nothing is left"):
        _end_leftovers(installation, ours)
        _require_free_ports(installation)
        _forget(installation)


def _stop_serve(installation: Installation) -> None:
    """Let Serve finish its requests and its haproxy; what it does not manage in time is ended with the rest."""
    try:
        supervision.stop_part(installation, "serve")
    except Unavailable as error:
        console.print(f"  {error}")
    if not ServeApi(installation.settings.ray_url, installation.ray_token).shut_down(_SERVE_S):
        console.print(f"  Ray Serve does not say within {_SERVE_S:.0f} s that it has ended; it is ended with Ray")


def _stop_supervisor(installation: Installation, ours: set[psutil.Process], step: Phase) -> None:
    supervisor = supervision.supervisor_process(installation)
    if supervisor is None:
        return
    try:
        supervision.shut_down(installation)
    except Unavailable as error:
        console.print(f"  {error}")
    deadline = time.monotonic() + _SUPERVISOR_S
    while is_alive(supervisor) and time.monotonic() < deadline:
        step.say(f"{sum(map(is_alive, ours))} processes left")
        time.sleep(0.2)


def _end_leftovers(installation: Installation, ours: set[psutil.Process]) -> None:
    """End what outlived its parent: what ran when we began, and whatever else carries our mark by now."""
    left = {process for process in ours | processes_of(installation) if is_alive(process)}
    for process in left:
        console.print(f"  ending {describe(process)}")
    if stubborn := end(left, _PATIENCE_S):
        listed = "\n".join(f"  {describe(process)}" for process in stubborn)
        raise Conflict(f"these processes cannot be ended:\n{listed}")


def _require_free_ports(installation: Installation) -> None:
    settings = installation.settings
    deadline = time.monotonic() + _PORT_S
    ports = ports_of(settings)
    while (taken := [port for port in ports if is_taken(port.number, settings.host)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    for port in taken:
        console.print(f"  port {port.number} ({port.purpose}) is held by {holder_of(port.number)}, which is not ours")


def _forget(installation: Installation) -> None:
    installation.supervisor_pid.unlink(missing_ok=True)
    remove_abandoned(installation.home)
    if installation.sockets.is_dir():
        shutil.rmtree(installation.sockets)
