"""The shipped suite keeps its own promises about the default corpus."""

from collections import Counter

import pytest

from evaluation.judgments import Suite, load_suite
from include.quarry.feeds.environment import EnvironmentFeed


@pytest.fixture(scope="module")
def suite() -> Suite:
    return load_suite("environment")


def test_every_judged_document_is_in_the_default_corpus(suite: Suite) -> None:
    present = {item.doc_id for item in EnvironmentFeed("main", "default").items()}
    judged = {doc_id for grades in suite.judgments.values() for doc_id in grades}
    assert judged <= present, "re-judge the suite: requirements.txt no longer brings these"


def test_it_has_enough_questions_and_some_without_an_answer(suite: Suite) -> None:
    assert sum(query.answerable for query in suite.queries) >= 60
    assert sum(not query.answerable for query in suite.queries) >= 8
    assert suite.notes == ()


def test_questions_have_several_relevant_documents_on_average(suite: Suite) -> None:
    relevant = [sum(grade > 0 for grade in grades.values()) for grades in suite.judgments.values()]
    assert sum(relevant) / len(relevant) >= 3


def test_no_question_is_asked_twice(suite: Suite) -> None:
    texts = Counter(query.text.casefold() for query in suite.queries)
    assert max(texts.values()) == 1


def test_it_judges_the_live_corpus_against_thresholds(suite: Suite) -> None:
    assert suite.corpus == "main"
    assert suite.corpus_file is None
    assert suite.card.headline in suite.card.thresholds.at_least
