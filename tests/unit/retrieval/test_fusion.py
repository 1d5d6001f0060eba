"""Reciprocal rank fusion."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.retrieval.fusion import reciprocal_rank_fusion

ids = st.sampled_from([f"c{i}" for i in range(12)])
lists = st.dictionaries(st.sampled_from(["dense", "lexical", "title"]), st.lists(ids, unique=True), max_size=3)


def test_the_score_is_the_sum_of_reciprocal_ranks() -> None:
    fused = reciprocal_rank_fusion({"dense": ["a", "b"], "lexical": ["b", "c"]})
    assert [each.chunk_id for each in fused] == ["b", "a", "c"]
    assert fused[0].score == pytest.approx(1 / 61 + 1 / 62)
    assert fused[0].ranks == {"dense": 2, "lexical": 1}


def test_ties_go_to_the_better_rank_then_to_the_smaller_id() -> None:
    fused = reciprocal_rank_fusion({"dense": ["z", "a"], "lexical": ["y", "b"]})
    assert [each.chunk_id for each in fused] == ["y", "z", "a", "b"]


def test_the_best_rank_decides_between_equal_scores() -> None:
    # k = 0: 1/2 = 1/3 + 1/6
    lists = {"dense": ["x", "one", "two"], "lexical": ["p", "q", "r", "s", "t", "two"]}
    fused = reciprocal_rank_fusion(lists, k=0)
    scores = {each.chunk_id: each.score for each in fused}
    assert scores["one"] == pytest.approx(scores["two"])
    assert scores["q"] == scores["one"]


def test_nothing_fuses_to_nothing() -> None:
    assert reciprocal_rank_fusion({}) == []
    assert reciprocal_rank_fusion({"dense": []}) == []


@given(lists)
def test_holds_every_chunk_once_by_falling_score(lists: dict[str, list[str]]) -> None:
    fused = reciprocal_rank_fusion(lists)
    assert sorted(each.chunk_id for each in fused) == sorted({chunk for each in lists.values() for chunk in each})
    assert [each.score for each in fused] == sorted((each.score for each in fused), reverse=True)
    for each in fused:
        assert each.score == pytest.approx(sum(1 / (60 + rank) for rank in each.ranks.values()))
        assert all(lists[name][rank - 1] == each.chunk_id for name, rank in each.ranks.items())


@given(lists)
def test_the_order_of_the_lists_does_not_matter(lists: dict[str, list[str]]) -> None:
    backwards = dict(reversed(list(lists.items())))
    assert reciprocal_rank_fusion(lists) == reciprocal_rank_fusion(backwards)


@given(st.lists(ids, unique=True))
def test_one_list_keeps_its_order(chunk_ids: list[str]) -> None:
    assert [each.chunk_id for each in reciprocal_rank_fusion({"dense": chunk_ids})] == chunk_ids
