"""Which ports an installation needs, and who has a port that is taken."""

import socket
from collections.abc import Iterable
from typing import NamedTuple

import psutil

from include.quarry.errors import Conflict
from include.quarry.settings import Settings


class Port(NamedTuple):
    """A port, what listens on it, and the environment variable that moves it."""

    number: int
    purpose: str
    variable: str


def ports_of(settings: Settings) -> tuple[Port, ...]:
    """Every configured port: each field of the settings that is named `*_port`."""
    return tuple(
        Port(getattr(settings, name), field.description or name, f"QUARRY_{name.upper()}")
        for name, field in type(settings).model_fields.items()
        if name.endswith("_port")
    )


def require_free(ports: Iterable[Port], host: str) -> None:
    """Raise `Conflict` naming every port that is taken or asked for twice, its variable and its holder."""
    problems: list[str] = []
    seen: dict[int, Port] = {}
    for port in ports:
        if earlier := seen.get(port.number):
            problems.append(f"port {port.number} is asked for by {earlier.variable} and by {port.variable}")
        elif is_taken(port.number, host):
            problems.append(
                f"port {port.number} ({port.purpose}) is taken by {holder_of(port.number)}: {port.variable}"
            )
        seen[port.number] = port
    if problems:
        raise Conflict(
            "\n".join([*problems, "Stop what holds a port, or give Quarry another one with the variable named there."])
        )


def is_taken(port: int, host: str) -> bool:
    """Whether a server could not bind `port` now, on `host` or on every address."""
    return not all(_can_bind(port, address) for address in (host, "0.0.0.0"))  # noqa: S104 (probed, never listened on)


def holder_of(port: int) -> str:
    """The pid and command that listen on `port`, as far as this user may see."""
    for connection in psutil.net_connections(kind="inet"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
            try:
                command = " ".join(psutil.Process(connection.pid).cmdline())
            except psutil.Error:
                command = "a command that this user may not see"
            return f"pid {connection.pid} ({command[:120]})"
    return "a process that this user may not see"


def _can_bind(port: int, address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
