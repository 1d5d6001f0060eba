"""How text becomes words."""

from include.quarry.lexical.analysis import analyser


def test_words_are_stemmed_folded_and_freed_of_stop_words() -> None:
    words = analyser("en").analyze("The Résumés of COMPRESSORS, and their calculations!")
    assert words == ["resum", "compressor", "calcul"]


def test_the_words_that_make_a_question_are_not_searched_for() -> None:
    assert analyser("en").analyze("How do I install it, and from where should I?") == ["i", "instal", "i"]


def test_versions_options_and_paths_fall_apart_the_same_way_on_both_sides() -> None:
    assert analyser("en").analyze("--max-tokens=5 v1.2.3 a/b_c.py") == [
        "max",
        "token",
        "5",
        "v1",
        "2",
        "3",
        "b",
        "c",
        "py",
    ]


def test_very_long_tokens_are_dropped() -> None:
    assert analyser("en").analyze("short " + "x" * 65 + " " + "y" * 63) == ["short", "y" * 63]


def test_letters_of_other_scripts_are_words_too() -> None:
    assert analyser("en").analyze("крыло 翼 wing") == ["крыло", "翼", "wing"]
