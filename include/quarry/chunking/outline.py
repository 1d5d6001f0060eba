"""Blocks with their place in the document: offset, headings above, size."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from include.quarry.chunking.cutting import slabs
from include.quarry.chunking.words import WordCounter
from include.quarry.parsing.titles import heading_text
from include.quarry.records import Block


class Piece(NamedTuple):
    """A block, or a slab of a very long one. `heading` holds the words of a heading and is None for everything else."""

    text: str
    start: int
    kind: str
    tokens: int
    above: tuple[str, ...]
    heading: str | None

    @property
    def blank(self) -> bool:
        """Whether there is nothing but white space in it."""
        return not self.text.strip()

    @property
    def below(self) -> tuple[str, ...]:
        """The headings above what follows."""
        return (*self.above, self.heading) if self.heading else self.above


def outline(blocks: Iterable[Block], max_chars: int, counter: WordCounter) -> Iterator[Piece]:
    """The pieces of a document in order, none empty, none longer than `max_chars`."""
    stack: list[tuple[int, str]] = []
    start = 0
    for block in blocks:
        heading = None
        if block.kind == "heading":
            heading = heading_text(block.text)
            stack = [(level, text) for level, text in stack if level < block.level]
        above = tuple(text for _, text in stack if text)
        for text in filter(None, slabs(block.text, block.kind, max_chars)):
            yield Piece(text, start, block.kind, counter.tokens(text), above, heading)
            start += len(text)
        if heading is not None:
            stack.append((block.level, heading))
