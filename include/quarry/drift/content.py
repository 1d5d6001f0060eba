"""What a corpus holds, and what arrived between two times, read off the catalog with its vectors out of the lake."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import changes, chunks
from include.quarry.drift.window import Embedded, Window
from include.quarry.drift.words import words_of
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Vectors
from include.quarry.specs import IndexSpec

LARGE_TENANT_DOCUMENTS = 1000


def read_content(
    database: Database, lake: VectorLake, corpus: str, spec: IndexSpec, tenant: str | None = None
) -> Embedded:
    """Every chunk of the corpus, or of one of its tenants, that has its vector."""
    return _embedded(database, lake, spec, _of(corpus, spec, tenant))[0]


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
    """The chunks of the documents that changed in `[since, until)`, in their present version."""
    c, changed = chunks.c, changes.c
    arrived = sa.exists().where(
        changed.corpus == c.corpus,
        changed.tenant == c.tenant,
        changed.doc_id == c.doc_id,
        changed.accepted_at >= since,
        changed.accepted_at < until,
    )
    texts, waiting = _embedded(database, lake, spec, sa.and_(_of(corpus, spec, tenant), arrived))
    return Window(texts, since, until, waiting)


def read_texts(database: Database, chunk_ids: Sequence[str]) -> list[str]:
    """The texts of those chunks that are still there."""
    with database.read() as connection:
        return list(connection.scalars(sa.select(chunks.c.text).where(chunks.c.chunk_id.in_(chunk_ids))))


def large_tenants(database: Database, corpus: str) -> list[str]:
    """The tenants with enough documents to be watched by themselves, unless one has the corpus to itself."""
    c = chunks.c
    documents = sa.func.count(sa.distinct(c.doc_id))
    query = sa.select(c.tenant, documents).where(c.corpus == corpus).group_by(c.tenant).order_by(c.tenant)
    with database.read() as connection:
        tenants = connection.execute(query).all()
    return [tenant for tenant, count in tenants if count >= LARGE_TENANT_DOCUMENTS and len(tenants) > 1]


def _of(corpus: str, spec: IndexSpec, tenant: str | None) -> sa.ColumnElement[bool]:
    of_corpus = sa.and_(chunks.c.corpus == corpus, chunks.c.chunker == spec.chunker.fingerprint)
    return of_corpus if tenant is None else sa.and_(of_corpus, chunks.c.tenant == tenant)


def _embedded(
    database: Database, lake: VectorLake, spec: IndexSpec, wanted: sa.ColumnElement[bool]
) -> tuple[Embedded, int]:
    """The chunks that have their vector, and how many documents wait for one."""
    c = chunks.c
    query = sa.select(c.chunk_id, c.tenant, c.doc_id, c.text_hash, c.text).where(wanted).order_by(c.chunk_id)
    with database.read() as connection:
        rows = connection.execute(query).all()
    space = spec.embedding.fingerprint
    missing = set(lake.missing(space, [row.text_hash for row in rows]))
    ready = [row for row in rows if row.text_hash not in missing]
    nothing = Vectors(space, np.empty((0, spec.embedding.dimensions), np.float32))
    vectors = lake.fetch(space, [row.text_hash for row in ready]) if ready else nothing
    documents = tuple(f"{row.tenant}/{row.doc_id}" for row in ready)
    words = tuple(words_of(row.text) for row in ready)
    waiting = {(row.tenant, row.doc_id) for row in rows if row.text_hash in missing}
    return Embedded(vectors, tuple(row.chunk_id for row in ready), documents, words), len(waiting)
