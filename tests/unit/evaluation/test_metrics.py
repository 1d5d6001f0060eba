"""The formulas, by examples that were worked out by hand."""

from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.metrics import METRICS, mean_scores, rank_documents, score


def test_binary_ndcg_follows_the_formula() -> None:
    scores = score({"q": {"a": 3, "b": 1, "c": 0}}, {"q": ["c", "a", "x", "b"]})["q"]
    gained = 1 / log2(2 + 1) + 1 / log2(4 + 1)
    ideal = 1 / log2(1 + 1) + 1 / log2(2 + 1)
    assert scores["ndcg@10"] == pytest.approx(gained / ideal)


def test_graded_ndcg_weighs_by_grade() -> None:
    scores = score({"q": {"a": 3, "b": 1}}, {"q": ["b", "a"]})["q"]
    assert scores["ndcg@10_graded"] == pytest.approx((1 + 3 / log2(3)) / (3 + 1 / log2(3)))
    assert scores["ndcg@10"] == 1


def test_precision_divides_by_five_even_when_less_was_found() -> None:
    assert score({"q": {"a": 1, "b": 2}}, {"q": ["a", "b"]})["q"]["p@5"] == pytest.approx(2 / 5)


def test_recall_divides_by_all_that_is_relevant_and_stops_at_its_depth() -> None:
    ranking = [f"miss{n}" for n in range(10)] + ["a"]
    scores = score({"q": {"a": 1, "b": 1, "c": 0}}, {"q": ranking})["q"]
    assert scores["recall@10"] == 0
    assert scores["recall@100"] == pytest.approx(1 / 2)


@pytest.mark.parametrize(("misses", "expected"), [(0, 1), (3, 1 / 4), (9, 1 / 10), (10, 0)])
def test_reciprocal_rank_looks_ten_deep(misses: int, expected: float) -> None:
    ranking = [f"miss{n}" for n in range(misses)] + ["a"]
    assert score({"q": {"a": 1}}, {"q": ranking})["q"]["mrr@10"] == pytest.approx(expected)


def test_a_query_that_found_nothing_scores_zero_and_does_not_shift_the_others() -> None:
    scores = score({"empty": {"a": 1}, "absent": {"a": 1}, "good": {"a": 1}}, {"good": ["a"], "empty": []})
    assert scores["empty"] == scores["absent"] == dict.fromkeys(METRICS, 0)
    assert scores["good"]["ndcg@10"] == 1
    assert mean_scores(scores)["mrr@10"] == pytest.approx(1 / 3)


def test_the_order_of_the_rankings_does_not_matter() -> None:
    judgments = {"q1": {"a": 1}, "q2": {"b": 1}}
    assert score(judgments, {"q2": ["b"], "q1": ["x", "a"]}) == score(judgments, {"q1": ["x", "a"], "q2": ["b"]})


def test_documents_count_by_their_first_passage_in_the_order_that_was_answered() -> None:
    assert rank_documents([("d", 0.7), ("b", 0.5), ("c", 0.9), ("a", 0.5), ("c", 1.0), ("b", 0.7)]) == list("dbca")


def test_nothing_judged_gives_no_scores() -> None:
    assert score({}, {"q": ["a"]}) == {}
    assert mean_scores({}) == {}


@settings(max_examples=60, deadline=None)
@given(
    relevant=st.sets(st.integers(0, 14).map(str), min_size=1),
    ranking=st.lists(st.integers(0, 30).map(str), unique=True, max_size=31),
)
def test_the_engine_agrees_with_the_formulas_spelled_out(relevant: set[str], ranking: list[str]) -> None:
    scores = score({"q": dict.fromkeys(relevant, 1)}, {"q": ranking})["q"]
    hits = [doc in relevant for doc in ranking]
    ideal = sum(1 / log2(place + 2) for place in range(min(10, len(relevant))))
    assert scores["ndcg@10"] == pytest.approx(
        sum(1 / log2(place + 2) for place, hit in enumerate(hits[:10]) if hit) / ideal
    )
    assert scores["p@5"] == pytest.approx(sum(hits[:5]) / 5)
    assert scores["recall@10"] == pytest.approx(sum(hits[:10]) / len(relevant))
    assert scores["mrr@10"] == pytest.approx(next((1 / (place + 1) for place, hit in enumerate(hits[:10]) if hit), 0))
