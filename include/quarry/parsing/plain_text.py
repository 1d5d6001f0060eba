"""Plain text: paragraphs are set apart by blank lines."""

from collections.abc import Iterator, Sequence

from include.quarry.parsing.stretches import Stretch, blocks_of
from include.quarry.parsing.text import decode, readable, split_lines
from include.quarry.records import Block


class PlainTextParser:
    """Reads `text/plain`; the blocks' texts, joined, are the decoded source."""

    def blocks(self, content: bytes) -> Iterator[Block]:
        lines = split_lines(decode(content))
        return readable(blocks_of(lines, _paragraphs(lines)))


def _paragraphs(lines: Sequence[str]) -> Iterator[Stretch]:
    first = None
    for number, line in enumerate([*lines, ""]):
        if line.strip():
            first = number if first is None else first
        elif first is not None:
            yield Stretch(first, number, "prose")
            first = None
