import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from include.quarry.errors import UnreadableContent
from include.quarry.parsing.pdf import PdfParser
from tests.unit.parsing.samples import make_pdf


def test_each_page_with_text_is_a_block() -> None:
    blocks = list(PdfParser().blocks(make_pdf([["Hello world.", "Second line."], [], ["Last page."]])))
    assert [block.text for block in blocks] == ["Hello world.\nSecond line.\n\n", "Last page.\n\n"]


def test_an_encrypted_pdf_is_unreadable() -> None:
    with pytest.raises(UnreadableContent, match="encrypted"):
        list(PdfParser().blocks(make_pdf([["secret"]], encrypted=True)))


def test_a_pdf_of_pictures_asks_for_character_recognition() -> None:
    with pytest.raises(UnreadableContent, match="OCR"):
        list(PdfParser().blocks(make_pdf([[], []])))


def test_a_broken_pdf_is_unreadable() -> None:
    with pytest.raises(UnreadableContent, match="not a readable PDF"):
        list(PdfParser().blocks(b"%PDF-1.7 and then nothing"))


def test_threads_may_read_at_the_same_time() -> None:
    content = make_pdf([[f"page {number}"] for number in range(50)])
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: list(PdfParser().blocks(content)), range(8)))
    assert all(result == results[0] for result in results)
    assert len(results[0]) == 50


def test_a_thousand_pages_stay_below_one_gibibyte(tmp_path: Path) -> None:
    lines = [f"Line {number} of a page that says something about retrieval and memory." for number in range(60)]
    file = tmp_path / "large.pdf"
    file.write_bytes(make_pdf([[f"Page {page}", *lines] for page in range(1000)]))
    code = (
        "import re, sys; from pathlib import Path; from include.quarry.parsing.registry import parser_for; "
        "pages = sum(1 for _ in parser_for('application/pdf').blocks(Path(sys.argv[1]).read_bytes())); "
        # VmHWM begins anew at exec; ru_maxrss would hand down the peak of the process that forked this one
        "print(pages, re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])"
    )
    command = [sys.executable, "-c", code, str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    pages, rss_kib = map(int, result.stdout.split())
    assert pages == 1000
    assert rss_kib < 1024 * 1024
