import pytest

from include.quarry.generation.wording import read_words


def stems(text: str) -> list[str]:
    return [word.stem for word in read_words(text)]


def test_function_words_are_left_out_and_the_rest_is_stemmed() -> None:
    assert stems("The linter is checking the files") == ["linter", "check", "file"]
    assert stems("It's what they've got") == ["got"]


@pytest.mark.parametrize("word", ["before", "only", "most", "least", "must", "all", "more", "after"])
def test_words_that_change_a_statement_are_kept(word: str) -> None:
    assert len(stems(f"it is {word} that")) == 1


def test_numbers_are_compared_by_value_where_they_are_spelled_differently() -> None:
    assert stems("1,000 files, four rules, the first") == ["1000", "file", "4", "rule", "1st"]
    assert stems("3.10") != stems("3.1")


def test_one_is_a_number_only_where_it_counts() -> None:
    assert stems("one rule") == ["1", "rule"]
    assert "1" not in stems("the one of them")


def test_a_negation_governs_to_the_end_of_its_clause() -> None:
    words = {word.form: word.negated for word in read_words("It does not support Windows, but it supports Linux.")}
    assert words == {"support": True, "windows": True, "supports": False, "linux": False}


def test_a_parenthesis_directly_after_the_negation_does_not_end_its_reach() -> None:
    words = read_words("It is not, as of today, stable.")
    assert [word.negated for word in words if word.form == "today"] == [True]


@pytest.mark.parametrize("text", ["works without a compiler", "never needs a compiler", "doesn\u2019t need a compiler"])
def test_negations_come_in_many_forms(text: str) -> None:
    assert read_words(text)[-1].negated


def test_not_only_is_no_negation() -> None:
    assert not any(word.negated for word in read_words("It is not only fast but small."))


def test_names_are_told_from_plain_words_inside_a_sentence() -> None:
    kinds = {word.form: word.kind for word in read_words("Written by Charlie Marsh for max_tokens and NASA.")}
    assert kinds == {"written": "plain", "charlie": "name", "marsh": "name", "max_tokens": "name", "nasa": "name"}
