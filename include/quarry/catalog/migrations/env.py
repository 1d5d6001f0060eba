"""Alembic's entry: runs the revisions in one transaction on the URL that `catalog.database.migrate` hands over."""

import sqlalchemy as sa
from alembic import context

from include.quarry.catalog.turns import metadata

engine = sa.create_engine(context.config.attributes["url"])
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
