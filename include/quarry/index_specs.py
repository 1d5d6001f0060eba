"""Index specs that have a name: the files `include/index_specs/*.yaml`, each named after what it holds."""

import json
import reprlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import yaml

from include.quarry.errors import Misconfigured
from include.quarry.specs import Dtype, IndexSpec

_FOLDER = Path(__file__).parents[1] / "index_specs"


def index_spec_names(folder: Path = _FOLDER) -> list[str]:
    """The names there are, `default` first."""
    return sorted((path.stem for path in folder.glob("*.yaml")), key=lambda name: (name != "default", name))


def load_index_spec(name: str, *, dtype: Dtype = "bf16", folder: Path = _FOLDER) -> IndexSpec:
    """The spec in the file of this name; `dtype` is for one that leaves the embedding's precision open.

    Raises `Misconfigured` for an unknown name, and for a file that is no spec with the fields that are wrong.
    """
    names = index_spec_names(folder)
    if name not in names:
        raise Misconfigured(
            f"there is no index spec {reprlib.repr(name)}; there are {', '.join(names)}, or write a JSON object of "
            "its parts"
        )
    path = folder / f"{name}.yaml"
    try:
        document = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise Misconfigured(f"index spec {path.name} is not YAML: {error}") from error
    return _checked({} if document is None else document, f"index spec {path.name}", dtype)


def read_index_spec(choice: str, *, dtype: Dtype = "bf16") -> IndexSpec:
    """The spec that a person asked for: a name, or a JSON object with what differs from the default one.

    Raises `Misconfigured`.
    """
    if not choice.lstrip().startswith("{"):
        return load_index_spec(choice.strip(), dtype=dtype)
    try:
        document = json.loads(choice)
    except ValueError as error:
        raise Misconfigured(f"index spec {reprlib.repr(choice)} is not JSON: {error}") from error
    return _checked(document, "index spec", dtype)


def named_fingerprints(*, dtype: Dtype = "bf16", folder: Path = _FOLDER) -> dict[str, str]:
    """Fingerprint to name, for people who look at versions; a file that is no spec is left out."""
    named: dict[str, str] = {}
    for name in index_spec_names(folder):
        with suppress(Misconfigured):
            named.setdefault(load_index_spec(name, dtype=dtype, folder=folder).fingerprint, name)
    return named


def _checked(document: object, source: str, dtype: Dtype) -> IndexSpec:
    spec = IndexSpec.from_fields(document, source)
    embedding = document.get("embedding", {}) if isinstance(document, dict) else {}
    return spec if "dtype" in embedding else replace(spec, embedding=replace(spec.embedding, dtype=dtype))
