"""supervisord: its configuration, its start and end, and what it says about each part.

It listens on a unix socket only, restarts what dies, and takes whole process groups down with it.
"""

import http.client
import os
import shlex
import socket
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from include.quarry.errors import Unavailable
from include.quarry.operations.installation import MARK, REPOSITORY, Installation
from include.quarry.operations.programs import Program
from include.quarry.settings import Settings

_GROUP = "quarry"
_AT_REST = ("STOPPED", "EXITED", "FATAL")
_LOG_BYTES = 10_000_000
_LOG_COPIES = 3


class PartState(NamedTuple):
    """What the supervisor says about a part: its state in supervisor's words, its pid (0 when it has none)."""

    name: str
    state: str
    pid: int


def configuration(installation: Installation, parts: Iterable[Program]) -> str:
    """The text of supervisord.conf. Environments are not written down: `run-part` makes them, secrets included."""
    sections: dict[str, dict[str, object]] = {
        "unix_http_server": {"file": installation.supervisor_socket, "chmod": "0600"},
        "rpcinterface:supervisor": {
            "supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"
        },
        "supervisord": {
            "logfile": installation.logs / "supervisor.log",
            "logfile_maxbytes": _LOG_BYTES,
            "logfile_backups": _LOG_COPIES,
            "pidfile": installation.supervisor_pid,
            "directory": REPOSITORY,
            "childlogdir": installation.logs,
            "minfds": 4096,
            "umask": "077",
        },
        "supervisorctl": {"serverurl": f"unix://{installation.supervisor_socket}"},
    }
    parts = tuple(parts)
    sections |= {f"program:{part.name}": _program_section(installation, part) for part in parts}
    # One group, because supervisor stops groups one after the other and the members of a group together.
    sections[f"group:{_GROUP}"] = {"programs": ",".join(part.name for part in parts)}
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {_escape(value)}\n" for key, value in options.items())
        for section, options in sections.items()
    )


def start(installation: Installation, parts: Iterable[Program]) -> None:
    """Start supervisord; the parts wait for `start_part`. Raises `Unavailable` when it does not come up."""
    path = installation.supervisor_conf
    path.write_text(configuration(installation, parts))
    environment = {**os.environ, **installation.environment(), MARK: str(installation.home)}
    command = [str(Path(sys.executable).parent / "supervisord"), "-c", str(path)]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"supervisord did not start: {done.stderr.strip() or done.stdout.strip()}")


def supervisor_process(installation: Installation) -> psutil.Process | None:
    """The running supervisord of this installation, or None. A pid file of a dead one counts for nothing."""
    try:
        process = psutil.Process(int(installation.supervisor_pid.read_text()))
        ours = str(installation.supervisor_conf) in process.cmdline()
    except (OSError, ValueError, psutil.Error):
        return None
    return process if ours else None


def settings_changed(installation: Installation, supervisor: psutil.Process) -> list[str]:
    """The settings, by variable, that are not what the running platform was started with."""
    now, then = installation.environment(), supervisor.environ()
    names = [f"QUARRY_{name.upper()}" for name in Settings.model_fields]
    return [name for name in names if now.get(name) != then.get(name)]


def states(installation: Installation) -> list[PartState]:
    """What the supervisor says about every part. Raises `Unavailable` when it does not answer."""
    answer: Any = _call(installation, "getAllProcessInfo")
    return [PartState(part["name"], part["statename"], part["pid"]) for part in answer]


def start_part(installation: Installation, name: str) -> None:
    """Start one part and do not wait for it; nothing happens when it runs already."""
    if any(part.name == name and part.state in _AT_REST for part in states(installation)):
        _call(installation, "startProcess", f"{_GROUP}:{name}", False)


def stop_part(installation: Installation, name: str) -> None:
    """Stop one part and wait until it has stopped; nothing happens when it does not run."""
    if any(part.name == name and part.pid for part in states(installation)):
        _call(installation, "stopProcess", f"{_GROUP}:{name}")


def shut_down(installation: Installation) -> None:
    """Ask supervisord to stop every part and itself; returns at once."""
    _call(installation, "shutdown")


def _program_section(installation: Installation, part: Program) -> dict[str, object]:
    return {
        "command": f"{shlex.quote(sys.executable)} -m include.quarry run-part {part.name}",
        "directory": REPOSITORY,
        "autostart": "false",
        "autorestart": "true",
        "startsecs": 5,
        "startretries": 10,
        "stopsignal": "TERM",
        "stopwaitsecs": part.stop_s,
        "stopasgroup": "true",
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": installation.logs / f"{part.name}.log",
        "stdout_logfile_maxbytes": _LOG_BYTES,
        "stdout_logfile_backups": _LOG_COPIES,
    }


def _escape(value: object) -> str:
    return str(value).replace("%", "%%")


def _call(installation: Installation, method: str, *arguments: Any) -> Any:
    transport = _UnixTransport(str(installation.supervisor_socket))
    with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport) as proxy:
        try:
            return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException, xmlrpc.client.Fault) as error:
            raise Unavailable(
                f"supervisor does not do {method} {arguments}: {error}; see {installation.logs}"
            ) from error


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """A connection to the socket, whatever the host is called."""
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(60)
        connection.sock.connect(self._path)
        return connection
