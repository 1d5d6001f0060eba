"""The migrations make exactly the tables that the code speaks of, and can be taken back."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext

from include.quarry.catalog import database as catalog
from include.quarry.catalog.turns import metadata


def test_migrated_tables_are_those_of_the_schema(catalog_url: str) -> None:
    engine = sa.create_engine(catalog_url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    assert differences == []


def test_migrations_can_be_taken_back(catalog_url: str) -> None:
    url = sa.make_url(catalog_url.replace("postgresql://", "postgresql+psycopg://"))
    config = Config()
    config.set_main_option("script_location", str(Path(catalog.__file__).parent / "migrations"))
    config.attributes["url"] = url
    command.downgrade(config, "base")
    engine = sa.create_engine(url)
    assert sa.inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
    command.upgrade(config, "head")
