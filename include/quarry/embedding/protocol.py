"""The embedder port: texts in, vectors of one named space out."""

from collections.abc import Sequence
from typing import Protocol

from include.quarry.records import Vectors
from include.quarry.specs import EmbeddingSpec


class Embedder(Protocol):
    """Encodes texts; thread-safe; the same text gives the same vector within the tolerance of its dtype.

    Texts longer than `spec.max_tokens` are cut there. An empty sequence gives `[0, d]`.
    """

    @property
    def spec(self) -> EmbeddingSpec: ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Vectors `[n, d]` in the order of the texts, each of length one."""
        ...


class Tokenizer(Protocol):
    """Counts and places the tokens of a text as the embedding model will see them, special tokens excluded."""

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Character span of each token, in order, never truncated."""
        ...
