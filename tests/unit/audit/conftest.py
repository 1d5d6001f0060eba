import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from include.quarry.catalog.database import Database, migrate


@pytest.fixture
def postgres_catalog(postgres_url: str) -> Iterator[Database]:
    """The server's own database, migrated."""
    migrate(postgres_url)
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture
def other_connection(postgres_url: str) -> Iterator[Database]:
    """A second process's view of `postgres_catalog`."""
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture(scope="session")
def _empty_catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalog") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_catalog(_empty_catalog: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty catalog that is there at once, where the kind of database does not matter."""
    shutil.copy(_empty_catalog, tmp_path / "catalog.db")
    database = Database(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield database
    database.close()


@pytest.fixture
def audit_folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"
