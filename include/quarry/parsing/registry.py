"""Which parser reads which content type. Importing this module imports no parser."""

from importlib import import_module
from pathlib import PurePosixPath

from include.quarry.errors import UnsupportedContent
from include.quarry.parsing.protocol import Parser

_PARSERS = {
    "text/markdown": ("markdown", "MarkdownParser"),
    "text/x-rst": ("restructuredtext", "ReStructuredTextParser"),
    "text/html": ("html", "HtmlParser"),
    "text/plain": ("plain_text", "PlainTextParser"),
    "application/pdf": ("pdf", "PdfParser"),
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ("docx", "DocxParser"),
}
_SUFFIXES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".rst": "text/x-rst",
    ".html": "text/html",
    ".htm": "text/html",
    ".txt": "text/plain",
    ".pdf": "application/pdf",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}

CONTENT_TYPES = tuple(_PARSERS)


def parser_for(content_type: str) -> Parser:
    """The parser of a content type; parameters such as `; charset=utf-8` are tolerated and ignored.

    Raises `UnsupportedContent`, listing what is allowed.
    """
    essence = content_type.partition(";")[0].strip().lower()
    if essence not in _PARSERS:
        raise UnsupportedContent(
            f"content type {content_type!r:.200} has no parser; allowed are {', '.join(_PARSERS)}; "
            "convert the document to one of these"
        )
    module, name = _PARSERS[essence]
    parser: Parser = getattr(import_module(f"include.quarry.parsing.{module}"), name)()
    return parser


def content_type_of(filename: str) -> str | None:
    """The content type that a file's suffix stands for; None when no parser would read it."""
    return _SUFFIXES.get(PurePosixPath(filename).suffix.lower())
