"""Fixtures of the routing tests."""

from pathlib import Path

import pytest

from include.quarry.catalog.database import Database
from include.quarry.settings import Settings
from tests.unit.routing.corpus import Corpus


@pytest.fixture
def routing_settings(catalog_url: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", database_url=catalog_url)


@pytest.fixture
def corpus(database: Database, routing_settings: Settings) -> Corpus:
    return Corpus(database, routing_settings)
