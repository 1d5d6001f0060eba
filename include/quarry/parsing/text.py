"""Bytes to text, and text to lines, for every parser that reads text."""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator

from include.quarry.errors import UnreadableContent
from include.quarry.records import Block

_REMEDY = "allowed are UTF-8, and UTF-8 or UTF-16 with a byte order mark; save the document as UTF-8"
_MARKS = ((BOM_UTF8, "utf-8"), (BOM_UTF16_LE, "utf-16-le"), (BOM_UTF16_BE, "utf-16-be"))
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def decode(content: bytes, encoding: str = "utf-8") -> str:
    """The text behind the bytes; a byte order mark overrules `encoding` and is no part of the text.

    Raises `UnreadableContent`, naming the byte and its offset, when the bytes are not text.
    """
    mark, encoding = next((pair for pair in _MARKS if content.startswith(pair[0])), (b"", encoding))
    try:
        text = content[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        offset = error.start + len(mark)
        raise UnreadableContent(
            f"byte 0x{content[offset]:02x} at offset {offset} is not {encoding}; {_REMEDY}"
        ) from error
    if (nul := text.find("\0")) >= 0:
        raise UnreadableContent(f"character {nul} is NUL, so this is a binary file and not text; {_REMEDY}")
    return text


def split_lines(text: str) -> list[str]:
    r"""Lines with their ends (`\n`, `\r\n` or `\r`, nothing else); joined, they are the text."""
    return _LINE.findall(text)


def readable(blocks: Iterable[Block], remedy: str = "send a document that has text") -> Iterator[Block]:
    """The same blocks; raises `UnreadableContent` after the last one when all of them were white space."""
    blank = True
    for block in blocks:
        blank = blank and not block.text.strip()
        yield block
    if blank:
        raise UnreadableContent(f"the document holds no text at all; {remedy}")
