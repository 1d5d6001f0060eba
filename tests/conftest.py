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

_POSTGRES_BIN = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


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
    yield f"postgresql://quarry@127.0.0.1:{port}/postgres"
    stop = [binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"]
    subprocess.run(stop, check=True, capture_output=True, cwd=folder, **as_user)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One server for all tests of a session."""
    with postgres_server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def catalog_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty, migrated catalog on each database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'catalog.db'}"
    else:
        server = request.getfixturevalue("postgres_url")
        name = f"c{abs(hash(str(tmp_path)))}"
        engine = sa.create_engine(
            server.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
        )
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
        engine.dispose()
        url = server.removesuffix("postgres") + name
    migrate(url)
    return url


@pytest.fixture
def database(catalog_url: str) -> Iterator[Database]:
    """The empty catalog of `catalog_url`."""
    database = Database(catalog_url)
    yield database
    database.close()
