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


@pytest.fixture
def audit_folder(tmp_path: Path) -> Path:
    return tmp_path / "audit"
