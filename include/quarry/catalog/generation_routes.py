"""Generation routes: which release of a tier answers, which one is tried on a share of it, which one came before.

Every change is one row in one transaction: a reader sees the old route or the new one, never a mixture.
"""

from dataclasses import dataclass

import sqlalchemy as sa

from include.quarry.catalog.releases import Release, find_release, set_release_state
from include.quarry.catalog.schema import generation_routes as routes
from include.quarry.errors import Conflict, InvalidInput
from include.quarry.generation.protocol import DEFAULT_RELEASE, TIERS, Tier


@dataclass(frozen=True, slots=True)
class ReleaseRoute:
    """Which release answers for a tier. `revision` grows with every change of the route; 0 before the first."""

    tier: Tier
    live_release: str = DEFAULT_RELEASE
    previous_release: str | None = None
    canary_release: str | None = None
    canary_share: float = 0.0
    revision: int = 0

    @property
    def followed(self) -> tuple[str, ...]:
        """The releases that every replica of the tier holds, the live one first."""
        held = (self.live_release, self.canary_release, self.previous_release)
        return tuple(dict.fromkeys(release for release in held if release is not None))


def find_release_route(connection: sa.Connection, tier: Tier) -> ReleaseRoute:
    """The tier's route; `default` is live before the first promotion."""
    row = connection.execute(sa.select(routes).where(routes.c.tier == tier)).one_or_none()
    return ReleaseRoute(tier) if row is None else ReleaseRoute(**row._asdict())


def list_release_routes(connection: sa.Connection) -> dict[Tier, ReleaseRoute]:
    """The route of every tier."""
    found = {row.tier: ReleaseRoute(**row._asdict()) for row in connection.execute(sa.select(routes))}
    return {tier: found.get(tier, ReleaseRoute(tier)) for tier in TIERS}


def try_release(connection: sa.Connection, release_id: str, share: float) -> ReleaseRoute:
    """Let a release answer `share` of the tier's requests. Raises `Conflict` beside another canary."""
    if not 0.0 <= share <= 1.0:
        raise InvalidInput(f"share is {share}; it must lie between 0 and 1")
    release = find_release(connection, release_id)
    route = find_release_route(connection, release.tier)
    if release.state not in ("created", "canary"):
        raise Conflict(f"release {release_id!r} is {release.state}{_why(release)}; only a new one can be tried")
    if route.canary_release not in (None, release_id):
        raise Conflict(f"release {route.canary_release!r} is tried for {release.tier} now; promote or refuse it first")
    set_release_state(connection, release_id, "canary")
    return _change(connection, route, canary_release=release_id, canary_share=share)


def promote_release(connection: sa.Connection, release_id: str) -> ReleaseRoute:
    """Let a release answer for its tier; the one that was live is retired, and kept as the one to go back to.

    Raises `Conflict` when the release has failed.
    """
    release = find_release(connection, release_id)
    route = find_release_route(connection, release.tier)
    if release.state == "failed":
        raise Conflict(f"release {release_id!r} has failed{_why(release)}; create a new one")
    if route.live_release == release_id:
        return route
    off = _OFF_CANARY if route.canary_release == release_id else {}
    set_release_state(connection, route.live_release, "retired")
    set_release_state(connection, release_id, "live")
    return _change(connection, route, **off, live_release=release_id, previous_release=route.live_release)


def roll_release_back(connection: sa.Connection, tier: Tier, reason: str) -> ReleaseRoute:
    """Let the release answer that was live before; the present one is retired with the reason.

    Raises `Conflict` when there is none to go back to: nothing was promoted, or the last promotion was taken back.
    """
    route = find_release_route(connection, tier)
    if route.previous_release is None:
        raise Conflict(f"tier {tier} has no release before {route.live_release!r} to go back to; promote one instead")
    set_release_state(connection, route.live_release, "retired", reason or "taken back")
    set_release_state(connection, route.previous_release, "live")
    return _change(connection, route, live_release=route.previous_release, previous_release=None)


def refuse_release(connection: sa.Connection, release_id: str, reason: str) -> ReleaseRoute:
    """Take a release off its way; it has failed. Raises `Conflict` for one that is live."""
    release = find_release(connection, release_id)
    route = find_release_route(connection, release.tier)
    if route.live_release == release_id:
        raise Conflict(f"release {release_id!r} is live; roll {release.tier} back instead")
    set_release_state(connection, release_id, "failed", reason)
    off = _OFF_CANARY if route.canary_release == release_id else {}
    forgotten = {"previous_release": None} if route.previous_release == release_id else {}
    return _change(connection, route, **off, **forgotten) if off or forgotten else route


def give_release_up(connection: sa.Connection, release_id: str, reason: str) -> ReleaseRoute:
    """A replica cannot answer by this release: it has failed, wherever it stands. What was live before is so again."""
    release = find_release(connection, release_id)
    route = find_release_route(connection, release.tier)
    if route.live_release == release_id:
        back = route.previous_release or DEFAULT_RELEASE
        set_release_state(connection, back, "live")
        route = _change(connection, route, live_release=back, previous_release=None)
    return refuse_release(connection, release_id, reason)


_OFF_CANARY = {"canary_release": None, "canary_share": 0.0}


def _why(release: Release) -> str:
    return f" ({release.reason})" if release.reason else ""


def _change(connection: sa.Connection, route: ReleaseRoute, **values: object) -> ReleaseRoute:
    if route.revision == 0:
        first = {"live_release": route.live_release, "canary_share": 0.0, **values, "revision": 1}
        connection.execute(sa.insert(routes).values(tier=route.tier, **first))
    else:
        statement = sa.update(routes).where(routes.c.tier == route.tier)
        connection.execute(statement.values(**values, revision=route.revision + 1))
    return find_release_route(connection, route.tier)
