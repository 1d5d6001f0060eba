"""What a corpus holds, and what arrived between two times, read off the catalog with its vectors out of the lake.

Random documents stand for all where there are many, and random passages for a long document, so that the memory this
takes does not grow with the corpus.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

import numpy as np
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.log import rows_of
from include.quarry.catalog.schema import changes, chunks, documents, vectors
from include.quarry.drift.window import MAX_DOCUMENTS, Embedded, Window
from include.quarry.drift.words import words_of
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import DocumentKey, Vectors
from include.quarry.specs import IndexSpec

LARGE_TENANT_DOCUMENTS = 1000
MOST_DOCUMENTS = 5000
"""Of a corpus: more than fill the sample of a reference, and its centroids, which take a thousand vectors each."""
_MOST_CHUNKS = 64
_IDS_A_QUERY = 800
_SEED = 6


def read_content(
    database: Database, lake: VectorLake, corpus: str, spec: IndexSpec, tenant: str | None = None
) -> Embedded:
    """Documents of the corpus, or of one of its tenants, that have vectors: all, or `MOST_DOCUMENTS` random ones."""
    d = documents.c
    there = sa.select(d.corpus, d.tenant, d.doc_id).where(d.corpus == corpus, ~d.deleted)
    among = (there if tenant is None else there.where(d.tenant == tenant)).subquery()
    return _embedded(database, lake, spec, among, MOST_DOCUMENTS)[0]


def read_window(
    database: Database,
    lake: VectorLake,
    corpus: str,
    spec: IndexSpec,
    *,
    since: datetime,
    until: datetime,
    tenant: str | None = None,
) -> Window:
    """The documents that changed in `[since, until)`, in their present version: all, or as many random ones as a window
    is judged by."""
    c = changes.c
    changed = sa.select(c.corpus, c.tenant, c.doc_id).where(
        c.corpus == corpus, c.accepted_at >= since, c.accepted_at < until
    )
    among = (changed if tenant is None else changed.where(c.tenant == tenant)).distinct().subquery()
    texts, waiting = _embedded(database, lake, spec, among, MAX_DOCUMENTS)
    return Window(texts, since, until, waiting)


def read_texts(database: Database, chunk_ids: Sequence[str]) -> list[str]:
    """The texts of those chunks that are still there."""
    with database.read() as connection:
        return [row.text for row in _texts(connection, chunk_ids)]


def large_tenants(database: Database, corpus: str) -> list[str]:
    """The tenants with enough documents to be watched by themselves, unless one has the corpus to itself."""
    d = documents.c
    counts = sa.select(d.tenant, sa.func.count()).where(d.corpus == corpus, ~d.deleted).group_by(d.tenant)
    with database.read() as connection:
        tenants = connection.execute(counts.order_by(d.tenant)).all()
    return [tenant for tenant, count in tenants if count >= LARGE_TENANT_DOCUMENTS and len(tenants) > 1]


def _embedded(
    database: Database, lake: VectorLake, spec: IndexSpec, among: sa.Subquery, most: int
) -> tuple[Embedded, int]:
    """Those of the documents that have vectors, at most so many, and how many of all wait for one."""
    space, random = spec.embedding.fingerprint, np.random.default_rng(_SEED)
    of_spec = chunks.c.chunker == spec.chunker.fingerprint
    with database.read() as connection:
        ready, waiting = _ready(connection, of_spec, space, among)
        chosen = [ready[row] for row in random.permutation(len(ready))[:most]]
        passages = [
            row
            for own in _passages(connection, of_spec, chosen)
            for row in (own[place] for place in random.permutation(len(own))[:_MOST_CHUNKS])
        ]
        words = {row.chunk_id: words_of(row.text) for row in _texts(connection, [row.chunk_id for row in passages])}
    held = lake.look_up(space, [row.text_hash for row in passages])
    rows = [row for row in passages if row.text_hash in held]
    nothing = np.empty((0, spec.embedding.dimensions))
    values = np.stack([held[row.text_hash] for row in rows]) if rows else nothing
    chunk_ids, owners = tuple(row.chunk_id for row in rows), tuple(f"{row.tenant}/{row.doc_id}" for row in rows)
    of_rows = tuple(words[chunk_id] for chunk_id in chunk_ids)
    return Embedded(Vectors(space, values.astype(np.float32)), chunk_ids, owners, of_rows), waiting


def _ready(
    connection: sa.Connection, of_spec: sa.ColumnElement[bool], space: str, among: sa.Subquery
) -> tuple[list[DocumentKey], int]:
    """The documents with a passage that has its vector, in order, and how many have one that has none yet."""
    its = sa.and_(of_spec, *(chunks.c[name] == among.c[name] for name in DocumentKey._fields))
    has_vector = sa.exists().where(vectors.c.fingerprint == space, vectors.c.text_hash == chunks.c.text_hash)
    ready = sa.select(among).where(sa.exists().where(its, has_vector)).order_by(*among.c)
    waiting = sa.select(sa.func.count()).select_from(among).where(sa.exists().where(its, ~has_vector))
    return [DocumentKey(*row) for row in connection.execute(ready)], int(connection.scalar(waiting) or 0)


def _passages(
    connection: sa.Connection, of_spec: sa.ColumnElement[bool], keys: Sequence[DocumentKey]
) -> Iterator[list[sa.Row[*tuple[Any, ...]]]]:
    """The passages of each of the documents, without their texts."""
    c = chunks.c
    for of_some in rows_of(chunks, keys):
        query = sa.select(c.tenant, c.doc_id, c.chunk_id, c.text_hash).where(of_spec, of_some)
        rows = connection.execute(query.order_by(c.tenant, c.doc_id, c.chunk_id))
        yield from (list(own) for _, own in groupby(rows, key=lambda row: (row.tenant, row.doc_id)))


def _texts(connection: sa.Connection, chunk_ids: Sequence[str]) -> Iterator[sa.Row[*tuple[Any, ...]]]:
    for start in range(0, len(chunk_ids), _IDS_A_QUERY):
        some = chunks.c.chunk_id.in_(chunk_ids[start : start + _IDS_A_QUERY])
        yield from connection.execute(sa.select(chunks.c.chunk_id, chunks.c.text).where(some))
