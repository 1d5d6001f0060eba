import pytest

from evaluation.answer_match import holds


@pytest.mark.parametrize(
    ("answer", "gold", "right"),
    [
        ("The defense gave up 308 points [1].", ["308"], True),
        ("The defense gave up 3,080 points [1].", ["308"], False),
        ("It was Kawann Short [2].", ["kawann short"], True),
        ("It was the St. Louis Rams.", ["St Louis Rams", "nobody"], True),
        ("Four.", ["a four"], True),
        ("I don't know.", ["four"], False),
        ("There are [4] of them.", ["4"], False),
    ],
)
def test_a_right_answer_holds_the_gold_one_as_whole_words(answer: str, gold: list[str], right: bool) -> None:
    assert holds(answer, gold) == right
