"""What every chunker promises: nothing lost, nothing doubled, nothing too long."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.chunking.protocol import Chunker
from include.quarry.chunking.structure import StructureChunker
from include.quarry.chunking.tokenizer import load_tokenizer
from include.quarry.embedding.protocol import Tokenizer
from include.quarry.records import Block
from include.quarry.specs import ChunkerSpec


class SplitTokenizer:
    """A word of up to three characters is one token, a longer one has a token for each character.

    So two words have more tokens when they are joined than apart, as it may happen with a real tokenizer.
    """

    def spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"(?<!\S)\S{1,3}(?!\S)|\S", text)]


MakeChunker = Callable[[ChunkerSpec, Tokenizer], Chunker]
chunkers = pytest.mark.parametrize("make", [StructureChunker])

words = st.text(st.sampled_from("abcXYZ019.,!?#*`|é東。한\u200b\u0301"), min_size=1, max_size=12)
gaps = st.sampled_from([" ", " ", " ", "\n", "  ", ". ", "\n\n", "\t", "\r\n", "\x0c", "\xa0", "\x85", "", " " * 40])
texts = st.lists(st.tuples(words, gaps), max_size=40).map(lambda pairs: "".join(word + gap for word, gap in pairs))
long_texts = st.tuples(st.text(st.sampled_from("ab。. \n-"), min_size=1, max_size=9), st.integers(1, 300)).map(
    lambda pair: pair[0] * pair[1]
)
blocks = st.builds(
    lambda kind, level, text: Block(text, kind, level if kind == "heading" else 0),
    st.sampled_from(["heading", "prose", "prose", "code", "table", "blank"]),
    st.integers(1, 4),
    st.one_of(texts, texts.map(lambda text: text + "\n"), long_texts),
)
documents = st.lists(blocks, max_size=12)
titles = st.one_of(st.just(""), words, texts)
sizes = st.tuples(st.integers(16, 80), st.integers(0, 8)).map(
    lambda pair: ChunkerSpec(max_tokens=pair[0], min_tokens=pair[1])
)


def check(chunker: Chunker, tokenizer: Tokenizer, document: list[Block], title: str) -> None:
    text = "".join(block.text for block in document)
    position = 0
    for passage in chunker.passages(iter(document), title):
        assert passage.start < passage.end
        assert passage.text == text[passage.start : passage.end]
        assert passage.text == passage.text.strip()
        assert not text[position : passage.start].strip(), "every character lies in a passage, and in one only"
        assert passage.start >= position
        position = passage.end
        assert len(tokenizer.spans(passage.embedding_text)) == passage.tokens <= chunker.spec.max_tokens
        assert len(tokenizer.spans(passage.context)) <= chunker.spec.max_tokens // 3
        assert len(passage.text) <= 32 * chunker.spec.max_tokens
    assert not text[position:].strip()


@chunkers
@settings(max_examples=200, deadline=None)
@given(document=documents, title=titles, spec=sizes)
def test_passages_cover_the_text_once_within_the_token_limit(
    make: MakeChunker, document: list[Block], title: str, spec: ChunkerSpec
) -> None:
    check(make(spec, SplitTokenizer()), SplitTokenizer(), document, title)


@chunkers
@settings(max_examples=80, deadline=None)
@given(document=documents, title=titles, spec=sizes)
def test_the_model_itself_counts_no_more_than_the_limit(
    make: MakeChunker, document: list[Block], title: str, spec: ChunkerSpec
) -> None:
    tokenizer = load_tokenizer(spec.tokenizer)
    check(make(spec, tokenizer), tokenizer, document, title)


@chunkers
@settings(max_examples=50, deadline=None)
@given(first=documents, second=documents, title=titles, spec=sizes)
def test_the_same_document_gives_the_same_passages_whatever_was_cut_before(
    make: MakeChunker, first: list[Block], second: list[Block], title: str, spec: ChunkerSpec
) -> None:
    used = make(spec, SplitTokenizer())
    list(used.passages(second, "another"))
    assert list(used.passages(first, title)) == list(make(spec, SplitTokenizer()).passages(first, title))


@chunkers
@settings(max_examples=100, deadline=None)
@given(document=documents, spec=sizes)
def test_a_document_that_fits_is_one_passage(make: MakeChunker, document: list[Block], spec: ChunkerSpec) -> None:
    lines = [Block(block.text[:200] + "\n", block.kind, block.level) for block in document]
    text = "".join(block.text for block in lines)
    if text.strip() and len(SplitTokenizer().spans(text)) <= spec.max_tokens and len(text) <= 16 * spec.max_tokens:
        assert len(list(make(spec, SplitTokenizer()).passages(lines, ""))) == 1


@chunkers
def test_no_blocks_give_no_passages(make: MakeChunker) -> None:
    assert list(make(ChunkerSpec(), SplitTokenizer()).passages([], "title")) == []


@chunkers
def test_passages_come_while_blocks_are_still_being_read(make: MakeChunker) -> None:
    read = 0

    def stream() -> object:
        nonlocal read
        for number in range(10_000):
            read += 1
            yield Block(f"Paragraph {number} says a thing or two about itself.\n\n")

    next(make(ChunkerSpec(), SplitTokenizer()).passages(stream(), "title"))  # type: ignore[arg-type]
    assert read < 200
