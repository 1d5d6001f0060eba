"""The vector lake: (spec fingerprint, text hash) -> vector. A text is embedded once per space, for all tenants.

Bulk vectors lie in Parquet parts, each written whole and never changed; the fresh tail lies inline in SQL. The SQL
table is the index of both, and its unique key is what "once" means.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import sqlalchemy as sa

from include.quarry.catalog.database import Database, insert_missing
from include.quarry.catalog.schema import vectors as index
from include.quarry.errors import NotFound
from include.quarry.records import Float32, Vectors

_HASHES_PER_QUERY = 800  # stays below the parameter limit of every SQLite build


class VectorLake:
    """Vectors under a root folder or object-store URI, indexed by the catalog. Safe to share between processes."""

    def __init__(self, database: Database, uri: str) -> None:
        self._database = database
        if "://" in uri:
            self._files, self._root = pafs.FileSystem.from_uri(uri)
        else:
            self._files, self._root = pafs.LocalFileSystem(), uri

    def missing(self, fingerprint: str, hashes: Iterable[str]) -> list[str]:
        """Those of the hashes, each once and in order, for which the lake has no vector."""
        wanted = list(dict.fromkeys(hashes))
        with self._database.read() as connection:
            present = {row.text_hash for row in _index_rows(connection, fingerprint, wanted)}
        return [text_hash for text_hash in wanted if text_hash not in present]

    def put_inline(self, hashes: Sequence[str], vectors: Vectors) -> None:
        """Add fresh vectors; a hash that the lake already has keeps its vector."""
        rows = [
            {"fingerprint": vectors.fingerprint, "text_hash": text_hash, "inline": value.astype("<f4").tobytes()}
            for text_hash, value in zip(hashes, vectors.values, strict=True)
        ]
        with self._database.write() as connection:
            insert_missing(connection, index, rows)

    def put_part(self, name: str, hashes: Sequence[str], vectors: Vectors) -> None:
        """Write one Parquet part, whole or not at all, then index it. Writing the same part again changes nothing."""
        folder = f"{self._root}/{vectors.fingerprint}"
        self._files.create_dir(folder, recursive=True)
        width = vectors.values.shape[1]
        values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.values.ravel(), pa.float32()), width)
        table = pa.table({"text_hash": pa.array(hashes, pa.string()), "vector": values})
        draft = f"{folder}/.{name}.writing"
        pq.write_table(table, draft, filesystem=self._files, compression="none")
        self._sync(draft)  # content, then name, before SQL says that the part is there, for good
        self._files.move(draft, f"{folder}/{name}.parquet")
        self._sync(folder)
        self._index_part(vectors.fingerprint, name, hashes)

    def adopt_part(self, fingerprint: str, name: str) -> int | None:
        """Index a part whose writer died before it could; gives its row count, or None where there is no such part."""
        path = f"{self._root}/{fingerprint}/{name}.parquet"
        if self._files.get_file_info(path).type != pafs.FileType.File:
            return None
        hashes = self.texts_of(fingerprint, name)
        self._index_part(fingerprint, name, hashes)
        return len(hashes)

    def texts_of(self, fingerprint: str, name: str) -> list[str]:
        """The text hashes of a part, in its order. Raises `OSError` where there is no such part."""
        path = f"{self._root}/{fingerprint}/{name}.parquet"
        column = pq.read_table(path, columns=["text_hash"], filesystem=self._files)["text_hash"]
        return [str(text_hash) for text_hash in column.to_pylist()]

    def adopt_orphans(self, fingerprint: str) -> int:
        """Index every part that no process indexed; how many there were. Run before planning what is missing."""
        folder = pafs.FileSelector(f"{self._root}/{fingerprint}", allow_not_found=True)
        names = {
            info.base_name.removesuffix(".parquet")
            for info in self._files.get_file_info(folder)
            if info.base_name.endswith(".parquet")
        }
        with self._database.read() as connection:
            query = sa.select(index.c.part).where(index.c.fingerprint == fingerprint).distinct()
            known = set(connection.scalars(query))
        for name in sorted(names - known):
            self.adopt_part(fingerprint, name)
        return len(names - known)

    def fetch(self, fingerprint: str, hashes: Sequence[str]) -> Vectors:
        """Vectors `[n, d]` in the order of the hashes. Raises `NotFound` when one was never embedded."""
        found: dict[str, Float32] = {}
        in_parts: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
        with self._database.read() as connection:
            for row in _index_rows(connection, fingerprint, list(dict.fromkeys(hashes))):
                if row.inline is not None:
                    found[row.text_hash] = np.frombuffer(row.inline, "<f4")
                else:
                    in_parts[row.part].append((row.position, row.text_hash))
        for part, members in in_parts.items():
            values = self._read_part(fingerprint, part)
            found.update((text_hash, values[position]) for position, text_hash in members)
        if absent := [text_hash for text_hash in hashes if text_hash not in found]:
            raise NotFound(
                f"lake has no vector of space {fingerprint} for {len(absent)} of {len(hashes)} texts, first "
                f"{absent[0]}; run backfill_embeddings"
            )
        return Vectors(fingerprint, np.stack([found[text_hash] for text_hash in hashes]).astype(np.float32))

    def _sync(self, path: str) -> None:
        """Make a file's content, or a folder's names, survive a power cut; an object store does so by itself."""
        if isinstance(self._files, pafs.LocalFileSystem):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _read_part(self, fingerprint: str, name: str) -> Float32:
        path = f"{self._root}/{fingerprint}/{name}.parquet"
        column = pq.read_table(path, columns=["vector"], filesystem=self._files)["vector"].combine_chunks()
        values: Float32 = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
        return values

    def _index_part(self, fingerprint: str, name: str, hashes: Sequence[str]) -> None:
        rows = [
            {"fingerprint": fingerprint, "text_hash": text_hash, "part": name, "position": position}
            for position, text_hash in enumerate(hashes)
        ]
        with self._database.write() as connection:
            insert_missing(connection, index, rows)


def _index_rows(
    connection: sa.Connection, fingerprint: str, hashes: Sequence[str]
) -> Iterator[sa.Row[*tuple[Any, ...]]]:
    columns = (index.c.text_hash, index.c.part, index.c.position, index.c.inline)
    for start in range(0, len(hashes), _HASHES_PER_QUERY):
        some = hashes[start : start + _HASHES_PER_QUERY]
        query = sa.select(*columns).where(index.c.fingerprint == fingerprint, index.c.text_hash.in_(some))
        yield from connection.execute(query)
