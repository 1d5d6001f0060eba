"""The words of a heading without its markup, and a document's title."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice

from include.quarry.records import Block

_BLOCKS_AHEAD = 50
_MAX_CHARACTERS = 1000  # of a heading are read: the time of some patterns grows with the square of its length
_ADORNMENT = re.compile(r"(?m)^\s*([!-/:-@\[-`{-~])\1+\s*$")
_HASHES = re.compile(r"^\s{0,3}#{1,6}(?=\s|$)|\s#+\s*$")
_MARKUP = (
    (re.compile(r"!\[[^\]]*\](?:\([^)]*\)|\[[^\]]*\])"), ""),  # Markdown image
    (re.compile(r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),  # Markdown link
    (re.compile(r"`([^`<]+?)\s*<[^`>]*>`__?"), r"\1"),  # reStructuredText link
    (re.compile(r":[\w:+.-]+:(?=`)"), ""),  # reStructuredText role
    (re.compile(r"</?[a-zA-Z][^>]*>"), ""),  # HTML tag
    (re.compile(r"`+|\*\*?(?=\S)|(?<=\S)\*\*?"), ""),  # code and emphasis
)


def heading_text(source: str) -> str:
    """The words of a heading block on one line: `## Using *it* ##` is `Using it`, and so it is in the other formats."""
    text = _HASHES.sub("", _ADORNMENT.sub("", source[:_MAX_CHARACTERS]).strip())
    for pattern, words in _MARKUP:
        text = pattern.sub(words, text)
    return " ".join(text.split())


def with_title(blocks: Iterable[Block], fallback: str) -> tuple[str, Iterator[Block]]:
    """The document's title, its first heading if one stands near the top, else `fallback`; and all blocks."""
    stream = iter(blocks)
    head = list(islice(stream, _BLOCKS_AHEAD))
    headings = (heading_text(block.text) for block in head if block.kind == "heading")
    return next(filter(None, headings), fallback), chain(head, stream)
