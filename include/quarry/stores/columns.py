"""What is known of each row of a vector store besides its vector: chunk_id, version, and the fields filters name.

Columns only grow. A reader that knows `count` rows sees them unchanged while the writer appends behind them.
Fields are dictionary-encoded (a code of four bytes a row), so a filter is a comparison over one integer column.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.quarry.records import Chunk, Scope
from include.quarry.stores.chunk_ids import ChunkIds, fixed_width
from include.quarry.stores.updates import fields

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

_TENANT = "tenant"
_FIELD = "field:"
_ABSENT = -1


class Growing:
    """An array whose first axis grows by doubling; rows once written never change."""

    def __init__(self, rows: NDArray[Any]) -> None:
        self._rows = rows
        self._count = len(rows)

    def append(self, rows: NDArray[Any]) -> None:
        stop = self._count + len(rows)
        if stop > len(self._rows):
            larger = np.empty((max(stop, 2 * len(self._rows)), *self._rows.shape[1:]), self._rows.dtype)
            larger[: self._count] = self._rows[: self._count]
            self._rows = larger
        self._rows[self._count : stop] = rows
        self._count = stop

    def view(self, count: int) -> NDArray[Any]:
        """The first `count` rows, without a copy."""
        return self._rows[:count]


class Field:
    """One dictionary-encoded column: a code a row, -1 where the row lacks the field."""

    def __init__(self, codes: NDArray[np.int32], values: dict[str, int]) -> None:
        self.codes = Growing(codes)
        self._values = values

    def append(self, values: Sequence[str | None]) -> None:
        codes = [_ABSENT if value is None else self._values.setdefault(value, len(self._values)) for value in values]
        self.codes.append(np.array(codes, np.int32))

    def equals(self, value: str, count: int) -> Mask:
        """Which of the first `count` rows hold the value."""
        code = self._values.get(value)
        return np.zeros(count, bool) if code is None else np.asarray(self.codes.view(count) == code)

    def take(self, rows: Rows, count: int) -> Self:
        """A field of its own with these of the first `count` rows; values that only others had are forgotten."""
        codes, values = self.codes.view(count)[rows], list(self._values)
        used = np.zeros(len(values), bool)
        used[codes[codes != _ABSENT]] = True
        renumbered = np.append(np.cumsum(used, dtype=np.int32) - 1, np.int32(_ABSENT))  # -1 finds the last one
        kept = [values[code] for code in np.flatnonzero(used)]
        return type(self)(renumbered[codes], {value: code for code, value in enumerate(kept)})

    def to_arrow(self, rows: Rows, count: int) -> pa.Array:
        codes = self.codes.view(count)[rows]
        values = pa.array(list(self._values), pa.large_string())
        return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes == _ABSENT), values).dictionary_decode()

    @classmethod
    def from_arrow(cls, column: pa.ChunkedArray) -> Self:
        encoded = column.combine_chunks().dictionary_encode()
        codes = encoded.indices.fill_null(_ABSENT).to_numpy().astype(np.int32)
        return cls(codes, {value: code for code, value in enumerate(encoded.dictionary.to_pylist())})


class Columns:
    """The columns of all rows, live and dead."""

    def __init__(self, ids: ChunkIds, versions: Rows, named: dict[str, Field]) -> None:
        self._ids = ids
        self._versions = Growing(versions)
        self._fields = named

    @classmethod
    def empty(cls) -> Self:
        return cls(ChunkIds(), np.empty(0, np.int64), {_TENANT: Field(np.empty(0, np.int32), {})})

    def __len__(self) -> int:
        return len(self._ids)

    def append(self, chunks: Sequence[Chunk]) -> None:
        """One row a chunk."""
        rows = [{_TENANT: chunk.key.tenant} | _prefixed(fields(chunk)) for chunk in chunks]
        for name in sorted({name for row in rows for name in row} - self._fields.keys()):
            self._fields[name] = Field(np.full(len(self), _ABSENT, np.int32), {})
        for name, field in self._fields.items():
            field.append([row.get(name) for row in rows])
        self._versions.append(np.array([chunk.doc_version for chunk in chunks], np.int64))
        self._ids.append(chunk.chunk_id for chunk in chunks)

    def ids(self, rows: Rows) -> list[str]:
        """The chunk_id of each row."""
        return self._ids.of(rows.tolist())

    def versions(self, rows: Rows) -> list[int]:
        """The document version of each row."""
        versions: list[int] = self._versions.view(len(self))[rows].tolist()
        return versions

    def mask(self, scope: Scope, count: int) -> Mask:
        """Which of the first `count` rows a query of this scope may see, dead rows included."""
        mask = np.ones(count, bool)
        for name, value in ({_TENANT: scope.tenant} | _prefixed(scope.filters)).items():
            field = self._fields.get(name)
            mask &= field.equals(value, count) if field else np.zeros(count, bool)
        return mask

    def take(self, rows: Rows) -> Self:
        """Columns of their own with these rows; the first ones, loaded from a snapshot, must all be among them."""
        count = len(self)
        named = {name: field.take(rows, count) for name, field in self._fields.items()}
        return type(self)(self._ids.take(rows), self._versions.view(count)[rows], named)

    def write(self, path: Path, rows: Rows, count: int) -> None:
        """An Arrow file of these rows, in this order."""
        columns = {name: field.to_arrow(rows, count) for name, field in list(self._fields.items())}
        ids = pa.array(self.ids(rows), pa.large_string())
        table = pa.table({"chunk_id": ids, "doc_version": self._versions.view(count)[rows]} | columns)
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The inverse of `write`."""
        with pa.ipc.open_file(path) as reader:
            table = reader.read_all()
        names = [name for name in table.column_names if name == _TENANT or name.startswith(_FIELD)]
        return cls(
            ChunkIds(fixed_width(table["chunk_id"].to_pylist())),
            table["doc_version"].to_numpy().astype(np.int64),
            {name: Field.from_arrow(table[name]) for name in names},
        )


def _prefixed(named: Mapping[str, str]) -> dict[str, str]:
    return {_FIELD + name: value for name, value in named.items()}
