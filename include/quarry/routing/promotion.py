"""Promotion: one row changes, and every replica answers from another index version."""

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import head
from include.quarry.catalog.versions import find_route, make_live
from include.quarry.settings import Settings


def promote(version_id: str, settings: Settings) -> dict[str, str | int]:
    """Make a version live. Raises `NotFound`, or `Conflict` when it was never built."""
    database = Database(settings.catalog_url)
    with database.write() as connection:
        route = make_live(connection, version_id)
    database.close()
    return {"corpus": route.corpus, "live_version": route.live_version, "revision": route.revision}


def needs_reindex(corpus: str, settings: Settings) -> bool:
    """Whether the corpus has documents but no version that answers for them."""
    database = Database(settings.catalog_url)
    with database.read() as connection:
        needed = find_route(connection, corpus) is None and head(connection, corpus) > 0
    database.close()
    return needed
