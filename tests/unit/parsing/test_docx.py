from contextlib import suppress
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.quarry.errors import UnreadableContent
from include.quarry.parsing.docx import DocxParser
from include.quarry.records import Block
from tests.unit.parsing.samples import make_docx


def test_headings_go_by_style_and_tables_become_text() -> None:
    assert list(DocxParser().blocks(make_docx())) == [
        Block("Field guide\n\n", "heading", 1),
        Block("Birds are warm-blooded.\n\n"),
        Block("Owls\n\n", "heading", 2),
        Block("Owls hunt at night.\n\n"),
        Block("name | size\neagle owl\n\n", "table"),
        Block("The end.\n\n"),
    ]


def test_content_controls_and_tracked_insertions_are_text() -> None:
    run = b"<w:r><w:t>%s</w:t></w:r>"
    control, inserted = b"<w:sdt><w:sdtContent>%s</w:sdtContent></w:sdt>", b'<w:ins w:id="1" w:author="a">%s</w:ins>'
    deleted = b'<w:del w:id="2" w:author="a"><w:r><w:delText>gone </w:delText></w:r></w:del>'
    words = inserted % (run % b"new ") + deleted + control % (inserted % (run % b"inline "))
    added = control % (b"<w:p>" + run % b"Approved." + b"</w:p>") + b"<w:p>" + words + run % b"end." + b"</w:p>"
    buffer = BytesIO()
    with ZipFile(BytesIO(make_docx())) as intact, ZipFile(buffer, "w") as archive:
        for name in intact.namelist():
            archive.writestr(name, intact.read(name).replace(b"<w:body>", b"<w:body>" + added))
    texts = [block.text.strip() for block in DocxParser().blocks(buffer.getvalue())]
    assert texts[:3] == ["Approved.", "new inline end.", "Field guide"]


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    buffer = BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive, archive.open("word/document.xml", "w") as part:
        for _ in range(101):
            part.write(bytes(1_000_000))
    with pytest.raises(UnreadableContent, match="unpacks to 101,000,000 bytes"):
        list(DocxParser().blocks(buffer.getvalue()))


def test_a_zip_that_is_no_word_document_is_unreadable() -> None:
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UnreadableContent, match="not a readable Word document"):
        list(DocxParser().blocks(buffer.getvalue()))


def test_a_cell_that_claims_a_billion_columns_costs_nothing() -> None:
    with ZipFile(BytesIO(make_docx())) as intact:
        parts = {name: intact.read(name) for name in intact.namelist()}
    parts["word/document.xml"] = parts["word/document.xml"].replace(
        b'w:gridSpan w:val="2"', b'w:gridSpan w:val="999999999"'
    )
    assert b"999999999" in parts["word/document.xml"]
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    assert Block("name | size\neagle owl\n\n", "table") in list(DocxParser().blocks(buffer.getvalue()))


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_word_document_with_damaged_xml_is_read_or_refused(data: st.DataObject) -> None:
    buffer = BytesIO()
    with ZipFile(BytesIO(make_docx())) as intact, ZipFile(buffer, "w") as archive:
        victim = data.draw(
            st.sampled_from(sorted(name for name in intact.namelist() if name.endswith((".xml", ".rels"))))
        )
        for name in intact.namelist():
            part = intact.read(name)
            if name == victim:
                start = data.draw(st.integers(0, len(part)))
                size = data.draw(st.sampled_from([0, 1, 5, 40, len(part)]))
                part = (
                    part[:start]
                    + data.draw(st.sampled_from([b"", b"x", b"<", b"/>", b'"', b"9"]))
                    + part[start + size :]
                )
            archive.writestr(name, part)
    with suppress(UnreadableContent):
        assert list(DocxParser().blocks(buffer.getvalue()))
