"""Markdown: CommonMark and tables, by the line maps of markdown-it-py's block parser."""

import re
from collections.abc import Iterable, Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from include.quarry.parsing.stretches import Kind, Stretch, blocks_of
from include.quarry.parsing.text import decode, readable, split_lines
from include.quarry.records import Block

_FRONT_MATTER_LINES = 200
_HTML_HEADING = re.compile(r"\s*<h([1-6])\b[^>]*>(?:(?!</?h[1-6]\b).)*</h\1>\s*", re.IGNORECASE | re.DOTALL)
_KINDS: dict[str, Kind] = {"fence": "code", "code_block": "code", "table_open": "table"}


class MarkdownParser:
    """Reads `text/markdown`; the blocks' texts, joined, are the decoded source."""

    def __init__(self) -> None:
        self._markdown = MarkdownIt("commonmark").enable("table")
        self._markdown.core.ruler.disable(["inline", "text_join"])  # what a block holds does not decide where it ends

    def blocks(self, content: bytes) -> Iterator[Block]:
        return readable(self._blocks(decode(content)))

    def _blocks(self, source: str) -> Iterator[Block]:
        lines = split_lines(source)
        if matter := _front_matter(lines):
            yield Block("".join(lines[:matter]), "code")
            lines = lines[matter:]
        yield from blocks_of(lines, _stretches(self._markdown.parse("".join(lines)), lines))


def _front_matter(lines: Sequence[str]) -> int:
    """How many lines of YAML between rules stand at the very top; CommonMark would take the last one for a heading."""
    head = [line.rstrip() for line in lines[:_FRONT_MATTER_LINES]]
    return head.index("---", 1) + 1 if head[:1] == ["---"] and "---" in head[1:] else 0


def _stretches(tokens: Iterable[Token], lines: Sequence[str]) -> Iterator[Stretch]:
    """The topmost blocks and, instead of a list, its topmost items."""
    for token in tokens:
        item = token.type == "list_item_open" and token.level == 1
        if token.map is None or token.level > item or token.type.endswith("_list_open"):
            continue
        first, end = token.map
        yield Stretch(first, end, *_role(token, "".join(lines[first:end])))


def _role(token: Token, text: str) -> tuple[Kind, int]:
    """A block's kind and its level as a heading. Readmes like to write their first heading in HTML."""
    if token.type == "heading_open":
        return "heading", int(token.tag[1])
    if token.type == "html_block" and (heading := _HTML_HEADING.fullmatch(text)):
        return "heading", int(heading[1])
    return _KINDS.get(token.type, "prose"), 0
