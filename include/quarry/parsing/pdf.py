"""PDF: the text of one page at a time, through PDFium."""

import re
from collections.abc import Iterator
from threading import Lock

from pypdfium2 import PdfDocument, PdfiumError
from pypdfium2.raw import FPDF_ERR_PASSWORD

from include.quarry.errors import UnreadableContent
from include.quarry.parsing.text import readable
from include.quarry.records import Block

_PDFIUM = Lock()  # PDFium is not thread-safe, not even across documents
_HYPHEN = re.compile(r"\ufffe\s*")  # PDFium's mark where a word was parted at the end of a line
_NO_TEXT = re.compile(r"[\0\ufffe\uffff]")


class PdfParser:
    """Reads `application/pdf`; each page is a block, and only one page is in memory."""

    def blocks(self, content: bytes) -> Iterator[Block]:
        return readable(_pages(content), "its pages are pictures: run character recognition (OCR) over it first")


def _pages(content: bytes) -> Iterator[Block]:
    with _PDFIUM:
        document = _open(content)
    try:
        for index in range(len(document)):
            with _PDFIUM:
                text = _page_text(document, index)
            if text.strip():
                yield Block(text + "\n\n")
    finally:
        with _PDFIUM:
            document.close()


def _open(content: bytes) -> PdfDocument:
    try:
        return PdfDocument(content)
    except PdfiumError as error:
        if error.err_code == FPDF_ERR_PASSWORD:
            raise UnreadableContent(
                "the PDF is encrypted with a password; remove the password and send it again"
            ) from error
        raise UnreadableContent(f"not a readable PDF: {error}; open it in a viewer and export it again") from error


def _page_text(document: PdfDocument, index: int) -> str:
    """The text of a page, lines ended by a line feed, words that were parted at line ends made whole."""
    try:
        page = document[index]
        text_page = page.get_textpage()
    except PdfiumError as error:
        raise UnreadableContent(f"page {index + 1} of the PDF cannot be read: {error}; export it again") from error
    text: str = text_page.get_text_bounded()
    text_page.close()
    page.close()
    return _NO_TEXT.sub("", _HYPHEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))).strip()
