"""Routes: which index version of a corpus answers, which one is tried on a share of it, which one came before.

Every change is one row in one transaction: a reader sees the old route or the new one, never a mixture.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from include.quarry.catalog.schema import routes
from include.quarry.catalog.versions import CANDIDATE, IndexVersion, find_version, set_state
from include.quarry.errors import Conflict, InvalidInput, NotFound
from include.quarry.specs import IndexSpec


@dataclass(frozen=True, slots=True)
class Route:
    """Which version answers for a corpus. `revision` grows with every change of the route.

    The shadow version answers a share of the queries too, off the response path; the canary answers its share itself.
    `previous_version` was live before, and is kept so that it can be again.
    """

    corpus: str
    live_version: str
    canary_version: str | None
    canary_share: float
    revision: int
    previous_version: str | None
    shadow_version: str | None
    shadow_share: float

    @property
    def candidate(self) -> str | None:
        """The version that is on its way to become live."""
        return self.canary_version or self.shadow_version

    @property
    def followed(self) -> tuple[str, ...]:
        """The versions that every replica holds and keeps at the head of the log, the live one first."""
        held = (self.live_version, self.canary_version, self.shadow_version, self.previous_version)
        return tuple(dict.fromkeys(version for version in held if version is not None))


def find_route(connection: sa.Connection, corpus: str) -> Route | None:
    """The corpus's route; None before its first promotion."""
    row = connection.execute(sa.select(routes).where(routes.c.corpus == corpus)).one_or_none()
    return None if row is None else Route(**row._asdict())


def list_routes(connection: sa.Connection) -> dict[str, Route]:
    """The route of every corpus that has one, in one query."""
    return {row.corpus: Route(**row._asdict()) for row in connection.execute(sa.select(routes))}


def live_spec(connection: sa.Connection, corpus: str) -> IndexSpec | None:
    """The spec of the version that answers for the corpus; None before its first promotion."""
    route = find_route(connection, corpus)
    return None if route is None else find_version(connection, route.live_version).spec


def put_in_shadow(connection: sa.Connection, version_id: str, share: float) -> Route:
    """Let a version answer `share` of the queries off the response path. Raises `Conflict` beside another candidate."""
    version, route = _candidate(connection, version_id, share)
    set_state(connection, version_id, "shadow")
    return _change(connection, route, **_OFF_CANARY, shadow_version=version.version_id, shadow_share=share)


def put_in_canary(connection: sa.Connection, version_id: str, share: float) -> Route:
    """Let a version answer `share` of the requests. Raises `Conflict` beside another candidate."""
    version, route = _candidate(connection, version_id, share)
    set_state(connection, version_id, "canary")
    return _change(connection, route, **_OFF_SHADOW, canary_version=version.version_id, canary_share=share)


def make_live(connection: sa.Connection, version_id: str) -> Route:
    """Let a version answer for its corpus; the one that was live is retired, and kept as the one to go back to.

    Raises `Conflict` when the version has no snapshot or has failed.
    """
    version = _answering(find_version(connection, version_id))
    before = find_route(connection, version.corpus)
    if before is None:
        first = {**_OFF_CANARY, **_OFF_SHADOW, "live_version": version_id, "previous_version": None, "revision": 1}
        connection.execute(sa.insert(routes).values(corpus=version.corpus, **first))
    elif before.live_version != version_id:
        off = {**_OFF_CANARY, **_OFF_SHADOW} if before.candidate == version_id else {}
        _change(connection, before, **off, live_version=version_id, previous_version=before.live_version)
        set_state(connection, before.live_version, "retired")
    else:
        return before
    set_state(connection, version_id, "live")
    return _route(connection, version.corpus)


def roll_back(connection: sa.Connection, corpus: str, reason: str) -> Route:
    """Let the version answer that was live before; the present one is retired with the reason.

    Raises `NotFound` without a route, `Conflict` when nothing was live before, its retention has ended, or it was
    itself taken back: who asks twice must not bring back what was just taken back.
    """
    route = _route(connection, corpus)
    if route.previous_version is None:
        raise Conflict(f"corpus {corpus!r} has had no other live version than {route.live_version!r} to go back to")
    before = find_version(connection, route.previous_version)
    if before.taken_back:
        raise Conflict(
            f"index version {before.version_id!r} was itself taken back ({before.reason}); promote it to have it live"
        )
    back = make_live(connection, route.previous_version)
    set_state(connection, route.live_version, "retired", reason=reason or "taken back")
    return back


def refuse(connection: sa.Connection, version_id: str, reason: str) -> None:
    """Take a version that is on its way off its route; it has failed. Raises `Conflict` for a version that is live."""
    version = find_version(connection, version_id)
    route = find_route(connection, version.corpus)
    if route and route.live_version == version_id:
        raise Conflict(f"index version {version_id!r} is live; roll corpus {version.corpus!r} back instead")
    if route and route.candidate == version_id:
        _change(connection, route, **_OFF_CANARY, **_OFF_SHADOW)
    set_state(connection, version_id, "failed", reason=reason)


def forget_previous(connection: sa.Connection, version_id: str) -> None:
    """Nobody can go back to this version any more."""
    connection.execute(
        sa.update(routes)
        .where(routes.c.previous_version == version_id)
        .values(previous_version=None, revision=routes.c.revision + 1)
    )


_OFF_CANARY = {"canary_version": None, "canary_share": 0.0}
_OFF_SHADOW = {"shadow_version": None, "shadow_share": 0.0}


def _candidate(connection: sa.Connection, version_id: str, share: float) -> tuple[IndexVersion, Route]:
    if not 0.0 <= share <= 1.0:
        raise InvalidInput(f"share is {share}; it must lie between 0 and 1")
    version = _answering(find_version(connection, version_id))
    route = _route(connection, version.corpus)
    if version.state not in CANDIDATE:
        raise Conflict(f"index version {version_id!r} is {version.state}; only {' or '.join(CANDIDATE)} can be tried")
    if route.candidate not in (None, version_id):
        raise Conflict(
            f"index version {route.candidate!r} is tried for corpus {version.corpus!r} now; promote or refuse it first"
        )
    return version, route


def _answering(version: IndexVersion) -> IndexVersion:
    if not version.snapshot or version.state == "failed":
        lacking = f"has failed ({version.reason})" if version.snapshot else f"is {version.state} and has no snapshot"
        raise Conflict(f"index version {version.version_id!r} {lacking}; build a version before promoting it")
    return version


def _route(connection: sa.Connection, corpus: str) -> Route:
    route = find_route(connection, corpus)
    if route is None:
        raise NotFound(f"corpus {corpus!r} has no live index version; ingest documents, then run reindex_corpus")
    return route


def _change(connection: sa.Connection, route: Route, **values: object) -> Route:
    statement = sa.update(routes).where(routes.c.corpus == route.corpus)
    connection.execute(statement.values(**values, revision=route.revision + 1))
    return _route(connection, route.corpus)
