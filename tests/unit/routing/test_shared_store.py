"""Two replicas over one store: the one that is behind sees more vectors than it has passages for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.quarry.errors import IncompleteIndex
from include.quarry.retrieval.index import Index
from include.quarry.routing.follower import Follower
from tests.unit.routing.corpus import SPEC, Corpus


@pytest.fixture
def replicas(corpus: Corpus, tmp_path: Path) -> Iterator[list[tuple[Index, Follower]]]:
    """Two indexes at the head of the log, with one store between them."""
    corpus.put("a", "Granite.")
    corpus.embed()
    indexes = [Index.create(SPEC, "v1", tmp_path / name) for name in ("one", "two")]
    indexes[1]._store = indexes[0]._store
    followers = [Follower(corpus.database, corpus.lake, index, "main") for index in indexes]
    for follower in followers:
        follower.step()
    yield list(zip(indexes, followers, strict=True))


def test_a_store_that_is_ahead_is_followed_before_it_is_called_incomplete(
    replicas: list[tuple[Index, Follower]], corpus: Corpus
) -> None:
    (_, ahead), (index, behind) = replicas
    corpus.put("b", "Chalk.")
    corpus.embed()
    ahead.step()
    with pytest.raises(IncompleteIndex, match="store"):
        list(index.contents())
    assert len(behind.settled(lambda: list(index.contents()))) == 2


def test_parts_that_stay_apart_are_incomplete_after_a_few_looks(
    replicas: list[tuple[Index, Follower]], corpus: Corpus
) -> None:
    _, (index, follower) = replicas
    looks = []

    def look() -> None:
        looks.append(index.watermark)
        raise IncompleteIndex("they differ")

    with pytest.raises(IncompleteIndex):
        follower.settled(look)
    assert len(looks) == 3
