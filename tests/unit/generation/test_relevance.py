import pytest

from include.quarry.generation.evidence import Evidence, read_evidence
from include.quarry.generation.relevance import judge_relevance

from .conftest import MakeHit


@pytest.fixture
def passages(make_hit: MakeHit) -> list[Evidence]:
    return read_evidence(
        [
            make_hit("An extremely fast Python linter, written in Rust. It runs on Linux and macOS.", title="ruff"),
            make_hit("NumPy is the fundamental package for scientific computing. It is used in France.", title="numpy"),
        ]
    )


@pytest.mark.parametrize(
    "question",
    ["What is Ruff?", "Which language is ruff written in?", "What is NumPy used for?", "On what does ruff run?"],
)
def test_a_question_that_a_passage_is_about_is_answered(question: str, passages: list[Evidence]) -> None:
    assert judge_relevance(question, passages).relevant


@pytest.mark.parametrize(
    "question",
    ["What is the capital of France?", "How do I bake bread?", "Who won the cup in 1998?", "", "What is it?"],
)
def test_a_question_that_no_passage_is_about_is_not(question: str, passages: list[Evidence]) -> None:
    assert not judge_relevance(question, passages).relevant


def test_words_scattered_over_passages_do_not_add_up(make_hit: MakeHit) -> None:
    scattered = read_evidence([make_hit("Bread is old."), make_hit("Ovens get hot."), make_hit("Bakers get up early.")])
    assert not judge_relevance("How hot is a bread oven of early bakers?", scattered).relevant


def test_what_is_missing_is_named(passages: list[Evidence]) -> None:
    assert judge_relevance("Is ruff written in Fortran?", passages).missing == ("fortran",)


def test_rarity_decides_where_it_is_known(passages: list[Evidence]) -> None:
    question = "capital of France"
    assert judge_relevance(question, passages, rarity=lambda stem: 5.0 if stem == "franc" else 0.1).relevant
    assert not judge_relevance(question, passages, rarity=lambda stem: 5.0 if stem == "capit" else 0.1).relevant


def test_a_near_passage_needs_fewer_common_words(passages: list[Evidence]) -> None:
    question = "rapid Python checker tool"
    assert not judge_relevance(question, passages, similarities=(0.2, 0.1)).relevant
    assert not judge_relevance(question, passages).relevant
    assert judge_relevance("rapid Python checker", passages, similarities=(0.8, 0.1)).relevant


def test_nothing_found_is_nothing_relevant() -> None:
    assert not judge_relevance("What is Ruff?", []).relevant
