"""Which ports an installation needs, and who has a port that is taken."""

import errno
import socket
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import psutil

from include.quarry.errors import Conflict, Misconfigured
from include.quarry.settings import Settings

_WORKERS = (10_001, 32_768)
"""Above Ray's client server, and below what Linux gives to whoever asks for any port."""


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


def worker_ports(settings: Settings) -> tuple[int, int]:
    """The lowest and highest port for Ray's workers: the widest range that has none of ours, which Ray would refuse."""
    inside = (port.number for port in ports_of(settings) if _WORKERS[0] < port.number < _WORKERS[1])
    below, above = max(pairwise(sorted((*_WORKERS, *inside))), key=lambda pair: pair[1] - pair[0])
    return below + 1, above - 1


def require_free(ports: Iterable[Port], host: str) -> None:
    """Raise `Conflict` naming every port that is taken or asked for twice, its variable and its holder.

    Raises `Misconfigured` for ports that this user may not open, and for a host that is another machine's.
    """
    if _refusal(0, host):
        raise Misconfigured(f"QUARRY_HOST={host} is no address of this machine; `ip address` lists those")
    problems: list[str] = []
    seen: dict[int, Port] = {}
    for port in ports:
        if earlier := seen.get(port.number):
            problems.append(f"port {port.number} is asked for by {earlier.variable} and by {port.variable}")
        elif _refusal(port.number, host) == errno.EACCES:
            raise Misconfigured(f"{port.variable}={port.number}: this user may not open it; allowed are 1024 and above")
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
    """Whether somebody listens on `port` so that a server could not, on `host` or on every address."""
    return any(_refusal(port, address) == errno.EADDRINUSE for address in (host, "0.0.0.0"))  # noqa: S104 (probed only)


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


def _refusal(port: int, address: str) -> int | None:
    """Why a server cannot bind `port` now, as an error number; None when it can."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            return error.errno
    return None
