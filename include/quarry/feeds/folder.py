"""The folder feed: every readable file below a folder is a document, named by its relative path."""

import errno
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from include.quarry.errors import ContentTooLarge, Unavailable
from include.quarry.feeds.protocol import FeedItem
from include.quarry.parsing.registry import content_type_of
from include.quarry.records import DocumentKey, RawDocument

_JUST_NOW_NS = 2 * 10**9  # the coarsest clock of a file system; a clock that is ahead counts as just now, too


class FolderFeed:
    """Files whose suffix names a known content type, but no hidden files and no links that lead out of the folder."""

    def __init__(self, folder: Path, corpus: str, tenant: str, max_bytes: int) -> None:
        self._folder = folder.absolute()
        self._corpus = corpus
        self._tenant = tenant
        self._max_bytes = max_bytes

    @property
    def name(self) -> str:
        return f"folder:{self._corpus}:{self._tenant}:{self._folder}"

    def items(self) -> Iterator[FeedItem]:
        if not self._folder.is_dir():
            raise Unavailable(f"folder {self._folder} does not exist; nothing was read or deleted; check the path")
        for path in sorted(self._files()):
            content_type = content_type_of(path.name)
            if content_type is None:
                continue
            try:
                status = path.stat()
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP):
                    continue  # gone between the listing and now, or a link to nothing: as good as deleted
                raise
            if stat.S_ISREG(status.st_mode):
                yield self._item(path, content_type, status)

    def _files(self) -> Iterator[Path]:
        root = self._folder.resolve()
        for folder, subfolders, names in os.walk(self._folder, onerror=_refuse):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            for name in names:
                path = Path(folder, name)
                if not name.startswith(".") and Path(os.path.realpath(path)).is_relative_to(root):
                    yield path

    def _item(self, path: Path, content_type: str, status: os.stat_result) -> FeedItem:
        doc_id = os.fsencode(path.relative_to(self._folder).as_posix()).decode("utf-8", "backslashreplace")
        uri = path.absolute().as_uri()

        too_large = status.st_size > self._max_bytes

        def load() -> RawDocument:
            if too_large:
                raise ContentTooLarge(
                    f"{doc_id} has {status.st_size} bytes; allowed are {self._max_bytes}; "
                    "split it, or raise QUARRY_MAX_DOCUMENT_BYTES"
                )
            return RawDocument(DocumentKey(self._corpus, self._tenant, doc_id), uri, path.read_bytes(), content_type)

        limit = f":over {self._max_bytes}" if too_large else ""  # a higher limit makes it worth another try
        # Written twice within one tick of the clock, a file may look the same; so what is new is read once more later.
        age_ns = time.time_ns() - status.st_mtime_ns
        young = ":just now" if age_ns < _JUST_NOW_NS else ""
        return FeedItem(doc_id, uri, f"{status.st_size}:{status.st_mtime_ns}{limit}{young}", load)


def _refuse(error: OSError) -> None:
    """A folder that cannot be listed is not an empty folder: nothing below it may count as deleted."""
    raise Unavailable(
        f"{error.filename} cannot be read ({error.strerror}); nothing was deleted; mend it, then run again"
    )
