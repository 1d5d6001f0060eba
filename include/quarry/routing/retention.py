"""The end of a version: what no longer answers keeps following the log for a while, then its files go."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.observations import forget_observations
from include.quarry.catalog.routes import find_route, forget_previous
from include.quarry.catalog.versions import IndexVersion, find_version, forget_snapshot, list_versions, set_state
from include.quarry.errors import Conflict
from include.quarry.settings import Settings


def retire_version(version_id: str, settings: Settings) -> None:
    """End a version now: it can never answer again. Raises `Conflict` while it is live or being tried."""
    database = Database(settings.catalog_url)
    with database.write() as connection:
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
    _remove(version)
    database.close()


def expire_versions(settings: Settings) -> list[str]:
    """End every version whose retention is over; gives their ids. Run again after a crash, it goes on."""
    until = datetime.now(UTC) - timedelta(seconds=settings.version_retention_s)
    database = Database(settings.catalog_url)
    with database.write() as connection:
        over = [version for version in list_versions(connection) if _is_over(version, until)]
        for version in over:
            _forget(connection, version)
    for version in over:
        _remove(version)
    database.close()
    return [version.version_id for version in over]


def _is_over(version: IndexVersion, until: datetime) -> bool:
    ended = version.state in ("retired", "failed") and version.snapshot != ""
    return ended and version.retired_at is not None and version.retired_at <= until


def _forget(connection: sa.Connection, version: IndexVersion) -> None:
    forget_previous(connection, version.version_id)
    forget_snapshot(connection, version.version_id)
    forget_observations(connection, [version.version_id])


def _remove(version: IndexVersion) -> None:
    """The snapshot's folder belongs to the version; replicas that still map its files keep them."""
    if version.snapshot:
        shutil.rmtree(Path(version.snapshot).parent, ignore_errors=True)
