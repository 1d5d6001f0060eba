"""Moving versions along their way: each step changes one row, and every replica follows it within a moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog import routes
from include.quarry.catalog.database import opened
from include.quarry.catalog.versions import CANDIDATE, find_version, list_corpora
from include.quarry.errors import Conflict, NotFound
from include.quarry.settings import Settings


def promote(version_id: str, settings: Settings) -> dict[str, Any]:
    """Make a version live. Raises `NotFound`, or `Conflict` when it was never built or has failed."""
    with _writing(settings) as connection:
        return asdict(routes.make_live(connection, version_id))


def promote_candidate(version_id: str, settings: Settings) -> dict[str, Any]:
    """Make a version live that is on its way there. Raises `Conflict` for one that was live and is not any more.

    A task that is tried again must not undo a rollback that came in between.
    """
    with _writing(settings) as connection:
        version = find_version(connection, version_id)
        if version.state == "retired":
            raise Conflict(f"index version {version_id!r} was live and was taken back ({version.reason}); it stays so")
        return asdict(routes.make_live(connection, version_id))


def abandon(version_id: str, reason: str, settings: Settings) -> bool:
    """Take a version off its way wherever it stands, after something else than the version has failed.

    False when there is nothing to take off: it was never registered, it is live, or its way has ended.
    """
    with _writing(settings) as connection:
        try:
            version = find_version(connection, version_id)
        except NotFound:
            return False
        if version.state not in ("building", *CANDIDATE):
            return False
        routes.refuse(connection, version_id, reason)
    return True


def roll_back(corpus: str, reason: str, settings: Settings) -> dict[str, Any]:
    """Make the version live that was so before. Raises `NotFound`, or `Conflict` when there is none to go back to."""
    with _writing(settings) as connection:
        return asdict(routes.roll_back(connection, corpus, reason))


def hold(version_id: str, settings: Settings) -> bool:
    """Let replicas hold a version beside the live one; false when the corpus has none, so that nothing compares.

    One candidate is tried at a time: an unfinished one is refused in its favour.
    """
    with _writing(settings) as connection:
        corpus = find_version(connection, version_id).corpus
        route = routes.find_route(connection, corpus)
        if route is None or route.live_version == version_id:
            return False
        if route.candidate not in (None, version_id):
            routes.refuse(connection, str(route.candidate), f"{version_id} is tried in its place")
        routes.put_in_shadow(connection, version_id, 0.0)
    return True


def refuse(version_id: str, reason: str, settings: Settings) -> None:
    """Take a version off its way; it has failed. Raises `Conflict` when it is live."""
    with _writing(settings) as connection:
        routes.refuse(connection, version_id, reason)


def unanswered_corpora(settings: Settings) -> list[str]:
    """The corpora that have documents but no version that answers for them."""
    with opened(settings.catalog_url) as database, database.read() as connection:
        answered = routes.list_routes(connection)
        return [corpus for corpus in list_corpora(connection) if corpus not in answered]


@contextmanager
def _writing(settings: Settings) -> Iterator[sa.Connection]:
    with opened(settings.catalog_url) as database, database.write() as connection:
        yield connection
