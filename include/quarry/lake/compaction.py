"""Compaction: the fresh tail, small parts, and parts that have lost many of their vectors become a few full parts.

A vector is in the lake at every moment: it is written to its new place, then one transaction says that it lies there,
then the old place goes. Killed anywhere, this leaves at worst a part that nobody names, which the next run removes.
Readers that find a part gone look again where their vectors lie now.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import vectors
from include.quarry.errors import NotFound
from include.quarry.lake.parts import Parts
from include.quarry.lake.vectors import VectorLake

_VECTORS_PER_PART = 8192  # 13 MB of 384 numbers each
_SMALL = _VECTORS_PER_PART // 2
_THIN = 0.9
_PARTS_AT_ONCE = 500
_IN_THE_MAKING_S = 3600.0


@dataclass(frozen=True, slots=True)
class Compaction:
    """What became of one space: how many vectors were moved, and in how many parts all of it lies now."""

    space: str
    moved: int
    parts: int


def compact_lake(database: Database, lake: VectorLake) -> list[Compaction]:
    """Compact every space; those in which nothing was to do are left out. Safe to run while vectors come and go, and
    beside another run of itself."""
    with database.read() as connection:
        indexed = set(connection.scalars(sa.select(vectors.c.fingerprint).distinct()))
    done = []
    for space in sorted(indexed | lake.parts.spaces()):
        _remove_orphans(lake, space)
        if moved := sum(_compact(database, lake, space, some) for some in _due(database, lake.parts, space)):
            done.append(Compaction(space, moved, len(_used(database, space))))
    return done


def _due(database: Database, parts: Parts, space: str) -> Iterator[list[str]]:
    """The parts to be emptied, some at a time; the tail goes with the first of them. One small part alone may stay."""
    used = _used(database, space)
    thin = [name for name, count in used.items() if count < _SMALL or count < _THIN * _size(parts, space, name)]
    has_tail = _tail(database, space)
    if not has_tail and len(thin) == 1 and used[thin[0]] >= _THIN * _size(parts, space, thin[0]):
        return
    if has_tail and not thin:
        yield []
    for start in range(0, len(thin), _PARTS_AT_ONCE):
        yield thin[start : start + _PARTS_AT_ONCE]


def _compact(database: Database, lake: VectorLake, space: str, parts: list[str]) -> int:
    """Move the tail, and all that these parts hold, into full parts; gives how many vectors that was."""
    v, last, moved = vectors.c, 0, 0
    lies_there = sa.or_(v.part.in_(parts), v.inline.is_not(None))
    query = sa.select(v.id, v.text_hash).where(v.fingerprint == space, lies_there).order_by(v.id)
    while True:
        with database.read() as connection:
            rows = connection.execute(query.where(v.id > last).limit(_VECTORS_PER_PART)).all()
        if not rows:
            break
        hashes = [row.text_hash for row in rows]
        try:
            lake.move(space, hashes)
            moved += len(hashes)
        except NotFound:
            pass  # one of them was removed meanwhile, as unused; the rest is left to the next run
        last = rows[-1].id
    for name in parts:
        lake.remove_part(space, name)
    return moved


def _remove_orphans(lake: VectorLake, space: str) -> None:
    """What dead writers have left: parts that hold a vector that the lake lacks are adopted, the others go."""
    lake.parts.remove_drafts(space, older_than_s=_IN_THE_MAKING_S)
    for name in lake.orphans(space, older_than_s=_IN_THE_MAKING_S):
        lake.adopt_part(space, name)
        lake.remove_part(space, name)


def _used(database: Database, space: str) -> dict[str, int]:
    """How many vectors lie in each part, of those that the index knows."""
    v = vectors.c
    query = sa.select(v.part, sa.func.count()).where(v.fingerprint == space, v.part.is_not(None)).group_by(v.part)
    with database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def _tail(database: Database, space: str) -> bool:
    one = sa.select(vectors.c.id).where(vectors.c.fingerprint == space, vectors.c.inline.is_not(None)).limit(1)
    with database.read() as connection:
        return connection.scalar(one) is not None


def _size(parts: Parts, space: str, name: str) -> int:
    try:
        return parts.count(space, name)
    except FileNotFoundError:  # another run has emptied it
        return 0
