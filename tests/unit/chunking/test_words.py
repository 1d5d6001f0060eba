import re
from importlib.metadata import distribution

import pytest

from include.quarry.chunking import words
from include.quarry.chunking.tokenizer import load_tokenizer
from include.quarry.chunking.words import WordCounter


class CountingTokenizer:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def spans(self, text: str) -> list[tuple[int, int]]:
        self.seen.append(text)
        return [match.span() for match in re.finditer(r"\w{1,3}", text)]


def test_counting_by_words_equals_counting_the_whole() -> None:
    tokenizer = load_tokenizer("all-MiniLM-L6-v2")
    text = (
        str(distribution("pytest").metadata.get_payload()) + " [SEP] naïve\x0cform 東京 한국\t\u200bx\xa0y " + "z" * 300
    )
    counter = WordCounter(tokenizer)
    assert counter.tokens(text) == len(tokenizer.spans(text))
    assert sum(tokens for _, _, tokens in counter.words(text)) == counter.tokens(text)


def test_each_word_is_tokenized_once() -> None:
    tokenizer = CountingTokenizer()
    counter = WordCounter(tokenizer)
    assert counter.tokens("one two three one") == counter.tokens("three one\ntwo one") == 5
    assert sorted(" ".join(tokenizer.seen).split()) == ["one", "three", "two"]


def test_memory_of_words_is_bounded_and_forgetting_changes_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_MOST_REMEMBERED_CHARACTERS", 20)
    counter = WordCounter(CountingTokenizer())
    for _ in range(3):
        assert [counter.tokens(f"word{number} abcd") for number in range(10)] == [4] * 10
    assert len(counter._known) < 6


@pytest.mark.parametrize("word", ["x" * 500, "東京。" * 100, "한" * 200, "http://host/path?" + "a=b&" * 100])
def test_a_prefix_of_a_long_word_fits_the_room(word: str) -> None:
    tokenizer = load_tokenizer("all-MiniLM-L6-v2")
    for room in (1, 5, 40):
        size = WordCounter(tokenizer).prefix(word, room)
        assert size >= 1
        assert size == 1 or len(tokenizer.spans(word[:size])) <= room


def test_a_prefix_ends_at_a_stop_where_there_is_one() -> None:
    assert WordCounter(CountingTokenizer()).prefix("東京大学。東京大学。東京大", 4) == 10
