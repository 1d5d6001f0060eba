"""A snapshot on disk: a folder that appears whole or not at all, and says what it is and what it must contain."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any

from include.quarry.errors import Conflict, IncompleteIndex, NotFound

FORMAT = 2
_MANIFEST = "manifest.json"


@contextmanager
def writing(folder: Path, kind: str, facts: Mapping[str, Any]) -> Iterator[Path]:
    """A temporary folder to write into; at the end it is sealed with a manifest and takes the name `folder`.

    Raises `Conflict` when `folder` already holds something: a snapshot is never overwritten, for a reader may map it.
    """
    if folder.exists() and any(folder.iterdir()):
        raise Conflict(f"snapshot {folder} exists already; save to a new folder")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        _seal(partial, kind, facts)
        partial.replace(folder)
        _sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def publish(draft: Path, folder: Path) -> None:
    """Give a written snapshot the name that it is known by, durably. The two lie in the same folder."""
    draft.replace(folder)
    _sync(folder.parent)


def read_manifest(folder: Path, kind: str) -> dict[str, Any]:
    """The facts given to `writing`, after every file was checked.

    Raises `NotFound` when there is no snapshot, `IncompleteIndex` when it is damaged or of another kind or format.
    """
    path = folder / _MANIFEST
    if not path.is_file():
        raise NotFound(f"no snapshot at {folder}: {_MANIFEST} is missing; save one there or rebuild the index version")
    try:
        manifest: dict[str, Any] = json.loads(path.read_bytes())
        found = manifest["kind"], manifest["format"]
        expected: dict[str, str] = manifest["files"]
        facts: dict[str, Any] = manifest["facts"]
    except (ValueError, KeyError, TypeError) as error:
        raise IncompleteIndex(f"snapshot {folder}: {_MANIFEST} is damaged ({error!r}); rebuild it") from error
    if found != (kind, FORMAT):
        raise IncompleteIndex(f"snapshot {folder} is {found}; this reader takes {(kind, FORMAT)}: rebuild it")
    actual = _checksums(folder)
    if actual != expected:
        names = sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
        raise IncompleteIndex(f"snapshot {folder} is damaged in {names}; rebuild the index version from log and lake")
    return facts


def is_whole(folder: Path) -> bool:
    """Whether a snapshot, and every one inside it, holds exactly the files that its manifest says."""
    if not (folder / _MANIFEST).is_file():
        return False
    try:
        return all(
            json.loads(manifest.read_bytes())["files"] == _checksums(manifest.parent)
            for manifest in folder.rglob(_MANIFEST)
        )
    except (ValueError, KeyError, TypeError):
        return False


def _seal(partial: Path, kind: str, facts: Mapping[str, Any]) -> None:
    manifest = {"kind": kind, "format": FORMAT, "facts": dict(facts), "files": _checksums(partial)}
    (partial / _MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
    for path in partial.rglob("*"):
        _sync(path)
    _sync(partial)


def _checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the manifest itself, by relative path; of a snapshot inside, only its manifest."""
    sums: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            inner = {_MANIFEST: _checksum(path / _MANIFEST)} if (path / _MANIFEST).exists() else _checksums(path)
            sums |= {f"{path.name}/{name}": checksum for name, checksum in inner.items()}
        elif path.name != _MANIFEST:
            sums[path.name] = _checksum(path)
    return sums


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
