import subprocess
import sys
from pathlib import Path

import pytest

from include.quarry.errors import UnsupportedContent
from include.quarry.parsing.registry import CONTENT_TYPES, content_type_of, parser_for

ROOT = Path(__file__).parents[3]


def test_parameters_and_case_of_a_content_type_are_tolerated() -> None:
    assert type(parser_for("Text/Markdown; charset=UTF-8")) is type(parser_for("text/markdown"))


def test_an_unknown_content_type_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(UnsupportedContent, match=r"'image/png'.*text/markdown.*application/pdf"):
        parser_for("image/png")


@pytest.mark.parametrize(
    ("filename", "content_type"),
    [
        ("a/README.MD", "text/markdown"),
        ("x.markdown", "text/markdown"),
        ("x.rst", "text/x-rst"),
        ("x.htm", "text/html"),
        ("x.txt", "text/plain"),
        ("x.tar.pdf", "application/pdf"),
        ("x.png", None),
        ("md", None),
    ],
)
def test_a_suffix_names_the_content_type(filename: str, content_type: str | None) -> None:
    assert content_type_of(filename) == content_type


def test_every_suffix_leads_to_a_parser() -> None:
    for suffix in ("md", "rst", "html", "txt", "pdf", "docx"):
        assert content_type_of(f"file.{suffix}") in CONTENT_TYPES


def test_importing_the_registry_imports_no_parser() -> None:
    code = (
        "import sys, include.quarry.parsing.registry; "
        "print(*{'docx', 'pypdfium2', 'selectolax', 'markdown_it'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout == "\n"
