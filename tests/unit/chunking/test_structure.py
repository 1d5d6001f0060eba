import re
from time import process_time

import pytest

from include.quarry.chunking.structure import StructureChunker
from include.quarry.errors import Misconfigured
from include.quarry.records import Block, Passage
from include.quarry.specs import ChunkerSpec


class WordTokenizer:
    """A token is a run of characters that are not white space."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\S+", text)]


def heading(level: int, text: str) -> Block:
    return Block(f"{'#' * level} {text}\n\n", "heading", level)


def sentences(count: int, length: int = 8) -> str:
    return " ".join(f"Word {'w ' * (length - 2)}s{number}." for number in range(count)) + "\n\n"


def cut(blocks: list[Block], title: str = "", max_tokens: int = 30, min_tokens: int = 5) -> list[Passage]:
    return list(
        StructureChunker(ChunkerSpec("structure", max_tokens, min_tokens), WordTokenizer()).passages(blocks, title)
    )


def test_headings_above_a_passage_are_its_context_and_its_own_heading_opens_it() -> None:
    blocks = [
        heading(1, "Guide"),
        Block(sentences(2)),
        heading(2, "Setup"),
        Block(sentences(2)),
        heading(3, "Linux"),
        Block(sentences(3)),
        Block(sentences(3)),
        heading(2, "Use"),
        Block(sentences(2)),
    ]
    passages = cut(blocks, "Manual", max_tokens=34)
    assert [(passage.context, passage.text.split("\n")[0]) for passage in passages] == [
        ("Manual", "# Guide"),
        ("Manual > Guide", "## Setup"),
        ("Manual > Guide > Setup", "### Linux"),
        ("Manual > Guide > Setup > Linux", "Word w w w w w w s0. Word w w w w w w s1. Word w w w w w w s2."),
        ("Manual > Guide", "## Use"),
    ]


def test_a_title_that_is_the_first_heading_is_not_repeated() -> None:
    passages = cut([heading(1, "*Guide*"), Block(sentences(3)), Block(sentences(3))], "guide")
    assert [passage.context for passage in passages] == ["", "Guide"]


def test_a_title_with_which_the_text_begins_is_not_repeated() -> None:
    assert [passage.context for passage in cut([Block("Guide to owls.\n" + sentences(1))], "Guide")] == [""]
    assert [passage.context for passage in cut([Block("Guided tour.\n" + sentences(1))], "Guide")] == ["Guide"]


def test_a_short_document_is_one_passage_whatever_its_sections() -> None:
    blocks = [heading(2, "A"), Block("one two\n\n"), heading(1, "B"), Block("three\n"), heading(3, "C"), Block("four")]
    (passage,) = cut(blocks, "T")
    assert passage.text == "".join(block.text for block in blocks)
    assert passage.context == "T"


def test_a_real_abstract_of_two_hundred_tokens_is_one_passage() -> None:
    abstract = "the lift of a wing in a slipstream was measured . " * 20
    assert len(cut([Block(abstract)], "wing", max_tokens=254, min_tokens=32)) == 1


def test_neighbouring_blocks_share_a_passage_as_far_as_they_fit() -> None:
    passages = cut([Block(sentences(1)) for _ in range(7)])
    assert [passage.tokens for passage in passages] == [24, 24, 8]


def test_a_tiny_section_takes_its_next_sibling_in_but_not_a_section_further_up() -> None:
    tiny, full = Block("tiny\n\n"), Block(sentences(3))
    siblings = cut([heading(2, "A"), tiny, heading(2, "B"), full, heading(2, "C"), full])
    assert [passage.text.split("\n")[0] for passage in siblings] == ["## A", "## C"]
    further_up = cut([heading(1, "X"), full, heading(2, "A"), tiny, heading(1, "B"), full])
    assert [passage.text.split("\n")[0] for passage in further_up] == ["# X", "## A", "# B"]


def test_prose_is_cut_between_sentences_into_parts_of_about_equal_size() -> None:
    passages = cut([Block(sentences(5))])
    assert [passage.tokens for passage in passages] == [24, 16]
    assert all(passage.text.endswith(".") for passage in passages)


def test_abbreviations_before_lower_case_end_no_sentence() -> None:
    text = "Some birds, e.g. owls, hunt " + "at night " * 10 + "quietly. " + "Others sleep " * 8 + "then."
    assert [passage.text.split()[0] for passage in cut([Block(text)])] == ["Some", "Others"]


def test_code_and_tables_are_cut_between_lines() -> None:
    for kind in ("code", "table"):
        text = "".join(f"row {number}. Then four.\n" for number in range(20))
        passages = cut([Block(text, kind)])  # type: ignore[arg-type]
        assert len(passages) > 1
        assert all(passage.text.startswith("row ") and passage.text.endswith("four.") for passage in passages)


def test_a_heading_never_stands_alone_before_a_long_block() -> None:
    passages = cut([heading(1, "Long"), Block(sentences(10))])
    assert passages[0].text.startswith("# Long\n\nWord")


def test_a_sentence_longer_than_the_limit_is_cut_at_white_space() -> None:
    passages = cut([Block("word " * 100)])
    assert {word for passage in passages for word in passage.text.split()} == {"word"}
    assert max(passage.tokens for passage in passages) <= 30


def test_a_megabyte_without_white_space_becomes_passages_of_bounded_length() -> None:
    passages = cut([Block("x" * 1_000_000)])
    assert max(len(passage.text) for passage in passages) <= 32 * 30
    assert sum(len(passage.text) for passage in passages) == 1_000_000


def test_a_long_context_takes_at_most_a_third_and_keeps_title_and_innermost_heading() -> None:
    blocks = [heading(level, f"Level{level} " + "long " * 6) for level in (1, 2, 3, 4)] + [Block(sentences(6))]
    contexts = {passage.context for passage in cut(blocks, "The title " + "of a book " * 20)}
    assert "The title of a > Level4 long long long" in contexts
    assert all(len(context.split()) <= 10 for context in contexts)


@pytest.mark.parametrize(("max_tokens", "min_tokens"), [(15, 0), (254, 128), (254, -1)])
def test_sizes_that_cannot_work_are_refused(max_tokens: int, min_tokens: int) -> None:
    with pytest.raises(Misconfigured, match=f"max_tokens {max_tokens} and min_tokens {min_tokens}"):
        StructureChunker(ChunkerSpec("structure", max_tokens, min_tokens), WordTokenizer())


def test_time_grows_with_the_length_of_the_text_and_not_faster() -> None:
    def seconds(count: int) -> float:
        begin = process_time()
        cut([Block(sentences(count)), Block("x" * 10 * count), Block("\n" * count), Block("a\n" * count, "code")])
        return process_time() - begin

    seconds(100)
    assert seconds(40_000) < 25 * max(seconds(4_000), 0.02)
