"""The vector lake: (spec fingerprint, text hash) -> vector. A text is embedded once per space, for all tenants.

Bulk vectors lie in Parquet parts, each written whole and never changed; the fresh tail lies inline in SQL. The SQL
table is the index of both, and its unique key is what "once" means. Maintenance moves vectors out of the tail and small
parts into larger ones: where a vector lies may change at any moment, what it is does not.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import uuid4

import numpy as np
import sqlalchemy as sa

from include.quarry.catalog.database import Database, insert_missing
from include.quarry.catalog.schema import vectors as index
from include.quarry.errors import IncompleteIndex, NotFound
from include.quarry.lake.claims import release
from include.quarry.lake.parts import Parts
from include.quarry.records import Float32, Vectors

_HASHES_PER_QUERY = 800  # stays below the parameter limit of every SQLite build
_LOOKS = 5
_TAIL_PAGE = 4096


class VectorLake:
    """Vectors under a root folder or object-store URI, indexed by the catalog. Safe to share between processes."""

    def __init__(self, database: Database, uri: str) -> None:
        self._database = database
        self.parts = Parts(uri)

    def missing(self, fingerprint: str, hashes: Iterable[str]) -> list[str]:
        """Those of the hashes, each once and in order, for which the lake has no vector."""
        wanted = list(dict.fromkeys(hashes))
        with self._database.read() as connection:
            present = {row.text_hash for row in _index_rows(connection, fingerprint, wanted)}
        return [text_hash for text_hash in wanted if text_hash not in present]

    def put_inline(self, hashes: Sequence[str], vectors: Vectors, *, claimed_by: str | None = None) -> None:
        """Add fresh vectors; a hash that the lake already has keeps its vector. What `claimed_by` holds in their space
        is given back with it."""
        rows = [
            {"fingerprint": vectors.fingerprint, "text_hash": text_hash, "inline": value.astype("<f4").tobytes()}
            for text_hash, value in zip(hashes, vectors.values, strict=True)
        ]
        with self._database.write() as connection:
            insert_missing(connection, index, rows)
            if claimed_by is not None:
                release(connection, vectors.fingerprint, claimed_by)

    def put_part(self, name: str, hashes: Sequence[str], vectors: Vectors) -> None:
        """Write one Parquet part, whole or not at all, then index it. Writing the same part again changes nothing."""
        self.parts.write(name, hashes, vectors)
        self._index_part(vectors.fingerprint, name, hashes)

    def adopt_part(self, fingerprint: str, name: str) -> int | None:
        """Index a part whose writer died before it could; gives its row count, or None where there is no such part."""
        if not self.parts.exists(fingerprint, name):
            return None
        try:
            hashes = self.texts_of(fingerprint, name)
        except FileNotFoundError:  # maintenance has removed it meanwhile
            return None
        return len(hashes) if self._index_part(fingerprint, name, hashes) else None

    def texts_of(self, fingerprint: str, name: str) -> list[str]:
        """The text hashes of a part, in its order. Raises `OSError` where there is no such part."""
        return self.parts.hashes(fingerprint, name)

    def adopt_orphans(self, fingerprint: str) -> int:
        """Index every part that no process indexed; how many there were. Run before planning what is missing."""
        orphans = self.orphans(fingerprint)
        for name in sorted(orphans):
            self.adopt_part(fingerprint, name)
        return len(orphans)

    def orphans(self, fingerprint: str, *, older_than_s: float = 0.0) -> set[str]:
        """The parts that the index does not name."""
        names = self.parts.names(fingerprint, older_than_s=older_than_s)
        with self._database.read() as connection:
            query = sa.select(index.c.part).where(index.c.fingerprint == fingerprint).distinct()
            return names - set(connection.scalars(query))

    def fetch(self, fingerprint: str, hashes: Sequence[str]) -> Vectors:
        """Vectors `[n, d]` in the order of the hashes. Raises `NotFound` when one was never embedded."""
        found = self._gather(fingerprint, list(dict.fromkeys(hashes)))
        if absent := [text_hash for text_hash in hashes if text_hash not in found]:
            raise NotFound(
                f"lake has no vector of space {fingerprint} for {len(absent)} of {len(hashes)} texts, first "
                f"{absent[0]}; run backfill_embeddings"
            )
        return Vectors(fingerprint, np.stack([found[text_hash] for text_hash in hashes]).astype(np.float32))

    def look_up(self, fingerprint: str, hashes: Sequence[str]) -> dict[str, Float32]:
        """The vectors of those of the hashes that have one now: maintenance removes what is unused, at any moment."""
        return self._gather(fingerprint, list(dict.fromkeys(hashes)))

    def everything(self, fingerprint: str) -> Iterator[tuple[list[str], Float32]]:
        """Hashes and vectors `[n, d]` of a whole space, each part read once and the tail a page at a time. What is
        moved meanwhile may be left out."""
        i = index.c
        with self._database.read() as connection:
            names = list(
                connection.scalars(
                    sa.select(i.part).where(i.fingerprint == fingerprint, i.part.is_not(None)).distinct()
                )
            )
        for name in names:
            query = sa.select(i.text_hash, i.position).where(i.fingerprint == fingerprint, i.part == name)
            with self._database.read() as connection:
                rows = connection.execute(query).all()
            try:
                values = self.parts.values(fingerprint, name)
            except FileNotFoundError:  # maintenance has emptied it meanwhile
                continue
            yield [row.text_hash for row in rows], values[[row.position for row in rows]]
        yield from self._tail(fingerprint)

    def move(self, fingerprint: str, hashes: Sequence[str]) -> None:
        """Write a part of vectors that lie elsewhere in the lake, then let the index say that they lie there. One that
        was removed meanwhile stays removed. Where they lay, they are left. Raises `NotFound` as `fetch` does, and
        `IncompleteIndex` when what was written does not read back as it was; nothing is changed then."""
        name = uuid4().hex  # not two writers of one file, when two move the same
        vectors = self.fetch(fingerprint, hashes)
        self.parts.write(name, hashes, vectors)
        if not self._reads_back(name, hashes, vectors):
            raise IncompleteIndex(f"part {name} of space {fingerprint} does not read back as it was written")
        row = sa.and_(index.c.fingerprint == fingerprint, index.c.text_hash == sa.bindparam("moved"))
        there = sa.update(index).where(row).values(part=name, position=sa.bindparam("place"), inline=None)
        with self._database.write() as connection:
            if not self.parts.exists(fingerprint, name):
                return  # nobody named it for so long that another run took it for an orphan
            places = [{"moved": text_hash, "place": place} for place, text_hash in enumerate(hashes)]
            connection.execute(there, places)

    def remove_part(self, fingerprint: str, name: str) -> bool:
        """Remove a part that the index does not name; false where it does. Nobody can come to name it meanwhile."""
        named = sa.select(index.c.id).where(index.c.fingerprint == fingerprint, index.c.part == name).limit(1)
        with self._database.write() as connection:
            if connection.scalar(named) is not None:
                return False
            self.parts.remove(fingerprint, name)
        return True

    def _reads_back(self, name: str, hashes: Sequence[str], vectors: Vectors) -> bool:
        same = self.parts.hashes(vectors.fingerprint, name) == list(hashes)
        return same and np.array_equal(self.parts.values(vectors.fingerprint, name), vectors.values)

    def _gather(self, fingerprint: str, hashes: Sequence[str]) -> dict[str, Float32]:
        """What there is of the vectors. A part that is gone was emptied after the index was read: so read it again."""
        for _ in range(_LOOKS - 1):
            try:
                return self._read(fingerprint, hashes)
            except FileNotFoundError:
                continue
        return self._read(fingerprint, hashes)

    def _read(self, fingerprint: str, hashes: Sequence[str]) -> dict[str, Float32]:
        found: dict[str, Float32] = {}
        in_parts: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        with self._database.read() as connection:
            for row in _index_rows(connection, fingerprint, hashes):
                if row.inline is not None:
                    found[row.text_hash] = np.frombuffer(row.inline, "<f4")
                else:
                    in_parts[row.part].append((row.position, row.text_hash))
        for part, members in in_parts.items():
            values = self.parts.values(fingerprint, part)
            found.update((text_hash, values[position]) for position, text_hash in members)
        return found

    def _tail(self, fingerprint: str) -> Iterator[tuple[list[str], Float32]]:
        i, last = index.c, 0
        query = sa.select(i.id, i.text_hash, i.inline).where(i.fingerprint == fingerprint, i.inline.is_not(None))
        while True:
            with self._database.read() as connection:
                rows = connection.execute(query.where(i.id > last).order_by(i.id).limit(_TAIL_PAGE)).all()
            if not rows:
                return
            last = rows[-1].id
            yield [row.text_hash for row in rows], np.stack([np.frombuffer(row.inline, "<f4") for row in rows])

    def _index_part(self, fingerprint: str, name: str, hashes: Sequence[str]) -> bool:
        """Name the part for each hash that the index does not have; false where there is no such part any more."""
        rows = [
            {"fingerprint": fingerprint, "text_hash": text_hash, "part": name, "position": position}
            for position, text_hash in enumerate(hashes)
        ]
        with self._database.write() as connection:
            if not self.parts.exists(fingerprint, name):
                return False
            insert_missing(connection, index, rows)
        return True


def _index_rows(
    connection: sa.Connection, fingerprint: str, hashes: Sequence[str]
) -> Iterator[sa.Row[*tuple[Any, ...]]]:
    columns = (index.c.text_hash, index.c.part, index.c.position, index.c.inline)
    for start in range(0, len(hashes), _HASHES_PER_QUERY):
        some = hashes[start : start + _HASHES_PER_QUERY]
        query = sa.select(*columns).where(index.c.fingerprint == fingerprint, index.c.text_hash.in_(some))
        yield from connection.execute(query)
