"""Working folders of serving processes, where indexes are unpacked.

A process that is killed removes nothing, so whoever comes after it does: the installation's next one, or `make down`.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path


class Scratch:
    """A folder of this process alone, below the system's folder for temporary files; locked while the process lives."""

    def __init__(self, home: Path) -> None:
        """`home` is the installation's."""
        remove_abandoned(home)
        self._lock: int | None = None
        while self._lock is None:
            self._folder = tempfile.TemporaryDirectory(prefix=_prefix(home))
            self._lock = _locked(self._folder.name)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self._folder.name)


def remove_abandoned(home: Path) -> None:
    """Remove the folders of the installation's processes that live no more."""
    for path in _folders(home):
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # just removed, or not ours
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(folder)


def _locked(folder: str) -> int | None:
    """A lock that lasts as long as this process; None when another one took the folder for abandoned just before."""
    with suppress(FileNotFoundError):
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if Path(folder).exists():
            return lock
        os.close(lock)
    return None


def _folders(home: Path) -> Iterator[Path]:
    return Path(tempfile.gettempdir()).glob(f"{_prefix(home)}*")


def _prefix(home: Path) -> str:
    return f"quarry-scratch-{sha256(str(home).encode()).hexdigest()[:8]}-"
