"""Claims: who is embedding which text right now, so that no two workers embed the same one.

A claim is a lease. An owner that dies loses it when it expires; the same owner, started again, simply claims again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from include.quarry.catalog.database import Database, insert_missing
from include.quarry.catalog.schema import claims, vectors

_HASHES_PER_QUERY = 800


def claim(database: Database, fingerprint: str, hashes: Sequence[str], owner: str, lease_s: float) -> list[str]:
    """Those of the hashes that `owner` now holds: without a vector, and unclaimed, expired, or already its own."""
    now = datetime.now(UTC)
    expires_at = now + timedelta(seconds=lease_s)
    held: set[str] = set()
    with database.write() as connection:
        for start in range(0, len(hashes), _HASHES_PER_QUERY):
            some = list(dict.fromkeys(hashes[start : start + _HASHES_PER_QUERY]))
            present = _present(connection, fingerprint, some)
            free = [text_hash for text_hash in some if text_hash not in present]
            ours = sa.and_(claims.c.fingerprint == fingerprint, claims.c.text_hash.in_(free))
            lapsed = sa.or_(claims.c.owner == owner, claims.c.expires_at < now)
            connection.execute(sa.delete(claims).where(ours, lapsed))
            rows = [
                {"fingerprint": fingerprint, "text_hash": h, "owner": owner, "expires_at": expires_at} for h in free
            ]
            insert_missing(connection, claims, rows)
            won = sa.select(claims.c.text_hash).where(ours, claims.c.owner == owner)
            held.update(connection.scalars(won))
    return [text_hash for text_hash in dict.fromkeys(hashes) if text_hash in held]


def release(database: Database, fingerprint: str, owner: str) -> None:
    """Give back all that `owner` holds in a space."""
    with database.write() as connection:
        connection.execute(sa.delete(claims).where(claims.c.fingerprint == fingerprint, claims.c.owner == owner))


def _present(connection: sa.Connection, fingerprint: str, hashes: Sequence[str]) -> set[str]:
    query = sa.select(vectors.c.text_hash).where(vectors.c.fingerprint == fingerprint, vectors.c.text_hash.in_(hashes))
    return set(connection.scalars(query))
