"""Words become numbers, and numbers become words only beside the texts."""

import numpy as np

from include.quarry.drift.words import spell, words_of


def test_words_are_counted_once_whatever_their_case_and_digits_are_none() -> None:
    found = words_of("Granite, granite! In 2026 GRANITE v1.2_3")
    assert set(spell(["granite in v"])) == set(found.tolist())
    assert found.dtype == np.uint32
    assert sorted(found.tolist()) == found.tolist()


def test_an_apostrophe_does_not_make_a_word_of_a_letter() -> None:
    assert set(words_of("the mason's, the mason\u2019s").tolist()) == set(spell(["the", "mason's", "mason\u2019s"]))


def test_scripts_without_spaces_are_read_sign_by_sign() -> None:
    assert set(words_of("花崗岩は硬い rock").tolist()) == set(spell(["花", "崗", "岩", "は", "硬", "い", "rock"]))


def test_a_text_without_words_has_none() -> None:
    assert words_of("42 --- 7").tolist() == []
