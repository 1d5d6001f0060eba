"""Alembic's entry: runs the revisions in one transaction on the URL that `catalog.database.migrate` hands over.

Each schema file has a metadata of its own. All are listed here, so that a test can hold them against the revisions.
"""

import sqlalchemy as sa
from alembic import context

from include.quarry.catalog import feed_schema, request_schema, schema

TABLES = [schema.metadata, feed_schema.metadata, request_schema.metadata]

engine = sa.create_engine(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=TABLES, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
