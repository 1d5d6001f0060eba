"""Made-up rated queries."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from include.quarry.catalog.ratings import RatedQuery, Rating, Shown

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
Make = Callable[..., RatedQuery]


def shown(chunk_id: str, doc_id: str = "", **ranks: int) -> Shown:
    return Shown(chunk_id, doc_id or f"doc of {chunk_id}", 0.5, ranks or {"dense": 1, "lexical": 1})


@pytest.fixture
def make() -> Make:
    def make(query_id: str = "q", *, overall: int | None = -1, passages=None, said=(), grounded=True) -> RatedQuery:
        ratings = [] if overall is None else [Rating(overall)]
        ratings += [Rating(rating, chunk_id) for chunk_id, rating in said]
        passages = [shown("a"), shown("b")] if passages is None else passages
        return RatedQuery(query_id, "red", f"text of {query_id}", NOON, "v1", passages, grounded, ratings)

    return make
