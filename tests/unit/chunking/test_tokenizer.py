import pickle

import pytest

from include.quarry.chunking.tokenizer import load_tokenizer
from include.quarry.errors import Misconfigured


def test_spans_place_each_token_without_special_tokens_or_truncation() -> None:
    tokenizer = load_tokenizer("all-MiniLM-L6-v2")
    text = "Unaffable é 東京"
    assert [text[start:end] for start, end in tokenizer.spans(text)] == ["Una", "ffa", "ble", "é", "東", "京"]
    assert len(tokenizer.spans("word " * 1000)) == 1000
    assert tokenizer.spans("") == []


def test_a_tokenizer_travels_to_another_process() -> None:
    tokenizer = load_tokenizer("all-MiniLM-L6-v2")
    assert pickle.loads(pickle.dumps(tokenizer)).spans("two words") == tokenizer.spans("two words")


def test_an_unknown_tokenizer_is_named_with_those_allowed() -> None:
    with pytest.raises(Misconfigured, match=r"'other' is unknown; allowed are \['all-MiniLM-L6-v2'\]"):
        load_tokenizer("other")
