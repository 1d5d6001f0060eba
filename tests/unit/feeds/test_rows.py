"""A row is a document by its mapping."""

from datetime import date
from decimal import Decimal

import pytest

from include.quarry.errors import InvalidInput
from include.quarry.feeds.rows import RowMapping
from include.quarry.records import DocumentKey

ROW = {"id": 7, "shop": "red", "name": "Chalk", "body": "White.", "more": None, "price": Decimal("1.50"), "tags": ["a"]}
MAPPING = RowMapping(
    "main", ("id",), ("name", "body", "more"), tenant_column="shop", title="name", metadata=("price", "tags", "more")
)


def test_columns_become_key_text_title_and_metadata() -> None:
    raw = MAPPING.document_of(ROW, "postgres://x")
    assert raw.key == DocumentKey("main", "red", "7")
    assert (raw.content, raw.title) == (b"Chalk\n\nWhite.", "Chalk")
    assert raw.metadata == {"price": "1.50", "tags": '["a"]'}


def test_a_key_of_several_columns_is_a_path() -> None:
    mapping = RowMapping("main", ("day", "id"), ("name",), tenant="blue", prefix="sales/")
    assert mapping.key_of({"day": date(2026, 3, 1), "id": 7}) == DocumentKey("main", "blue", "sales/2026-03-01/7")


@pytest.mark.parametrize("row", [{**ROW, "id": None}, {**ROW, "id": ""}, {**ROW, "shop": None}, {"shop": "red"}])
def test_a_row_without_its_key_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        MAPPING.key_of(row)


def test_a_mapping_names_the_columns_that_matter() -> None:
    assert MAPPING.columns == {"id", "shop", "name", "body", "more", "price", "tags"}
    with pytest.raises(InvalidInput, match="no column 'body'"):
        MAPPING.document_of({name: value for name, value in ROW.items() if name != "body"}, "x")
