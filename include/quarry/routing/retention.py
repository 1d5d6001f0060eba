"""The end of a version: what no longer answers keeps following the log for a while, then it goes.

First the catalog forgets it, so that nothing can come to answer from it again; then what it kept on a server is
dropped; its folder goes last, and so says of a removal that was cut short that it has to go on.
"""

import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from include.quarry.catalog.database import opened
from include.quarry.catalog.observations import forget_observations
from include.quarry.catalog.routes import find_route, forget_previous
from include.quarry.catalog.versions import IndexVersion, find_version, forget_snapshot, list_versions, set_state
from include.quarry.errors import Conflict, Misconfigured, Unavailable
from include.quarry.retrieval.sharded import index_names
from include.quarry.settings import Settings
from include.quarry.stores.adapters import ADAPTERS

logger = logging.getLogger(__name__)


def retire_version(version_id: str, settings: Settings) -> None:
    """End a version now: it can never answer again. Raises `Conflict` while it is live or being tried, and
    `Unavailable` when it keeps vectors on a server that does not answer; then call again."""
    with opened(settings.catalog_url) as database, database.write() as connection:
        version = find_version(connection, version_id)
        route = find_route(connection, version.corpus)
        if route and version_id in (route.live_version, route.candidate):
            raise Conflict(
                f"index version {version_id!r} is {version.state} for corpus {version.corpus!r}; promote another "
                "version, or refuse this one, before retiring it"
            )
        if version.state not in ("retired", "failed"):
            set_state(connection, version_id, "retired", reason="retired by hand")
        _forget(connection, version)
    _remove(version, settings)


def expire_versions(settings: Settings) -> list[str]:
    """End every version whose retention is over; gives their ids. Run again after a crash, it goes on.

    A version whose vectors lie on a server that does not answer is left to the next run.
    """
    until = datetime.now(UTC) - timedelta(seconds=settings.version_retention_s)
    with opened(settings.catalog_url) as database, database.write() as connection:
        over = [version for version in list_versions(connection) if _is_over(version, until, settings)]
        for version in over:
            _forget(connection, version)
    removed = []
    for version in over:
        try:
            _remove(version, settings)
        except (Misconfigured, Unavailable):
            logger.exception("index version %s is left to the next run", version.version_id)
        else:
            removed.append(version.version_id)
    return removed


def _is_over(version: IndexVersion, until: datetime, settings: Settings) -> bool:
    remains = version.snapshot != "" or _folder(version, settings).exists()
    ended = version.state in ("retired", "failed") and remains
    return ended and version.retired_at is not None and version.retired_at <= until


def _forget(connection: sa.Connection, version: IndexVersion) -> None:
    forget_previous(connection, version.version_id)
    forget_snapshot(connection, version.version_id)
    forget_observations(connection, [version.version_id])


def _remove(version: IndexVersion, settings: Settings) -> None:
    """Replicas that still map its files keep them."""
    for name in index_names(version.spec, version.version_id):
        ADAPTERS[version.spec.store.adapter].drop(name, settings.store_servers)
    shutil.rmtree(_folder(version, settings), ignore_errors=True)


def _folder(version: IndexVersion, settings: Settings) -> Path:
    return settings.home.absolute() / "indexes" / version.version_id
