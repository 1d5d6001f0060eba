"""The `seq` that fences each document in one replica's view of a store elsewhere. A view never changes: `moved` gives
the next one, so that a search judges all it finds by the view it began with.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from json import dumps
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from include.quarry.records import DocumentKey

_RECENT = 4096


class Fence(NamedTuple):
    """The last update known of a document, and how many chunks it left; none when it deleted the document."""

    seq: int
    chunks: int


class Fences:
    """Document to fence. Recent moves lie apart, so that the next view need not copy the millions that rest."""

    def __init__(self, settled: dict[str, Fence] | None = None, recent: dict[str, Fence] | None = None) -> None:
        self._settled = settled or {}
        self._recent = recent or {}

    def seq(self, document: str) -> int:
        """The document's last `seq`; -1 when it was never seen."""
        fence = self._recent.get(document) or self._settled.get(document)
        return fence.seq if fence else -1

    def moved(self, moves: Mapping[str, Fence]) -> "Fences":
        """The view after these moves."""
        recent = {**self._recent, **moves}
        return Fences({**self._settled, **recent}) if len(recent) > _RECENT else Fences(self._settled, recent)

    def items(self) -> Iterator[tuple[str, Fence]]:
        yield from {**self._settled, **self._recent}.items()

    def write(self, path: Path) -> None:
        """An Arrow file with one row a document."""
        rows = [(document, *fence) for document, fence in sorted(self.items())]
        columns = list(zip(*rows, strict=True)) or [()] * len(_SCHEMA)
        table = pa.table([pa.array(c, f.type) for c, f in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA)
        with pa.ipc.new_file(path, _SCHEMA) as writer:
            writer.write_table(table)

    @classmethod
    def read(cls, path: Path) -> "Fences":
        """The inverse of `write`."""
        with pa.ipc.open_file(path) as reader:
            documents, *fences = [column.to_pylist() for column in reader.read_all().columns]
        return cls({document: Fence(*fence) for document, *fence in zip(documents, *fences, strict=True)})


def document_name(key: DocumentKey) -> str:
    """The document's name in a store elsewhere: 32 hex digits, whatever characters its key has."""
    return sha256(dumps(key).encode()).hexdigest()[:32]


_SCHEMA = pa.schema([("document", pa.string())] + [(name, pa.int64()) for name in Fence._fields])
