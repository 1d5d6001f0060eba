"""The folders of journals: one a writer, with a lock that it holds while it lives, and segments of whole lines.

<home>/audit/<writer>/lock                     held by flock(2), which the kernel lets go of with the process
<home>/audit/<writer>/00000000000000000001     entries from number 1 on, then those from number n on, ...
"""

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from include.quarry.audit.entry import Entry, decode_line

logger = logging.getLogger(__name__)
_LOCK = "lock"
_DRAFT = ".new-"
_DIGITS = 20
_DAMAGED = ".damaged"
_READ_BYTES = 2**20


def open_folder(folder: Path, writer: str) -> int:
    """Make a writer's folder; gives the descriptor of its lock, which is held until it is closed.

    The folder appears with its lock held, so that nobody takes it for one that was left behind. Raises `OSError`;
    trying again may then work.
    """
    draft, home = folder / f"{_DRAFT}{writer}", folder / writer
    draft.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(draft / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.rename(home)
    except OSError:
        os.close(lock)
        raise
    return lock


def open_segment(folder: Path, writer: str, number: int) -> int:
    """A descriptor to append entries from `number` on to. Raises `OSError`."""
    return os.open(folder / writer / f"{number:0{_DIGITS}d}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def writers(folder: Path) -> list[str]:
    """The writers that have left something here, alive or not."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(_DRAFT))


@contextmanager
def adopted(folder: Path, writer: str) -> Iterator[bool]:
    """Whether the writer is dead and what it left is ours inside the block."""
    try:
        lock = os.open(folder / writer / _LOCK, os.O_RDWR)
    except FileNotFoundError:  # somebody was quicker
        yield False
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield (folder / writer / _LOCK).exists()
    finally:
        os.close(lock)


class Origin(NamedTuple):
    """Who writes a journal, and the folder that it is in, beside others'."""

    folder: Path
    writer: str


@dataclass(frozen=True, slots=True)
class Position:
    """How far a writer's lines were read: `offset` bytes into the segment that begins with `segment`."""

    segment: int = 0
    offset: int = 0


class Segments:
    """The lines of one writer, for whoever ships them: its own process, or after its death one that adopts it."""

    def __init__(self, folder: Path, writer: str) -> None:
        self.writer = writer
        self._home = folder / writer
        self._damaged: set[int] = set()

    def read(self, position: Position) -> tuple[list[Entry], Position]:
        """Some entries after a position, none when there is no whole line more, and the position after them.

        A line without its end is being written, or was when its writer was killed. What is no entry is left out, and
        its segment is kept aside; the chain then lacks a number.
        """
        entries: list[Entry] = []
        for number in self._numbers():
            if number < position.segment:
                continue
            offset = position.offset if number == position.segment else 0
            lines, end = _whole_lines(self._path(number), offset)
            entries += self._entries(number, lines)
            position = Position(number, end)
            if entries:
                break
        return entries, position

    def forget(self, position: Position) -> None:
        """Remove the segments before a position, whose entries are kept elsewhere."""
        for number in self._numbers():
            if number < position.segment:
                self._remove(number)

    def forget_all(self) -> None:
        """Remove what a dead writer left, its folder too unless a damaged segment is in it."""
        for number in self._numbers():
            torn = _torn_bytes(self._path(number))
            if torn:
                logger.warning("%s was killed while it wrote: its last %d bytes were no answer yet", self.writer, torn)
            self._remove(number)
        with suppress(FileNotFoundError):
            (self._home / _LOCK).unlink()
        if not any(self._home.iterdir()):
            shutil.rmtree(self._home)

    def waiting_bytes(self, position: Position) -> int:
        """How much stands after a position."""
        total = 0
        for number in self._numbers():
            if number >= position.segment:
                with suppress(FileNotFoundError):
                    total += self._path(number).stat().st_size - (position.offset if number == position.segment else 0)
        return total

    def _entries(self, number: int, lines: list[bytes]) -> list[Entry]:
        entries = []
        for line in lines:
            try:
                entries.append(decode_line(line))
            except ValueError as error:
                self._damaged.add(number)
                logger.error("segment %d of %s has a line that is no entry (%s)", number, self.writer, error)
        return entries

    def _numbers(self) -> list[int]:
        try:
            return sorted(int(path.name) for path in self._home.iterdir() if path.name.isdecimal())
        except FileNotFoundError:
            return []

    def _path(self, number: int) -> Path:
        return self._home / f"{number:0{_DIGITS}d}"

    def _remove(self, number: int) -> None:
        path = self._path(number)
        if number in self._damaged:
            path.rename(path.with_suffix(_DAMAGED))
        else:
            path.unlink()


def _whole_lines(path: Path, offset: int) -> tuple[list[bytes], int]:
    """Some whole lines after `offset` and where they end; at least one if there is one, however long."""
    with path.open("rb") as file:
        file.seek(offset)
        read = file.read(_READ_BYTES)
        if b"\n" not in read:
            read += file.read()
    whole = read.rfind(b"\n") + 1
    return read[:whole].splitlines(), offset + whole


def _torn_bytes(path: Path) -> int:
    content = path.read_bytes()
    return len(content) - content.rfind(b"\n") - 1
