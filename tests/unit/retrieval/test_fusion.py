"""Reciprocal rank fusion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.retrieval.fusion import reciprocal_rank_fusion

ids = st.sampled_from([f"c{i}" for i in range(12)])
lists = st.dictionaries(st.sampled_from(["dense", "lexical", "title"]), st.lists(ids, unique=True), max_size=3)


def test_the_score_is_the_sum_of_reciprocal_ranks() -> None:
    fused = reciprocal_rank_fusion({"dense": ["a", "b"], "lexical": ["b", "c"]})
    assert list(fused) == ["b", "a", "c"]
    assert fused["b"] == pytest.approx(1 / 61 + 1 / 62)


def test_ties_go_to_the_smaller_id() -> None:
    fused = reciprocal_rank_fusion({"dense": ["z", "a"], "lexical": ["y", "b"]})
    assert list(fused) == ["y", "z", "a", "b"]


def test_nothing_fuses_to_nothing() -> None:
    assert reciprocal_rank_fusion({}) == {}
    assert reciprocal_rank_fusion({"dense": []}) == {}


@given(lists)
def test_holds_every_chunk_once_by_falling_score(lists: dict[str, list[str]]) -> None:
    fused = reciprocal_rank_fusion(lists)
    assert sorted(fused) == sorted({chunk for each in lists.values() for chunk in each})
    assert list(fused.values()) == sorted(fused.values(), reverse=True)
    for chunk_id, score in fused.items():
        ranks = [held.index(chunk_id) + 1 for held in lists.values() if chunk_id in held]
        assert score == pytest.approx(sum(1 / (60 + rank) for rank in ranks))


@given(lists)
def test_the_order_of_the_lists_does_not_matter(lists: dict[str, list[str]]) -> None:
    backwards = dict(reversed(list(lists.items())))
    assert list(reciprocal_rank_fusion(lists).items()) == list(reciprocal_rank_fusion(backwards).items())


@given(st.lists(ids, unique=True))
def test_one_list_keeps_its_order(chunk_ids: list[str]) -> None:
    assert list(reciprocal_rank_fusion({"dense": chunk_ids})) == chunk_ids
