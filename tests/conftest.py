"""Fixtures that every room of the tests may use: catalogs on both databases, started on free ports of the loopback."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database, migrate

_FAILURE_CHARACTERS = 400
_POSTGRES_BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Leave what failed in the file that `make test` names: it says so again when all of its parts have run."""
    if not (path := os.environ.get("FAILED_TESTS")):
        return
    with Path(path).open("a") as failed:
        for report in (*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")):
            crash = getattr(report.longrepr, "reprcrash", None)
            message = crash.message if crash else report.longreprtext[-_FAILURE_CHARACTERS:]
            failed.write(f"{report.nodeid}\n{message[:_FAILURE_CHARACTERS]}\n")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def postgres_server(more: str = "") -> Iterator[str]:
    """A PostgreSQL server of our own, with more options; skipped where Debian's package is not installed."""
    if not _POSTGRES_BIN:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    binaries = _POSTGRES_BIN[-1]
    folder = Path(tempfile.mkdtemp(prefix="quarry-postgres-"))
    as_user: dict[str, object] = {}
    if os.geteuid() == 0:  # the server refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    data, port = folder / "data", free_port()
    create = [binaries / "initdb", "-D", data, "-U", "quarry", "--auth=trust", "--no-sync", "-E", "UTF8"]
    subprocess.run(create, check=True, capture_output=True, cwd=folder, **as_user)
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off {more}"
    start = [binaries / "pg_ctl", "-D", data, "-w", "-o", options, "-l", folder / "log", "start"]
    subprocess.run(start, check=True, capture_output=True, cwd=folder, **as_user)
    try:
        yield f"postgresql://quarry@127.0.0.1:{port}/postgres"
    finally:
        stop = [binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"]
        subprocess.run(stop, check=True, capture_output=True, cwd=folder, **as_user)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One server for all tests of a session."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty, migrated catalog to copy."""
    path = tmp_path_factory.mktemp("template") / "catalog.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_url: str) -> str:
    """Name of an empty, migrated catalog to copy, on the server of `postgres_url`."""
    _tell(postgres_url, "CREATE DATABASE template")
    migrate(_beside(postgres_url, "template"))
    return "template"


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of an empty, migrated catalog on each database."""
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "catalog.db")
        yield f"sqlite:///{tmp_path / 'catalog.db'}"
        return
    server, template = request.getfixturevalue("postgres_url"), request.getfixturevalue("postgres_template")
    name = f"c{abs(hash(str(tmp_path)))}"
    _tell(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _beside(server, name)
    _tell(server, f"DROP DATABASE {name} WITH (FORCE)")  # hundreds of them would fill gibibytes


def _tell(server: str, statement: str) -> None:
    engine = sa.create_engine(server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


def _beside(server: str, name: str) -> str:
    return server.removesuffix("postgres") + name


@pytest.fixture
def database(catalog_url: str) -> Iterator[Database]:
    """The empty catalog of `catalog_url`."""
    database = Database(catalog_url)
    yield database
    database.close()
