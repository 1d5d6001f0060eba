"""From line ranges to blocks: the skeleton of the parsers whose text is the source itself."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal, NamedTuple

from include.quarry.records import Block

Kind = Literal["heading", "prose", "code", "table", "blank"]


class Stretch(NamedTuple):
    """Lines `[first, end)` that make one block."""

    first: int
    end: int
    kind: Kind
    level: int = 0


def blocks_of(lines: Sequence[str], stretches: Iterable[Stretch]) -> Iterator[Block]:
    """Blocks that cover every line once, given rising stretches that do not overlap.

    Blank lines between two stretches belong to the former; other unclaimed lines are prose of their own.
    """
    last = Stretch(0, 0, "blank")
    for stretch in chain(stretches, [Stretch(len(lines), len(lines), "blank")]):
        gap = lines[last.end : stretch.first]
        if any(map(str.strip, gap)):
            yield from _block(lines[last.first : last.end], last.kind, last.level)
            yield from _block(gap, "prose", 0)
        else:
            yield from _block(lines[last.first : stretch.first], last.kind, last.level)
        last = stretch


def _block(lines: Sequence[str], kind: Kind, level: int) -> Iterator[Block]:
    if lines:
        text = "".join(lines)
        yield Block(text, kind, level) if text.strip() else Block(text, "blank")
