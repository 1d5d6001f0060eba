"""The lake's Parquet files: under a folder for each vector space, parts that are written whole and never change."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from include.quarry.records import Float32, Vectors

_SUFFIX = ".parquet"
_DRAFT = ".writing"


class Parts:
    """Parts under a root folder or object-store URI. Safe to share between processes."""

    def __init__(self, uri: str) -> None:
        if "://" in uri:
            self._files, self._root = pafs.FileSystem.from_uri(uri)
        else:
            self._files, self._root = pafs.LocalFileSystem(), uri

    def write(self, name: str, hashes: Sequence[str], vectors: Vectors) -> None:
        """Write a part, whole or not at all, and for good. Writing the same part again changes nothing."""
        folder = f"{self._root}/{vectors.fingerprint}"
        self._files.create_dir(folder, recursive=True)
        width = vectors.values.shape[1]
        values = pa.FixedSizeListArray.from_arrays(pa.array(vectors.values.ravel(), pa.float32()), width)
        table = pa.table({"text_hash": pa.array(hashes, pa.string()), "vector": values})
        draft = f"{folder}/.{name}.{uuid4().hex}{_DRAFT}"  # two may write one part, once a slow writer's claim lapsed
        pq.write_table(table, draft, filesystem=self._files, compression="none")
        self._sync(draft)  # content, then name, before SQL says that the part is there, for good
        self._files.move(draft, self._path(vectors.fingerprint, name))
        self._sync(folder)

    def exists(self, fingerprint: str, name: str) -> bool:
        """Whether there is such a part."""
        return bool(self._files.get_file_info(self._path(fingerprint, name)).type == pafs.FileType.File)

    def spaces(self) -> set[str]:
        """The fingerprints of the spaces that have, or had, a part."""
        found = self._files.get_file_info(pafs.FileSelector(self._root, allow_not_found=True))
        return {info.base_name for info in found if info.type == pafs.FileType.Directory}

    def names(self, fingerprint: str, *, older_than_s: float = 0.0) -> set[str]:
        """The parts of a space, of which `older_than_s` leaves out those that may be in the making."""
        return {name for name, age_s in self._ages(fingerprint, _SUFFIX) if age_s >= older_than_s}

    def hashes(self, fingerprint: str, name: str) -> list[str]:
        """The text hashes of a part, in its order. Raises `OSError` where there is no such part."""
        column = pq.read_table(self._path(fingerprint, name), columns=["text_hash"], filesystem=self._files)
        return [str(text_hash) for text_hash in column["text_hash"].to_pylist()]

    def count(self, fingerprint: str, name: str) -> int:
        """How many vectors a part holds. Raises `OSError` where there is no such part."""
        return int(pq.read_metadata(self._path(fingerprint, name), filesystem=self._files).num_rows)

    def values(self, fingerprint: str, name: str) -> Float32:
        """The vectors of a part `[n, d]`, in its order. Raises `OSError` where there is no such part."""
        table = pq.read_table(self._path(fingerprint, name), columns=["vector"], filesystem=self._files)
        column = table["vector"].combine_chunks()
        values: Float32 = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
        return values

    def remove(self, fingerprint: str, name: str) -> None:
        """Remove a part, if it is there."""
        if self.exists(fingerprint, name):
            self._files.delete_file(self._path(fingerprint, name))

    def remove_drafts(self, fingerprint: str, *, older_than_s: float) -> None:
        """Remove what writers that died have left."""
        for name, age_s in self._ages(fingerprint, _DRAFT):
            if age_s >= older_than_s:
                self._files.delete_file(f"{self._root}/{fingerprint}/{name}{_DRAFT}")

    def _ages(self, fingerprint: str, suffix: str) -> Iterator[tuple[str, float]]:
        folder, now = pafs.FileSelector(f"{self._root}/{fingerprint}", allow_not_found=True), datetime.now(UTC)
        for info in self._files.get_file_info(folder):
            if info.base_name.endswith(suffix):
                age = timedelta() if info.mtime is None else now - info.mtime
                yield info.base_name.removesuffix(suffix), age.total_seconds()

    def _path(self, fingerprint: str, name: str) -> str:
        return f"{self._root}/{fingerprint}/{name}{_SUFFIX}"

    def _sync(self, path: str) -> None:
        """Make a file's content, or a folder's names, survive a power cut; an object store does so by itself."""
        if isinstance(self._files, pafs.LocalFileSystem):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def part_name(hashes: Sequence[str]) -> str:
    """The name of a part that holds exactly these texts, in this order."""
    return sha256("".join(hashes).encode()).hexdigest()[:32]
