"""What people think of answers: their ratings, beside what was asked and shown."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from include.quarry.catalog.request_schema import audit_records, queries, ratings
from include.quarry.catalog.schema import chunks

_A_QUERY = 500


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage that was shown, with its score and its rank (1 is best) in each list that held it."""

    chunk_id: str
    doc_id: str
    score: float
    ranks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rating:
    """One opinion, +1 or -1: of the answer as a whole, or of one passage of it where `chunk_id` is not empty."""

    rating: int
    chunk_id: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class RatedQuery:
    """A query that somebody rated. `grounded` is None for a plain retrieval, which has no answer."""

    query_id: str
    tenant: str
    text: str
    asked_at: datetime
    index_version: str
    shown: Sequence[Shown]
    grounded: bool | None
    ratings: Sequence[Rating]

    @property
    def score(self) -> float:
        """The mean of what was said of it as a whole or, where nobody did, of its passages: -1 to 1."""
        of_all = [each.rating for each in self.ratings if not each.chunk_id] or [each.rating for each in self.ratings]
        return sum(of_all) / len(of_all) if of_all else 0.0

    @property
    def is_low(self) -> bool:
        """Whether more people were disappointed than pleased."""
        return self.score < 0

    def said_of(self, chunk_id: str) -> int:
        """The sum of the ratings of one passage."""
        return sum(each.rating for each in self.ratings if each.chunk_id == chunk_id)


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as far as a rating of it must know it. `chunk_ids` is None where only the audit remembers the query."""

    tenant: str
    chunk_ids: frozenset[str] | None


def find_asked(connection: sa.Connection, query_id: str) -> Asked | None:
    """The query that had this id, whoever asked it."""
    row = connection.execute(sa.select(queries.c.tenant, queries.c.hits).where(queries.c.query_id == query_id)).first()
    if row is not None:
        return Asked(row.tenant, frozenset(hit[0] for hit in row.hits))
    a = audit_records.c
    tenant = connection.scalar(sa.select(a.tenant).where(a.query_id == query_id, a.status < 400).limit(1))
    return None if tenant is None else Asked(tenant, None)


def store_rating(connection: sa.Connection, query_id: str, tenant: str, subject: str, rating: Rating) -> None:
    """Keep what somebody thinks of a query, or of one passage of it; a later opinion replaces an earlier one."""
    r = ratings.c
    mine = sa.and_(r.query_id == query_id, r.subject == subject, r.chunk_id == rating.chunk_id)
    connection.execute(sa.delete(ratings).where(mine, r.tenant == tenant))
    values = {"rating": rating.rating, "comment": rating.comment, "rated_at": datetime.now(UTC)}
    connection.execute(
        sa.insert(ratings).values(query_id=query_id, tenant=tenant, subject=subject, chunk_id=rating.chunk_id, **values)
    )


def rated_queries(connection: sa.Connection, corpus: str, since: datetime, until: datetime) -> list[RatedQuery]:
    """The rated queries of a corpus that were asked in `[since, until)`, in the order in which they were asked."""
    q, r = queries.c, ratings.c
    rated = sa.select(r.query_id).distinct()
    asked = sa.and_(q.corpus == corpus, q.asked_at >= since, q.asked_at < until)
    columns = (q.query_id, q.tenant, q.query, q.asked_at, q.index_version, q.hits, q.grounded)
    found = connection.execute(
        sa.select(*columns).where(asked, q.query_id.in_(rated)).order_by(q.asked_at, q.query_id)
    ).all()
    said: defaultdict[str, list[Rating]] = defaultdict(list)
    opinions = sa.select(r.query_id, r.rating, r.chunk_id, r.comment).join(queries, q.query_id == r.query_id)
    for row in connection.execute(opinions.where(asked).order_by(r.rated_at)):
        said[row.query_id].append(Rating(row.rating, row.chunk_id, row.comment))
    return [
        RatedQuery(
            row.query_id,
            row.tenant,
            row.query,
            row.asked_at,
            row.index_version,
            tuple(_shown(row.hits)),
            row.grounded,
            tuple(said[row.query_id]),
        )
        for row in found
    ]


def passage_texts(connection: sa.Connection, chunk_ids: Sequence[str]) -> dict[str, str]:
    """The texts of those passages that are still there."""
    texts: dict[str, str] = {}
    for start in range(0, len(chunk_ids), _A_QUERY):
        wanted = chunks.c.chunk_id.in_(chunk_ids[start : start + _A_QUERY])
        texts |= {row.chunk_id: row.text for row in connection.execute(sa.select(chunks).where(wanted))}
    return texts


def _shown(hits: Iterable[Sequence[object]]) -> Iterable[Shown]:
    for chunk_id, doc_id, score, ranks in hits:
        assert isinstance(score, (int, float)) and isinstance(ranks, dict)  # noqa: S101 - as the log writes them
        yield Shown(str(chunk_id), str(doc_id), float(score), ranks)
