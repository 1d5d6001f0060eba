"""reStructuredText, by its line shapes alone.

Nothing is executed and no directive needs to be known, so any readme can be read.
The shapes are those of the docutils specification: section titles with adornments, literal blocks, tables, paragraphs.
"""

import re
from collections.abc import Iterator, Sequence

from include.quarry.parsing.stretches import Kind, Stretch, blocks_of
from include.quarry.parsing.text import decode, readable, split_lines
from include.quarry.records import Block

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1+\s*")
_CODE = re.compile(r"\.\. +(?:[\w.-]+:)?(?:code-block|code|sourcecode|parsed-literal|highlight|doctest|math|raw)::")
_TABLE = re.compile(r"\s*(?:\+[-=+]+\+|=+(?: +=+)+)\s*")
_TABLE_LINES = 1000
_DOCTEST = re.compile(r">>>(?: |$)")


class ReStructuredTextParser:
    """Reads `text/x-rst`; the blocks' texts, joined, are the decoded source."""

    def blocks(self, content: bytes) -> Iterator[Block]:
        lines = split_lines(decode(content))
        return readable(blocks_of(lines, _stretches(lines)))


def _stretches(lines: Sequence[str]) -> Iterator[Stretch]:
    styles: list[str] = []
    number = 0
    while number < len(lines):
        if not lines[number].strip():
            number += 1
        elif height := _title_height(lines, number):
            yield Stretch(number, number + height, "heading", _level(lines[number : number + height], styles))
            number += height
        else:
            yield (stretch := _body(lines, number))
            number = stretch.end


def _title_height(lines: Sequence[str], number: int) -> int:
    """How many lines of a section title start here: 3 with an overline, 2 without, 0 when none does."""
    first, second, third = (line.rstrip() for line in [*lines[number : number + 3], "", ""][:3])
    if _ADORNMENT.fullmatch(first):
        return 3 if third == first and second and len(first) >= len(second) else 0
    underlined = _ADORNMENT.fullmatch(second) and len(second) >= min(4, len(first))
    return 2 if underlined and not first[0].isspace() else 0


def _level(title: Sequence[str], styles: list[str]) -> int:
    """Levels are ranked by the order in which a document first uses their adornments."""
    style = title[-1][0] * (len(title) - 1)
    if style not in styles:
        styles.append(style)
    return styles.index(style) + 1


def _body(lines: Sequence[str], number: int) -> Stretch:
    """A paragraph, or what its first or last line announces: a code block, a table."""
    if _CODE.match(lines[number]):
        return Stretch(number, _end_of_indented(lines, number + 1), "code")
    if _TABLE.fullmatch(lines[number]):
        return Stretch(number, _end_of_table(lines, number), "table")
    end = _end_of_paragraph(lines, number)
    if lines[end - 1].rstrip().endswith("::") and not lines[number][0].isspace():
        body = _end_of_indented(lines, end)
        return Stretch(number, body, "code" if body > end else "prose")
    kind: Kind = "code" if _DOCTEST.match(lines[number]) else "prose"
    return Stretch(number, end, kind)


def _end_of_paragraph(lines: Sequence[str], number: int) -> int:
    """The next blank line, or a title that follows upon explicit markup without one."""
    number += 1
    while number < len(lines) and lines[number].strip():
        if lines[number - 1].startswith((".. ", " ", "\t")) and _title_height(lines, number):
            break
        number += 1
    return number


def _end_of_indented(lines: Sequence[str], number: int) -> int:
    """One past the last line of the indented lines that start here, blank lines between them included."""
    end = number
    while number < len(lines) and (lines[number][0].isspace() or not lines[number].strip()):
        number += 1
        end = number if lines[number - 1].strip() else end
    return end


def _end_of_table(lines: Sequence[str], number: int) -> int:
    """A grid table ends at a blank line, a simple one at a border with a blank line behind it."""
    grid = lines[number].strip()[0] == "+"
    for end in range(number + 1, min(len(lines), number + _TABLE_LINES)):
        if not lines[end].strip() and (grid or (_TABLE.fullmatch(lines[end - 1]) and end - number > 2)):
            return end
    return _end_of_paragraph(lines, number)
