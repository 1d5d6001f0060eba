"""What was asked of a corpus between two times, read off the query log and embedded as the live version embeds.

A text that a tenant asks again and again counts once: otherwise one patient client would be a drift.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.request_schema import queries
from include.quarry.drift.window import Embedded
from include.quarry.drift.words import words_of
from include.quarry.embedding.protocol import Embedder


@dataclass(frozen=True, slots=True)
class Asked:
    """A query, by one of the times that it was asked in this wording."""

    query_id: str
    tenant: str
    text: str

    @property
    def name(self) -> str:
        """What it goes by where documents have names."""
        return f"{self.tenant}/{self.query_id}"


def read_queries(
    database: Database, corpus: str, since: datetime, until: datetime, *, most: int, seed: int = 0
) -> list[Asked]:
    """The different queries asked in `[since, until)`; a random `most` of them where there are more."""
    q = queries.c
    asked = (
        sa.select(sa.func.min(q.query_id).label("query_id"), q.tenant, q.query.label("text"))
        .where(q.corpus == corpus, q.asked_at >= since, q.asked_at < until)
        .group_by(q.tenant, q.query)
        .order_by(sa.literal_column("query_id"))
    )
    with database.read() as connection:
        found = [Asked(**row._asdict()) for row in connection.execute(asked)]
    if len(found) <= most:
        return found
    return [found[row] for row in np.random.default_rng([seed, 5]).choice(len(found), most, replace=False)]


def embed_queries(asked: list[Asked], embedder: Embedder) -> Embedded:
    """A document each."""
    return Embedded(
        embedder.encode([query.text for query in asked]),
        chunk_ids=tuple(query.query_id for query in asked),
        documents=tuple(query.name for query in asked),
        words=tuple(words_of(query.text) for query in asked),
    )
