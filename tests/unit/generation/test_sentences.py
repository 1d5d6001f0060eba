from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.generation.sentences import SentenceStream, split_sentences


def texts(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text)]


def test_a_full_stop_before_a_capital_ends_a_sentence() -> None:
    assert texts("Ruff is fast. It is written in Rust! Is it? Yes.") == [
        "Ruff is fast.",
        "It is written in Rust!",
        "Is it?",
        "Yes.",
    ]


def test_versions_abbreviations_and_initials_do_not_end_one() -> None:
    text = "It needs Python 3.10, e.g. from Dr. J. Smith et al. Or v2.0 in the U.S. Army."
    assert texts(text) == [text]


def test_a_marker_after_the_full_stop_belongs_to_the_sentence() -> None:
    assert texts("Ruff is fast. [1] It is written in Rust. [2, 3]") == [
        "Ruff is fast. [1]",
        "It is written in Rust. [2, 3]",
    ]


def test_headings_list_items_and_table_rows_are_sentences_of_their_own() -> None:
    text = "# Install\nRun pip\nin a shell\n\n- first item\n- second item\n\n| a | b |\n|---|---|\n| c | d |\n"
    assert texts(text) == ["Install", "Run pip\nin a shell", "first item", "second item", "a | b", "c | d"]


def test_a_pictogram_before_a_list_item_is_no_part_of_it() -> None:
    assert texts("- \u26a1\ufe0f Fast\n- \U0001f4cf Over 900 rules") == ["Fast", "Over 900 rules"]


def test_rest_titles_lose_their_underline() -> None:
    assert texts("Features\n--------\n\n* Fast\n* Small\n") == ["Features", "Fast", "Small"]


@given(st.text(alphabet="aB1. \n-#|*[]=", max_size=80))
def test_offsets_point_at_the_sentence_and_no_word_is_lost(text: str) -> None:
    sentences = split_sentences(text)
    assert all(text[sentence.start : sentence.end] == sentence.text for sentence in sentences)
    assert all(a.end <= b.start for a, b in pairwise(sentences))
    letters = [letter for letter in text if letter.isalpha()]
    assert [letter for sentence in sentences for letter in sentence.text if letter.isalpha()] == letters


@given(st.integers(1, 12))
def test_a_stream_gives_the_same_sentences_however_it_is_cut(piece: int) -> None:
    text = (
        "Ruff is a linter, e.g. for Python 3.10. [1] It is fast. [2]\n- It formats\n- It sorts imports. It is in Rust"
    )
    stream, found = SentenceStream(), []
    for at in range(0, len(text), piece):
        found += stream.feed(text[at : at + piece])
    found += stream.flush()
    assert found == [" ".join(sentence.split()) for sentence in texts(text)]


def test_a_sentence_is_not_given_out_before_the_next_has_begun() -> None:
    stream = SentenceStream()
    assert stream.feed("Ruff is fast.") == []
    assert stream.feed(" [1]") == []
    assert stream.feed(" It") == ["Ruff is fast. [1]"]


def test_a_line_break_in_an_answer_ends_a_sentence() -> None:
    stream = SentenceStream()
    assert stream.feed("Super Bowl 50\nThe Broncos won") == ["Super Bowl 50"]
    assert stream.flush() == ["The Broncos won"]


@pytest.mark.parametrize(
    "text",
    ["Price list\n\nIt costs 5 euros.", "Price list\n=====\nIt costs 5 euros.", "|Price list|\n|It costs 5 euros.|"],
)
def test_windows_line_ends_part_the_same_sentences(text: str) -> None:
    expected = ["Price list", "It costs 5 euros."]
    for source in (text, text.replace("\n", "\r\n")):
        sentences = split_sentences(source)
        assert [sentence.text for sentence in sentences] == expected
        assert [source[start:end] for _, start, end in sentences] == expected


def test_full_stops_of_other_scripts_need_no_space() -> None:
    texts = [sentence.text for sentence in split_sentences("东京是首都。大阪是城市\uff1fयह दिन है। वह रात है।")]
    assert texts == ["东京是首都。", "大阪是城市\uff1f", "यह दिन है।", "वह रात है।"]
