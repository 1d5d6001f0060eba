"""A suite is read whole or not at all, and says what it left out."""

from pathlib import Path

import pytest

from evaluation.judgments import load_suite
from include.quarry.errors import InvalidInput, NotFound


def test_a_plain_beir_folder_is_a_suite(write_suite) -> None:
    suite = load_suite(str(write_suite(name="My Set_1", corpus=[{"_id": "a", "text": "x"}])))
    assert [query.query_id for query in suite.queries] == ["q1", "q2"]
    assert suite.judgments == {"q1": {"a": 1}, "q2": {"b": 2}}
    assert suite.name == "my-set-1"
    assert suite.corpus == "eval-my-set-1"
    assert suite.card.headline == "ndcg@10"


def test_a_suite_without_a_corpus_judges_a_live_one(write_suite) -> None:
    assert load_suite(str(write_suite())).corpus == "main"
    assert load_suite(str(write_suite(card="corpus: handbook\n"))).corpus == "handbook"


def test_queries_of_other_splits_are_not_asked_and_are_counted(write_suite) -> None:
    queries = [{"_id": "q1", "text": "judged"}, {"_id": "other", "text": "of the train split"}]
    suite = load_suite(str(write_suite(queries=queries, qrels="q1\ta\t1\nlost\ta\t1\n")))
    assert [query.query_id for query in suite.queries] == ["q1"]
    assert list(suite.judgments) == ["q1"]
    assert len(suite.notes) == 2
    assert "1 queries are not judged" in suite.notes[0]
    assert "1 judged queries are missing" in suite.notes[1]


def test_queries_without_a_relevant_document_are_unanswerable_and_kept_apart(write_suite) -> None:
    queries = [
        {"_id": "q1", "text": "known"},
        {"_id": "q2", "text": "only misses"},
        {"_id": "q3", "text": "nothing", "metadata": {"answerable": False}},
    ]
    suite = load_suite(str(write_suite(queries=queries, qrels="q1\ta\t1\nq2\ta\t0\n")))
    assert {query.query_id: query.answerable for query in suite.queries} == {"q1": True, "q2": False, "q3": False}
    assert list(suite.judgments) == ["q1"]


def test_an_unanswerable_mark_against_the_judgments_is_refused(write_suite) -> None:
    queries = [{"_id": "q1", "text": "known", "metadata": {"answerable": False}}]
    with pytest.raises(InvalidInput, match="marked unanswerable"):
        load_suite(str(write_suite(queries=queries)))


def test_judgments_of_foreign_queries_are_refused(write_suite) -> None:
    with pytest.raises(InvalidInput, match="no query"):
        load_suite(str(write_suite(qrels="elsewhere\ta\t1\n")))


@pytest.mark.parametrize(
    "card",
    ["headlin: ndcg@10\n", "headline: map\n", "thresholds: {at_least: {ndcg@20: 1}}\n", "name: a/b\n", "{[", "- 1\n"],
)
def test_a_wrong_card_is_refused_by_name(write_suite, card: str) -> None:
    with pytest.raises(InvalidInput, match=r"suite\.yaml"):
        load_suite(str(write_suite(card=card)))


def test_a_card_sets_name_split_headline_and_thresholds(write_suite) -> None:
    folder = write_suite(split="dev", qrels="q1\tz\t1\n")
    card = (
        "name: mine\nsplit: dev\nheadline: p@5\nthresholds:\n  at_least: {p@5: .3}\n  at_most: {latency_p99_ms: 50}\n"
    )
    suite = load_suite(str(write_suite(card=card)))
    assert folder == suite.folder
    assert (suite.name, suite.card.headline) == ("mine", "p@5")
    assert suite.judgments == {"q1": {"z": 1}}
    assert suite.card.thresholds.at_least == {"p@5": 0.3}
    assert suite.card.thresholds.at_most == {"latency_p99_ms": 50}


def test_shipped_suites_are_found_by_name_and_unknown_ones_listed(tmp_path: Path, write_suite) -> None:
    write_suite(name="shipped")
    assert load_suite("shipped", suites=tmp_path).name == "shipped"
    with pytest.raises(NotFound, match=r"\['shipped'\]"):
        load_suite("absent", suites=tmp_path)
