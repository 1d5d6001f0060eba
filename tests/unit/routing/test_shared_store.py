"""Two replicas over one store: the one that is behind sees more vectors than it has passages for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.quarry.errors import IncompleteIndex
from include.quarry.records import Scope
from include.quarry.retrieval import index as index_module
from include.quarry.retrieval.index import Index
from include.quarry.routing.follower import Follower
from tests.unit.routing.corpus import SPEC, Corpus, HashEmbedder


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
    assert 1 < len(looks) <= 10


def found(index: Index) -> list[str]:
    """By meaning alone: no passage has this word."""
    (hits,) = index.find(["feldspar"], HashEmbedder().encode(["feldspar"]), 5, Scope("default")).hits
    return [hit.chunk.passage.text for hit in hits]


def test_a_replica_that_is_behind_misses_no_document_but_looks_again_until_it_has_followed(
    replicas: list[tuple[Index, Follower]], corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the other replica has put in the place of a document has no passage here yet."""
    (_, ahead), (index, behind) = replicas
    pauses: list[float] = []

    def pause(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 3:
            behind.step()

    monkeypatch.setattr(index_module, "sleep", pause)
    monkeypatch.setattr(Index, "waits", True)
    corpus.put("a", "Granite, polished.")
    corpus.embed()
    ahead.step()
    assert found(index) == ["Granite, polished."]
    assert len(pauses) == 3


def test_a_replica_that_cannot_follow_answers_with_what_it_has(
    replicas: list[tuple[Index, Follower]], corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    (_, ahead), (index, _) = replicas
    monkeypatch.setattr(index_module, "sleep", lambda _: None)
    monkeypatch.setattr(Index, "waits", True)
    corpus.put("b", "Chalk.")
    corpus.embed()
    ahead.step()
    assert found(index) == ["Granite."]
