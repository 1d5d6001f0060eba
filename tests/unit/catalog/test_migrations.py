"""The migrations make exactly the tables that the code speaks of, and can be taken back."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from include.quarry.catalog import database as catalog


@pytest.fixture
def config(catalog_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(catalog.__file__).parent / "migrations"))
    config.attributes["url"] = sa.make_url(catalog_url.replace("postgresql://", "postgresql+psycopg://"))
    return config


def test_migrated_tables_are_those_of_the_schema_files(config: Config) -> None:
    command.check(config)  # raises, and names what differs


def test_migrations_can_be_taken_back(config: Config) -> None:
    command.downgrade(config, "base")
    engine = sa.create_engine(config.attributes["url"])
    assert sa.inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
    command.upgrade(config, "head")
