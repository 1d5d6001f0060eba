"""Rows of a table as documents: which columns are the key, the tenant, the title, the text and the metadata."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from include.quarry.errors import InvalidInput
from include.quarry.feeds.keys import document_key
from include.quarry.records import DocumentKey, RawDocument

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowMapping:
    """How a row becomes a document of `corpus`.

    The doc_id is `prefix` and the values of the `key` columns, joined by `/`. `tenant` is a name, unless
    `tenant_column` says in which column it stands. Empty columns are left out of text and metadata.
    """

    corpus: str
    key: tuple[str, ...]
    text: tuple[str, ...]
    tenant: str = "default"
    tenant_column: str = ""
    title: str = ""
    metadata: tuple[str, ...] = ()
    content_type: str = "text/plain"
    prefix: str = ""

    @property
    def columns(self) -> frozenset[str]:
        """The columns that matter."""
        named = (*self.key, *self.text, *self.metadata, self.title, self.tenant_column)
        return frozenset(name for name in named if name)

    def key_of(self, row: Row) -> DocumentKey:
        """Who the row's document is. Raises `InvalidInput` when a column of the key is missing or empty."""
        values = [_text(row, name) for name in self.key]
        if "" in values:
            raise InvalidInput(f"column {self.key[values.index('')]!r} of the key is empty; every row needs one")
        tenant = _text(row, self.tenant_column) if self.tenant_column else self.tenant
        return document_key(self.corpus, tenant, self.prefix + "/".join(values))

    def document_of(self, row: Row, uri: str) -> RawDocument:
        """The row as a document. Raises `InvalidInput`."""
        key = self.key_of(row)
        return RawDocument(
            key=key,
            uri=uri,
            content="\n\n".join(text for name in self.text if (text := _text(row, name))).encode("utf-8", "replace"),
            content_type=self.content_type,
            title=(_text(row, self.title) if self.title else "") or None,
            metadata={name: text for name in self.metadata if (text := _text(row, name))},
        )


def _text(row: Row, column: str) -> str:
    if column not in row:
        raise InvalidInput(f"the row has no column {column!r}; it has {', '.join(sorted(row))}; mend the mapping")
    value = row[column]
    match value:
        case None:
            return ""
        case str() | int() | float() | Decimal() | date() | datetime():
            return str(value)
        case _:
            return json.dumps(value, sort_keys=True, default=str)
