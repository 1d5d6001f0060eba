"""Where a block that is too long may be cut: at sentence ends, else at white space, else inside a word."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import ceil
from typing import NamedTuple

from include.quarry.chunking.words import WordCounter

_SENTENCE = re.compile(
    r"""[.!?…]["'\u201d\u2019\u00bb)\]*_`]*\s+(?![a-z])"""  # a stop, and no lower case behind it
    r"|\s[.!?]\s+"  # a stop that stands alone, as in tokenized text
    r"|\n\s*\n\s*"  # a blank line
    r"|\n(?=[ \t]*(?:[-*+•]|\d+[.)])[ \t])"  # the next item of a list
)
_LINE = re.compile(r"\r\n|\r|\n")
_SPACE = re.compile(r".*[ \t\r\n]", re.DOTALL)


def borders(text: str, kind: str) -> list[int]:
    """Where a cut does least harm: after each line of code and tables, after each sentence of the rest."""
    return [match.end() for match in (_LINE if kind in {"code", "table"} else _SENTENCE).finditer(text)]


def slabs(text: str, kind: str, max_chars: int) -> Iterator[str]:
    """The text in stretches of at most `max_chars`, so that neither a passage nor the work on a block is unbounded."""
    start = 0
    while len(text) - start > max_chars:
        window = text[start : start + max_chars]
        good = borders(window, kind)
        space = _SPACE.match(window)
        size = good[-1] if good and good[-1] > max_chars // 2 else space.end() if space else max_chars
        yield window[:size]
        start += size
    yield text[start:]


class Room(NamedTuple):
    """How many tokens the first part may have and how many each later one, and how many stand before the first."""

    first: int
    later: int
    before: int


def cut(text: str, kind: str, room: Room, counter: WordCounter) -> Iterator[str]:
    """Parts of about equal size that, joined, are the text.

    The first part is empty when its room is too small for the first word while a later part's is not.
    """
    while text:
        size = _first_part(text, kind, room, counter)
        yield text[:size]
        text, room = text[size:], Room(room.later, room.later, 0)


def _first_part(text: str, kind: str, room: Room, counter: WordCounter) -> int:
    """How many characters the first part takes."""
    words = list(counter.words(text))
    totals = list(accumulate(tokens for _, _, tokens in words))
    if not words or totals[-1] <= room.first:
        return len(text)
    fitting = bisect_right(totals, room.first)
    if fitting == 0:
        start, end, tokens = words[0]
        too_long = tokens > room.later and room.first > 0
        return start + counter.prefix(text[start:end], room.first) if too_long else 0
    whole = room.before + totals[-1]
    aim = whole / ceil(whole / room.later) - room.before
    return _nearest_border(text, kind, words, totals[:fitting], aim) or words[_nearest(totals[:fitting], aim)][0]


def _nearest_border(
    text: str, kind: str, words: Sequence[tuple[int, int, int]], totals: Sequence[int], aim: float
) -> int | None:
    """The border nearest to `aim` tokens, if one lies behind half of them and within the words of `totals`."""
    best, distance = None, aim / 2
    starts = [start for start, _, _ in words]
    for border in borders(text, kind):
        count = bisect_left(starts, border)
        if count > len(totals):
            break
        clean = count > 0 and words[count - 1][1] <= border
        if clean and abs(totals[count - 1] - aim) <= distance:
            best, distance = border, abs(totals[count - 1] - aim)
    return best


def _nearest(totals: Sequence[int], aim: float) -> int:
    """How many words, at least one, come nearest to `aim` tokens from below."""
    return max(1, bisect_right(totals, aim))
