import pytest

from include.quarry.generation.evidence import Evidence, read_evidence
from include.quarry.generation.extractive import extract_answer

from .conftest import MakeHit

TEXT = (
    "Ruff was presented in Berlin. An extremely fast Python linter, written in Rust. Ruff supports over 800 rules. "
    "Does Ruff format code? Ruff was founded by Charlie Marsh in 2022. Install it with:"
)


@pytest.fixture
def passages(make_hit: MakeHit) -> list[Evidence]:
    return read_evidence([make_hit(TEXT, title="ruff", start=50), make_hit("Bread is baked.", title="bread")])


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who founded Ruff?", "Ruff was founded by Charlie Marsh in 2022."),
        ("How many rules does Ruff support?", "Ruff supports over 800 rules."),
        ("What is Ruff?", "An extremely fast Python linter, written in Rust."),
    ],
)
def test_the_best_sentence_comes_first(question: str, answer: str, passages: list[Evidence]) -> None:
    assert extract_answer(question, passages)[0].statement.text == answer


def test_an_extract_points_into_its_document(passages: list[Evidence]) -> None:
    extract = extract_answer("How many rules does Ruff support?", passages)[0]
    assert extract.marker == 1
    assert TEXT[extract.statement.start - 50 : extract.statement.end - 50] == extract.statement.text


def test_questions_and_openings_are_no_answers(passages: list[Evidence]) -> None:
    extracts = extract_answer("Does Ruff format code?", passages, max_sentences=9)
    assert not any(extract.statement.text.endswith(("?", ":")) for extract in extracts)


def test_nothing_that_fits_is_nothing(passages: list[Evidence]) -> None:
    assert extract_answer("How deep is the ocean?", passages) == []
    assert extract_answer("What is Ruff?", []) == []


def test_the_same_sentence_is_given_once(make_hit: MakeHit) -> None:
    twice = read_evidence([make_hit("Ruff is a linter.", title="a"), make_hit("Ruff is a linter.", title="b")])
    assert len(extract_answer("What is Ruff?", twice)) == 1
