"""What people see of an index version: where it stands, what it answers, how far it is behind."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog.observations import read_observations
from include.quarry.catalog.routes import Route, find_route
from include.quarry.catalog.schema import changes
from include.quarry.catalog.versions import IndexVersion, find_version, list_versions
from include.quarry.index_specs import named_fingerprints
from include.quarry.settings import Settings


@dataclass(frozen=True, slots=True)
class VersionView:
    """One line about a version.

    `spec` is the name of its spec, or the fingerprint where no file has it. `share` of the requests it answers, and
    `shadow_share` it answers too, off the response path. `lag_changes` counts the changes since its snapshot, None
    where it has none: replicas that hold it are further on. `previous` says that a rollback would make it live.
    """

    version_id: str
    corpus: str
    state: str
    spec: str
    fingerprint: str
    share: float
    shadow_share: float
    previous: bool
    watermark: int
    lag_changes: int | None
    chunks: int
    created_at: datetime
    promoted_at: datetime | None
    retired_at: datetime | None
    reason: str


def view_versions(connection: sa.Connection, corpus: str | None, settings: Settings) -> list[VersionView]:
    """Versions of a corpus, or of all, newest first."""
    names = named_fingerprints(dtype=settings.embedding_dtype)
    versions = list_versions(connection, corpus)
    routes = {name: find_route(connection, name) for name in {version.corpus for version in versions}}
    return [_view(connection, version, routes[version.corpus], names) for version in versions]


def view_version(connection: sa.Connection, version_id: str, settings: Settings) -> dict[str, Any]:
    """The fields of its `VersionView`, its whole spec in `parts`, and in `seen` what was observed of it while it was
    tried beside the live version. Raises `NotFound`."""
    version = find_version(connection, version_id)
    names = named_fingerprints(dtype=settings.embedding_dtype)
    seen = read_observations(connection, version_id, version.created_at)
    return {
        **asdict(_view(connection, version, find_route(connection, version.corpus), names)),
        "parts": asdict(version.spec),
        "seen": {
            "queries": seen.queries,
            "failures": seen.failures,
            "overlap": seen.mean_overlap,
            "correlation": seen.mean_correlation,
        },
    }


def _view(connection: sa.Connection, version: IndexVersion, route: Route | None, names: dict[str, str]) -> VersionView:
    fingerprint = version.spec.fingerprint
    return VersionView(
        version_id=version.version_id,
        corpus=version.corpus,
        state=version.state,
        spec=names.get(fingerprint, fingerprint),
        fingerprint=fingerprint,
        share=_share(route, version.version_id),
        shadow_share=route.shadow_share if route and route.shadow_version == version.version_id else 0.0,
        previous=route is not None and route.previous_version == version.version_id,
        watermark=version.watermark,
        lag_changes=_behind(connection, version) if version.snapshot else None,
        chunks=version.chunk_count,
        created_at=version.created_at,
        promoted_at=version.promoted_at,
        retired_at=version.retired_at,
        reason=version.reason,
    )


def _share(route: Route | None, version_id: str) -> float:
    if route is None:
        return 0.0
    canary = route.canary_share if route.canary_version is not None else 0.0
    return {route.live_version: 1.0 - canary, route.canary_version: canary}.get(version_id, 0.0)


def _behind(connection: sa.Connection, version: IndexVersion) -> int:
    since = sa.and_(changes.c.corpus == version.corpus, changes.c.seq > version.watermark)
    return int(connection.scalar(sa.select(sa.func.count()).select_from(changes).where(since)) or 0)
