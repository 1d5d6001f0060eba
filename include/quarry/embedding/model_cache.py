"""Keeps converted models in a cache folder: made once, by one process, and whole or not there at all."""

import fcntl
import logging
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from include.quarry.errors import Misconfigured

_log = logging.getLogger(__name__)


def cached_folder(cache: Path, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `cache/name`, filled by `make` if it is not there.

    `make` writes into a temporary folder that is renamed when it is complete, so a process killed midway leaves no
    broken model; a lock that dies with its process keeps a second process waiting instead of doing the work twice.
    Raises `Misconfigured` when the cache cannot be written.
    """
    folder = cache / name
    if folder.is_dir():
        return folder
    with _locked(cache, name):
        if not folder.is_dir():
            _sweep(cache, name)
            started = time.monotonic()
            partial = Path(tempfile.mkdtemp(prefix=f"{name}.partial-", dir=cache))
            make(partial)
            partial.chmod(0o755)  # mkdtemp keeps others out; another user's process may share the cache
            partial.rename(folder)
            _log.info("made model %s in %.0f s", folder, time.monotonic() - started)
    return folder


@contextmanager
def _locked(cache: Path, name: str) -> Iterator[None]:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / f"{name}.lock").open("w")
    except OSError as error:
        raise Misconfigured(
            f"cannot write converted models to {cache} ({error}); give a folder that can be written"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(cache: Path, name: str) -> None:
    """Remove what processes that were killed left behind; only the holder of the lock may."""
    for leftover in cache.glob(f"{name}.partial-*"):
        shutil.rmtree(leftover)
