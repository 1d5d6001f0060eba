"""Word documents: paragraphs and tables in the order of the body, through python-docx."""

import zlib
from collections.abc import Iterator
from io import BytesIO
from zipfile import BadZipFile, ZipFile

import docx
from docx.document import Document
from docx.opc.exceptions import OpcError
from docx.oxml.exceptions import XmlchemyError
from docx.oxml.ns import qn
from docx.table import Table, _Cell
from docx.text.paragraph import Paragraph
from lxml.etree import LxmlError

from include.quarry.errors import UnreadableContent
from include.quarry.parsing.text import readable
from include.quarry.records import Block

_MAX_UNPACKED_BYTES = 100_000_000
_MAX_PARTS = 10_000
_CONTROL = qn("w:sdt")
_WRAPPERS = (_CONTROL, *map(qn, ("w:ins", "w:moveTo", "w:smartTag", "w:customXml")))
# What zipfile, lxml and python-docx were seen to raise over broken files; all of them mean the same to the sender.
_BROKEN = (
    *(BadZipFile, zlib.error, EOFError, RuntimeError, LxmlError, OpcError, XmlchemyError),
    *(LookupError, AttributeError, ValueError, TypeError, OverflowError),
)


class DocxParser:
    """Reads Word's `.docx`; headings are told by their style, a table row is a line with ` | ` between its cells."""

    def blocks(self, content: bytes) -> Iterator[Block]:
        return readable(_blocks(content))


def _blocks(content: bytes) -> Iterator[Block]:
    try:
        _refuse_bombs(content)
        for part in _unwrapped(docx.Document(BytesIO(content))).iter_inner_content():
            block = _table(part) if isinstance(part, Table) else _paragraph(part)
            if block.text.strip():
                yield block
    except _BROKEN as error:
        raise UnreadableContent(
            f"not a readable Word document ({type(error).__name__}: {error}); save it as .docx again in Word"
        ) from error


def _refuse_bombs(content: bytes) -> None:
    """`zipfile` never unpacks more of a part than the directory says, so the directory can be trusted as a bound."""
    with ZipFile(BytesIO(content)) as archive:
        parts = archive.infolist()
    unpacked = sum(part.file_size for part in parts)
    if unpacked > _MAX_UNPACKED_BYTES or len(parts) > _MAX_PARTS:
        raise UnreadableContent(
            f"the document unpacks to {unpacked:,} bytes in {len(parts):,} parts; allowed are "
            f"{_MAX_UNPACKED_BYTES:,} bytes in {_MAX_PARTS:,} parts; split it or take out pictures"
        )


def _unwrapped(document: Document) -> Document:
    """The document without what stands around text: python-docx overlooks content controls and tracked insertions."""
    body = document.element.body
    for wrapper in list(body.iter(*_WRAPPERS)):
        inner = wrapper.find(qn("w:sdtContent")) if wrapper.tag == _CONTROL else wrapper
        for child in [] if inner is None else list(inner):
            wrapper.addprevious(child)
        wrapper.getparent().remove(wrapper)
    return document


def _paragraph(paragraph: Paragraph) -> Block:
    level = _heading_level(paragraph)
    return Block(paragraph.text.strip() + "\n\n", "heading" if level else "prose", level)


def _heading_level(paragraph: Paragraph) -> int:
    """`Title` and `Heading 1` are level 1; 0 for every other style."""
    name = (paragraph.style.name if paragraph.style else "") or ""
    if name == "Title":
        return 1
    kind, _, number = name.partition(" ")
    return int(number) if kind == "Heading" and number in set("123456789") else 0


def _table(table: Table) -> Block:
    return Block("\n".join(_rows(table)) + "\n\n", "table")


def _rows(table: Table) -> Iterator[str]:
    """One line a row; a merged cell speaks once, whatever span it claims."""
    for row in table.rows:
        cells = (_Cell(cell, table) for cell in row._tr.tc_lst if cell.vMerge != "continue")
        line = " | ".join(" ".join(_cell_text(cell).split()) for cell in cells)
        if line.strip(" |"):
            yield line


def _cell_text(cell: _Cell) -> str:
    parts = cell.iter_inner_content()
    return " ".join("; ".join(_rows(part)) if isinstance(part, Table) else part.text for part in parts)
