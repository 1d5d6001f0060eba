"""The parser port: bytes of one content type in, a stream of blocks out."""

from collections.abc import Iterator
from typing import Protocol

from include.quarry.records import Block


class Parser(Protocol):
    """Turns one content type into blocks, lazily, so that a large file never stands in memory as a tree.

    The blocks' texts, concatenated, are the document's text, to which all character offsets refer. For plain formats
    (Markdown, reStructuredText, text) that is the decoded source itself, character for character; for HTML, PDF and
    DOCX it is the extracted text.
    """

    def blocks(self, content: bytes) -> Iterator[Block]:
        """Raises `UnreadableContent`, naming what is wrong, when the bytes are not a readable document."""
        ...
