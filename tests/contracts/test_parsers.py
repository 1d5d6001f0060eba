"""What every parser promises, whatever its content type."""

from importlib.metadata import distributions

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.quarry.errors import UnreadableContent
from include.quarry.parsing.registry import CONTENT_TYPES, parser_for
from include.quarry.records import Block
from tests.unit.parsing.samples import SAMPLES, VERBATIM

content_types = pytest.mark.parametrize("content_type", CONTENT_TYPES)
verbatim_types = pytest.mark.parametrize("content_type", VERBATIM)
texts = st.text(st.sampled_from("ab#=-~*`|>:.+ \t\n\r\x0c\u2028é<&;[]()_12"), max_size=200)


def parse(content_type: str, content: bytes) -> list[Block]:
    return list(parser_for(content_type).blocks(content))


def parse_or_refuse(content_type: str, content: bytes) -> None:
    """Anything but blocks of clean text or `UnreadableContent` is a failure."""
    try:
        text = "".join(block.text for block in parse(content_type, content))
    except UnreadableContent:
        return
    assert text.strip()
    assert "\0" not in text
    text.encode("utf-8")


@content_types
def test_a_valid_document_is_read(content_type: str) -> None:
    blocks = parse(content_type, SAMPLES[content_type])
    assert sum(len(block.text.split()) for block in blocks) >= 5
    assert all(block.text for block in blocks)
    assert all((block.level > 0) == (block.kind == "heading") for block in blocks)


@content_types
def test_the_same_bytes_give_the_same_blocks(content_type: str) -> None:
    assert parse(content_type, SAMPLES[content_type]) == parse(content_type, SAMPLES[content_type])


@content_types
@pytest.mark.parametrize("content", [b"", b" \n\t\n"], ids=["empty", "blank"])
def test_a_document_without_text_is_unreadable(content_type: str, content: bytes) -> None:
    with pytest.raises(UnreadableContent, match=r"; .+"):
        parse(content_type, content)


@content_types
@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=300))
def test_garbage_is_read_as_text_or_refused(content_type: str, content: bytes) -> None:
    parse_or_refuse(content_type, content)


@content_types
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_document_is_read_or_refused(content_type: str, data: st.DataObject) -> None:
    content = bytearray(SAMPLES[content_type])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        size = data.draw(st.sampled_from([0, 1, 2, 50, len(content)]))
        content[start : start + size] = data.draw(st.binary(max_size=8))
    parse_or_refuse(content_type, bytes(content))


@verbatim_types
@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_blocks_joined_are_the_source_character_for_character(content_type: str, text: str) -> None:
    if text.strip():
        assert "".join(block.text for block in parse(content_type, text.encode())) == text


@verbatim_types
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_names_the_encoding_and_is_no_text(content_type: str, encoding: str) -> None:
    text = "Größe 東京\n"
    assert "".join(block.text for block in parse(content_type, text.encode(encoding))) == text


@pytest.mark.parametrize("content_type", [*VERBATIM, "text/html"])
def test_a_wrong_encoding_is_named_with_byte_and_offset(content_type: str) -> None:
    with pytest.raises(UnreadableContent, match=r"0xfc at offset 4 is not utf-8.*save the document as UTF-8"):
        parse(content_type, "Mein\xfc".encode("latin-1"))


@pytest.mark.parametrize("content_type", [*VERBATIM, "text/html"])
def test_binary_files_are_refused(content_type: str) -> None:
    with pytest.raises(UnreadableContent, match="character 3 is NUL"):
        parse(content_type, b"abc\0def")


def test_every_long_description_of_this_environment_is_read() -> None:
    read = 0
    for distribution in distributions():
        metadata = distribution.metadata
        text = str(metadata.get_payload() or metadata.get("Description") or "")
        if not text.strip():
            continue
        for content_type in {(metadata.get("Description-Content-Type") or "text/x-rst").split(";")[0], "text/markdown"}:
            assert "".join(block.text for block in parse(content_type, text.encode())) == text, metadata["Name"]
        read += 1
    assert read > 50
