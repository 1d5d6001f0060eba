"""Low-rated queries are gathered by subject; pleased ones only count towards the rate."""

import numpy as np

from include.quarry.feedback.clusters import cluster_queries
from tests.unit.feedback.conftest import Make


def near(axis: int, seed: int) -> np.ndarray:
    vector = np.eye(8)[axis] + np.random.default_rng(seed).normal(size=8) * 0.05
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def test_each_subject_is_one_cluster_the_most_disappointing_first(make: Make) -> None:
    queries = [make("once"), make("twice-a"), make("twice-b")]
    clusters = cluster_queries(queries, np.stack([near(0, 1), near(1, 2), near(1, 3)]))
    assert [{query.query_id for query in cluster.queries} for cluster in clusters] == [{"twice-a", "twice-b"}, {"once"}]


def test_pleased_queries_lower_the_rate_and_are_not_listed(make: Make) -> None:
    queries = [make("bad"), make("good", overall=1), make("elsewhere", overall=1)]
    clusters = cluster_queries(queries, np.stack([near(0, 1), near(0, 2), near(0, 3)]))
    assert [query.query_id for query in clusters[0].queries] == ["bad"]
    assert (clusters[0].rated, clusters[0].low, clusters[0].low_rate) == (3, 1, 1 / 3)


def test_what_pleased_about_something_else_lowers_no_rate(make: Make) -> None:
    queries = [make("bad"), *(make(f"good-{number}", overall=1) for number in range(5))]
    clusters = cluster_queries(queries, np.stack([near(0, 1), *(near(1, number) for number in range(5))]))
    assert (clusters[0].rated, clusters[0].low_rate) == (1, 1.0)


def test_without_disappointment_there_is_nothing_to_review(make: Make) -> None:
    assert cluster_queries([make("good", overall=1)], near(0, 1)[None]) == []
    assert cluster_queries([], np.zeros((0, 8), np.float32)) == []


def test_the_order_of_the_queries_does_not_matter(make: Make) -> None:
    queries = [make(name) for name in "abcdef"]
    vectors = np.stack([near(place % 2, place) for place in range(6)])
    forward = cluster_queries(queries, vectors)
    backward = cluster_queries(queries[::-1], vectors[::-1])
    assert [c.queries for c in forward] == [c.queries for c in backward]
