"""The journal of one process: every entry is with the kernel before its answer leaves.

One write(2) an entry, on the caller's thread. What the kernel has, SIGKILL cannot take; against a power cut there is
`sync`, which waits for the disk.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from include.quarry.audit.entry import GENESIS, AuditRecord, encode_body, encode_line, hash_of
from include.quarry.audit.segments import Origin, open_folder, open_segment
from include.quarry.errors import Unavailable

_SEGMENT_S = 3600.0
_SPOILED = b"\t\n"
"""Makes of whatever part of a line a line that has a field too few or too many."""


class Journal:
    """Appends entries to a chain of this process's own. Threads may share it; a process that forks must make its own.

    Files are opened by the first entry, so a disk that cannot take them now may do so later.
    """

    def __init__(self, folder: Path, name: str, *, sync: bool = False, segment_bytes: int = 4 * 2**20) -> None:
        """`name` says what the process is, in the names of its records' writer."""
        self.writer = f"{name}-{uuid4().hex[:16]}"
        self.folder = folder
        self._sync = sync
        self._segment_bytes = segment_bytes
        self._turn = Lock()
        self._held: int | None = None
        self._file: int | None = None
        self._size = 0
        self._begun_at_s = 0.0
        self._number = 0
        self._head = GENESIS
        self._torn = b""

    @property
    def origin(self) -> Origin:
        """Where its entries are to be found."""
        return Origin(self.folder, self.writer)

    @property
    def written(self) -> int:
        """Entries that were kept since this process began."""
        return self._number

    def append(self, record: AuditRecord, content: Mapping[str, Any] | None = None) -> None:
        """Keep an entry. Raises `Unavailable` when the disk does not take it; then it was not kept."""
        with self._turn:
            number = self._number + 1
            body = encode_body(self.writer, number, self._head, record)
            head = hash_of(body)
            line = self._torn + encode_line(head, body, content)
            try:
                file = self._open(number)
                if os.write(file, line) != len(line):
                    raise OSError(f"only a part of {len(line)} bytes was taken")
            except OSError as error:
                self._take_back()
                raise _refused(error) from error
            self._number, self._head, self._size, self._torn = number, head, self._size + len(line), b""
            if self._sync:
                self._wait_for_disk(file)

    def look_after(self) -> None:
        """Begin anew if somebody has removed the files, so that no more entries go where nobody looks; and begin a new
        segment after an hour, so that what was shipped can go, and content is not kept beyond its retention here."""
        with self._turn:
            if self._size and not self._torn and time.monotonic() - self._begun_at_s >= _SEGMENT_S:
                self._close_segment()
                with suppress(OSError):  # the next entry tries again
                    self._file = self._begin_segment(self._number + 1)
            if self._file is not None and _is_gone(self._file):
                self._close_segment()
            if self._held is not None and _is_gone(self._held):
                self._let_go()

    def close(self) -> None:
        """Let go of the files; whoever ships may then adopt them."""
        with self._turn:
            self._let_go()

    def _open(self, number: int) -> int:
        if self._file is not None and self._size < self._segment_bytes:
            return self._file
        self._close_segment()
        if self._held is None:
            self._held = open_folder(self.folder, self.writer)
        self._file = self._begin_segment(number)
        return self._file

    def _begin_segment(self, number: int) -> int:
        self._begun_at_s = time.monotonic()
        return open_segment(self.folder, self.writer, number)

    def _close_segment(self) -> None:
        if self._file is not None:
            os.close(self._file)
        self._file, self._size = None, 0

    def _let_go(self) -> None:
        self._close_segment()
        if self._held is not None:
            os.close(self._held)
        self._held = None

    def _take_back(self) -> None:
        """Cut off what was written of a line; where even that fails, mark it as none."""
        self._torn = b""
        if self._file is not None:
            try:
                os.ftruncate(self._file, self._size)
            except OSError:
                self._torn = _SPOILED

    def _wait_for_disk(self, file: int) -> None:
        try:
            os.fdatasync(file)
        except OSError as error:  # the entry stays, for it may have been shipped; the answer does not leave
            raise _refused(error) from error


def _is_gone(file: int) -> bool:
    return os.fstat(file).st_nlink == 0


def _refused(error: OSError) -> Unavailable:
    return Unavailable(f"the audit cannot be written now ({error.strerror or error}); see that QUARRY_HOME has room")
