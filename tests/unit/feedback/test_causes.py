"""Each cause is told from what was shown and said."""

from include.quarry.feedback.causes import SUGGESTIONS, cause_of, suggest
from tests.unit.feedback.conftest import Make, shown


def test_nothing_found_speaks_for_missing_documents(make: Make) -> None:
    assert cause_of(make(passages=[])) == "documents"
    assert cause_of(make(grounded=False)) == "documents"


def test_good_passages_under_a_bad_answer_speak_for_the_prompt(make: Make) -> None:
    assert cause_of(make(said=[("a", 1)])) == "prompt"


def test_a_good_passage_below_a_bad_one_speaks_for_the_index(make: Make) -> None:
    assert cause_of(make(said=[("a", -1), ("b", 1)])) == "index"
    assert cause_of(make(said=[("a", 1), ("b", -1)])) == "prompt"


def test_meaning_and_words_with_nothing_in_common_speak_for_the_index(make: Make) -> None:
    apart = [shown("a", dense=1), shown("b", lexical=1), shown("c", dense=2)]
    assert cause_of(make(passages=apart)) == "index"
    assert cause_of(make(passages=[*apart, shown("d", dense=3, lexical=2)])) == "unclear"


def test_pieces_of_one_document_speak_for_the_chunking(make: Make) -> None:
    assert cause_of(make(passages=[shown("a", "guide"), shown("b", "guide")])) == "chunking"


def test_a_plain_retrieval_has_no_answer_to_blame(make: Make) -> None:
    assert cause_of(make(grounded=None)) == "unclear"


def test_the_suggestion_is_what_most_queries_share(make: Make) -> None:
    cause, counts = suggest([make("1", passages=[]), make("2", said=[("a", 1)]), make("3", said=[("b", 1)])])
    assert (cause, counts) == ("prompt", {"documents": 1, "prompt": 2})
    assert suggest([make("1", passages=[]), make("2", said=[("a", 1)])])[0] == "documents"


def test_every_cause_has_a_suggestion(make: Make) -> None:
    assert set(SUGGESTIONS) == {"documents", "prompt", "index", "chunking", "unclear"}


def test_what_was_said_of_the_whole_goes_before_what_was_said_of_passages(make: Make) -> None:
    assert make(overall=1, said=[("a", -1)]).score == 1
    assert make(overall=None, said=[("a", -1), ("b", 1), ("b", -1)]).is_low
    assert not make(overall=None).is_low
