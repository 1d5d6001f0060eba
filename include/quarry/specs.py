"""Specs: the immutable choices that decide what an index holds, each with a fingerprint that names the choice.

An index spec is a chunker, an embedding space, a vector store and a lexical index. The same fingerprint means the same
chunks and interchangeable vectors; a changed field means another fingerprint, and so another index version.
"""

import json
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, Literal

from include.quarry.errors import Misconfigured

Dtype = Literal["fp32", "bf16", "int8"]
FaissKind = Literal["auto", "flat", "hnsw", "ivf"]


@dataclass(frozen=True, slots=True)
class ChunkerSpec:
    """How documents are cut. Sizes count the embedding model's own tokens, headings included."""

    name: Literal["structure"] = "structure"
    max_tokens: int = 254
    min_tokens: int = 32
    tokenizer: str = "all-MiniLM-L6-v2"

    @property
    def fingerprint(self) -> str:
        return _fingerprint(self)


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """What decides where a text lands in space. Two specs with one fingerprint yield interchangeable vectors.

    The engine is no part of it: engines must agree on a spec (cosine >= .999), and a contract test holds them to it.
    """

    model: str = "all-MiniLM-L6-v2"
    revision: str = "53aa5117"
    dtype: Dtype = "bf16"
    pooling: Literal["mean"] = "mean"
    max_tokens: int = 256
    dimensions: int = 384

    @property
    def fingerprint(self) -> str:
        return _fingerprint(self)


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """Which vector store, and how it searches: `auto` is exact while small and a graph when large."""

    adapter: Literal["faiss"] = "faiss"
    kind: FaissKind = "auto"


@dataclass(frozen=True, slots=True)
class LexicalSpec:
    """Which word index, and the language its stemmer and stop words belong to."""

    adapter: Literal["tantivy"] = "tantivy"
    language: Literal["en"] = "en"


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """Everything that decides what an index version holds and how it answers."""

    chunker: ChunkerSpec = field(default_factory=ChunkerSpec)
    embedding: EmbeddingSpec = field(default_factory=EmbeddingSpec)
    store: StoreSpec = field(default_factory=StoreSpec)
    lexical: LexicalSpec = field(default_factory=LexicalSpec)

    @property
    def fingerprint(self) -> str:
        return _fingerprint(self)

    def to_json(self) -> str:
        """Canonical JSON, the form in which the catalog keeps a spec."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, document: str) -> "IndexSpec":
        """The inverse of `to_json`; absent parts take their defaults. Raises `Misconfigured` on an unknown field."""
        parts: dict[str, Any] = json.loads(document)
        kinds = {"chunker": ChunkerSpec, "embedding": EmbeddingSpec, "store": StoreSpec, "lexical": LexicalSpec}
        if unknown := set(parts) - set(kinds):
            raise Misconfigured(f"index spec has unknown parts {sorted(unknown)}; allowed are {sorted(kinds)}")
        try:
            return cls(**{name: kinds[name](**values) for name, values in parts.items()})
        except TypeError as error:
            raise Misconfigured(
                f"index spec {document}: {error}; see include/quarry/specs.py for the fields"
            ) from error


def _fingerprint(spec: Any) -> str:
    """16 hex digits over the spec's kind and its canonical JSON."""
    canonical = json.dumps([type(spec).__name__, asdict(spec)], sort_keys=True)
    return sha256(canonical.encode()).hexdigest()[:16]
