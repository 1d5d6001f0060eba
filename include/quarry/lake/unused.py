"""Vectors that no passage uses: they are noted first, and removed once that has been so for a grace period.

A vector is unused when no chunk has its text, of no document and no chunker. Chunks come in the same transactions that
this looks at, so whoever accepts a document finds its vector, or finds that it has to be embedded; never one that is
about to go. The grace is for readers that are on their way with what they read, and for texts that come back, as when a
document is withdrawn for a day: they cost no embedding.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import chunks, vectors
from include.quarry.lake.vectors import VectorLake

_ROWS_AT_ONCE = 800


@dataclass(frozen=True, slots=True)
class Sweep:
    """How many vectors were found unused for the first time, came to be used again, and were removed."""

    noted: int
    used_again: int
    removed: int


def remove_unused(database: Database, lake: VectorLake, grace_s: float) -> Sweep:
    """Note what is unused, and remove what has been so for `grace_s`. Safe while documents change: each step looks
    again in its own transaction. A run that dies is simply run again."""
    v, now = vectors.c, datetime.now(UTC)
    used = sa.exists().where(chunks.c.text_hash == v.text_hash)
    again = sa.and_(v.unused_since.is_not(None), used)
    newly = sa.and_(v.unused_since.is_(None), ~used)
    over = sa.and_(v.unused_since <= now - timedelta(seconds=grace_s), ~used)
    used_again = _change(database, again, sa.update(vectors).values(unused_since=None))
    noted = _change(database, newly, sa.update(vectors).values(unused_since=now))
    removed = _change(database, over, sa.delete(vectors))
    for space, part in {(row.fingerprint, row.part) for row in removed if row.part is not None}:
        lake.remove_part(space, part)  # else it would be taken for one that a dead writer has left
    return Sweep(len(noted), len(used_again), len(removed))


def _change(
    database: Database, which: sa.ColumnElement[bool], change: sa.Update | sa.Delete
) -> list[sa.Row[*tuple[Any, ...]]]:
    """Apply a change to the rows that meet a condition, a few at a time, so that writers of the log wait little."""
    v, changed = vectors.c, list[sa.Row[*tuple[Any, ...]]]()
    with database.read() as connection:
        ids = list(connection.scalars(sa.select(v.id).where(which)))
    for start in range(0, len(ids), _ROWS_AT_ONCE):
        these = sa.and_(v.id.in_(ids[start : start + _ROWS_AT_ONCE]), which)
        with database.write() as connection:
            changed += connection.execute(change.where(these).returning(v.fingerprint, v.part)).all()
    return changed
