"""Claims: who is embedding which text right now, so that no two workers embed the same one.

A claim is a lease. An owner that dies loses it when it expires; the same owner, started again, simply claims again.

Workers of one plan need not wait for the lease. Their names are `plan/attempt/worker`, and whoever hands out a plan's
units hands a unit out again only when its worker is dead. So a worker takes over what its plan holds, unless a later
attempt holds it. Where the dead worker was only cut off and still lives, it has lost its claims: it asks `holds` before
it keeps anything.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from include.quarry.catalog.database import Database, insert_missing
from include.quarry.catalog.schema import claims, vectors

_HASHES_PER_QUERY = 800


def claim(database: Database, fingerprint: str, hashes: Sequence[str], owner: str, lease_s: float) -> list[str]:
    """Those of the hashes that `owner` now holds: without a vector, and unclaimed, expired, or held by its own plan."""
    now = datetime.now(UTC)
    expires_at = now + timedelta(seconds=lease_s)
    held: set[str] = set()
    with database.write() as connection:
        for start in range(0, len(hashes), _HASHES_PER_QUERY):
            some = list(dict.fromkeys(hashes[start : start + _HASHES_PER_QUERY]))
            present = _present(connection, fingerprint, some)
            free = [text_hash for text_hash in some if text_hash not in present]
            ours = sa.and_(claims.c.fingerprint == fingerprint, claims.c.text_hash.in_(free))
            holders = connection.scalars(sa.select(claims.c.owner).where(ours).distinct())
            fallen = [holder for holder in holders if supersedes(owner, holder)]
            lapsed = sa.or_(claims.c.owner.in_(fallen), claims.c.expires_at < now)
            connection.execute(sa.delete(claims).where(ours, lapsed))
            rows = [
                {"fingerprint": fingerprint, "text_hash": h, "owner": owner, "expires_at": expires_at} for h in free
            ]
            insert_missing(connection, claims, rows)
            won = sa.select(claims.c.text_hash).where(ours, claims.c.owner == owner)
            held.update(connection.scalars(won))
    return [text_hash for text_hash in dict.fromkeys(hashes) if text_hash in held]


def supersedes(claimant: str, holder: str) -> bool:
    """Whether a claimant may take what a holder has: itself, or a worker of its plan's same or an earlier attempt."""
    if claimant == holder:
        return True
    (plan, *attempt), (other_plan, *other_attempt) = claimant.split("/"), holder.split("/")
    return bool(attempt and other_attempt) and plan == other_plan and int(other_attempt[0]) <= int(attempt[0])


def holds(database: Database, fingerprint: str, hashes: Sequence[str], owner: str) -> bool:
    """Whether all of the hashes are still claimed by `owner`: nobody has taken it for dead meanwhile."""
    found = 0
    with database.read() as connection:
        for start in range(0, len(hashes), _HASHES_PER_QUERY):
            some = hashes[start : start + _HASHES_PER_QUERY]
            ours = sa.and_(claims.c.fingerprint == fingerprint, claims.c.text_hash.in_(some), claims.c.owner == owner)
            found += connection.scalar(sa.select(sa.func.count()).select_from(claims).where(ours)) or 0
    return found == len(hashes)


def release(connection: sa.Connection, fingerprint: str, owner: str) -> None:
    """Give back all that `owner` holds in a space; of a plan, all that any of its workers holds."""
    below = claims.c.owner.startswith(f"{owner}/", autoescape=True)
    whose = sa.or_(claims.c.owner == owner, below)
    connection.execute(sa.delete(claims).where(claims.c.fingerprint == fingerprint, whose))


def _present(connection: sa.Connection, fingerprint: str, hashes: Sequence[str]) -> set[str]:
    query = sa.select(vectors.c.text_hash).where(vectors.c.fingerprint == fingerprint, vectors.c.text_hash.in_(hashes))
    return set(connection.scalars(query))
