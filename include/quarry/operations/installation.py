"""Where one installation keeps what: folders, sockets, secrets, and the mark its processes carry."""

import json
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from include.quarry.errors import Conflict
from include.quarry.settings import Settings

REPOSITORY = Path(__file__).resolve().parents[3]
MARK = "QUARRY_SUPERVISED"
"""Environment variable that every process of a platform inherits; its value is the installation's home."""

_SOCKET_PATH_BYTES = 107
"""Longest path of a unix socket on Linux, unix(7)."""
_RAY_SOCKET_BYTES = 75
"""What Ray appends to its folder: /session_<date>_<microseconds>_<pid>/sockets/<longest name>."""


@dataclass(frozen=True, slots=True)
class Installation:
    """One installation: its settings and the folders that follow from them, all absolute."""

    settings: Settings

    @property
    def home(self) -> Path:
        """All state lives here."""
        return _absolute(self.settings.home)

    @property
    def run(self) -> Path:
        """Generated configuration and pid files."""
        return self.home / "run"

    @property
    def logs(self) -> Path:
        """One rotated file per part."""
        return self.home / "logs"

    @property
    def sockets(self) -> Path:
        """Unix sockets, outside of home because their paths must be short; removed when the platform stops."""
        digest = sha256(str(self.home).encode()).hexdigest()[:8]
        temporary = tempfile.gettempdir()
        return Path(temporary if len(temporary) <= 8 else "/tmp") / f"quarry-{digest}"  # noqa: S108 (made with mode 0700)

    @property
    def ray(self) -> Path:
        """Ray's sessions, in home when the sockets inside them have room for that."""
        inside = self.home / "ray"
        return inside if len(str(inside)) + _RAY_SOCKET_BYTES <= _SOCKET_PATH_BYTES else self.sockets / "ray"

    @property
    def airflow(self) -> Path:
        """AIRFLOW_HOME."""
        return self.home / "airflow"

    @property
    def airflow_database(self) -> Path:
        """Airflow's SQLite file; `make up` makes it."""
        return self.airflow / "airflow.db"

    @property
    def supervisor_socket(self) -> Path:
        """Where supervisor listens."""
        return self.sockets / "supervisor.sock"

    @property
    def supervisor_conf(self) -> Path:
        """Supervisor's generated configuration."""
        return self.run / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        """Where supervisor writes its pid, which is also the number of the session of all parts."""
        return self.run / "supervisord.pid"

    @property
    def airflow_passwords(self) -> Path:
        """The file in which Airflow's simple auth manager looks for the password of `admin`."""
        return self.airflow / "simple_auth_manager_passwords.json.generated"

    @property
    def ray_token(self) -> str:
        """What Ray asks of everybody, its dashboard included: whoever reaches its job API can run code here."""
        return os.environ.get("RAY_AUTH_TOKEN") or self.secret("ray")

    def prepare(self) -> None:
        """Make the folders."""
        self.prepare_run()
        for folder in (self.logs, self.airflow, self.home / "mlflow"):
            folder.mkdir(parents=True, exist_ok=True)
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        found = self.sockets.lstat()
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != stat.S_IRWXU or self.sockets.is_symlink():
            raise Conflict(f"{self.sockets} is not a folder of this user alone, and no place for sockets; remove it")

    def prepare_run(self) -> None:
        """Make home, for its owner only, and the folder of generated files in it."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)  # all tenants' documents lie here
        self.run.mkdir(exist_ok=True)

    def secret(self, name: str) -> str:
        """A secret of this installation, made up once and kept readable by its owner only.

        The file is there whole or not at all, and of processes that make it up at once, one wins and all agree.
        """
        path = self.run / f"{name}.secret"
        if not path.exists():
            self.prepare_run()
            with tempfile.NamedTemporaryFile("w", dir=self.run, prefix=f".{name}.") as draft:  # has mode 0600
                draft.write(secrets.token_urlsafe(72))
                draft.flush()
                os.fsync(draft.fileno())
                with suppress(FileExistsError):
                    os.link(draft.name, path)
        return path.read_text()

    def environment(self) -> dict[str, str]:
        """The settings that were set, as environment variables with absolute paths: every process sees the same.

        What is no text is written as JSON, which is how settings read a mapping.
        """
        values = self.settings.model_dump(mode="json", exclude_unset=True)
        variables = {
            f"QUARRY_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in values.items()
        }
        files = {"SERVE_CONFIG": self.settings.serve_config, "PLANS": self.settings.plans}
        absolute = {f"QUARRY_{name}": str(_absolute(path)) for name, path in files.items()}
        return variables | absolute | {"QUARRY_HOME": str(self.home)}


def _absolute(path: Path) -> Path:
    return (REPOSITORY / path).resolve()
