"""Names: what may call itself a corpus, a tenant or a document."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.errors import InvalidInput
from include.quarry.feeds.keys import check_doc_id, document_key


@pytest.mark.parametrize("doc_id", ["a", "guide/start.md", "Überblick 2.pdf", "a..b", "x" * 512, "日本語/文書.txt"])
def test_ordinary_ids_are_allowed(doc_id: str) -> None:
    assert document_key("main", "default", doc_id).doc_id == doc_id


@pytest.mark.parametrize(
    "doc_id", ["", "../etc/passwd", "a/../b", "/absolute", "a//b", "a/", ".", "a\x00b", "a\nb", "\ud800", "x" * 513]
)
def test_ids_that_could_mean_something_else_are_refused(doc_id: str) -> None:
    with pytest.raises(InvalidInput, match="doc_id"):
        check_doc_id(doc_id)


@pytest.mark.parametrize("name", ["", "Upper", "with space", "-dash", "a/b", "ü", "x" * 64, "a\n"])
def test_tenants_and_corpora_are_plain_names(name: str) -> None:
    with pytest.raises(InvalidInput, match="tenant"):
        document_key("main", name, "a")
    with pytest.raises(InvalidInput, match="corpus"):
        document_key(name, "default", "a")


@given(st.text())
def test_any_text_is_an_id_or_refused_with_a_reason(text: str) -> None:
    try:
        assert check_doc_id(text) == text
    except InvalidInput as refusal:
        assert "not allowed" in str(refusal)
