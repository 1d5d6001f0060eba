"""What the tests of feeds share."""

from pathlib import Path

import pytest

from include.quarry.catalog.database import Database
from tests.unit.feeds.folder_of_documents import Folder


@pytest.fixture
def folder(tmp_path: Path, database: Database) -> Folder:
    (tmp_path / "docs").mkdir()
    return Folder(tmp_path / "docs", database)
