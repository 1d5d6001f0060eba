"""Specs: the immutable choices that decide what an index holds, each with a fingerprint that names the choice.

An index spec is a chunker, an embedding space, a vector store, a lexical index, and into what shards they are divided.
The same fingerprint means the same chunks and interchangeable vectors; a changed field means another fingerprint, and
so another index version.

What people write goes through `IndexSpec.from_fields`, which checks it; what the catalog holds comes back through
`from_json`, which does not, so that a rule made stricter never makes an old version unreadable.
"""

import json
import reprlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from functools import cache, lru_cache
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from include.quarry.errors import Misconfigured

Dtype = Literal["fp32", "bf16", "int8"]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=200)]
_CLOSED = ConfigDict(extra="forbid")
_MOST, _LONGEST = 8, 240  # complaints in one message, characters in one complaint
_SPECIAL_TOKENS = 2  # a model puts one before and one after each text
StoreKind = Literal["auto", "flat", "hnsw", "ivf", "sq8"]
_KINDS: dict[str, tuple[StoreKind, ...]] = {
    "faiss": ("auto", "flat", "hnsw", "ivf", "sq8"),
    "milvus": ("auto", "flat", "hnsw"),
    "pinecone": ("auto",),
}


@dataclass(frozen=True, slots=True)
class ChunkerSpec:
    """How documents are cut. Sizes count the embedding model's own tokens, headings included."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    name: Literal["structure"] = "structure"
    max_tokens: Annotated[int, Field(strict=True, ge=16, le=8192)] = 254
    min_tokens: Annotated[int, Field(strict=True, ge=0, le=4096)] = 32
    tokenizer: Text = "all-MiniLM-L6-v2"

    @property
    def fingerprint(self) -> str:
        return _fingerprint(self)


@dataclass(frozen=True, slots=True)
class EmbeddingSpec:
    """What decides where a text lands in space. Two specs with one fingerprint yield interchangeable vectors.

    The engine is no part of it: engines must agree on a spec (cosine >= .999), and a contract test holds them to it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    model: Text = "all-MiniLM-L6-v2"
    revision: Text = "53aa5117"
    dtype: Dtype = "bf16"
    pooling: Literal["mean"] = "mean"
    max_tokens: Annotated[int, Field(strict=True, ge=8, le=8192)] = 256
    dimensions: Annotated[int, Field(strict=True, ge=1, le=8192)] = 384

    @property
    def fingerprint(self) -> str:
        return _fingerprint(self)


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """Which vector store, and how it searches.

    `auto`: FAISS is exact while small and a graph when large, Milvus a graph, and Pinecone always chooses for itself.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    adapter: Literal["faiss", "milvus", "pinecone"] = "faiss"
    kind: StoreKind = "auto"


@dataclass(frozen=True, slots=True)
class LexicalSpec:
    """Which word index, and the language its stemmer and stop words belong to."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    adapter: Literal["tantivy"] = "tantivy"
    language: Literal["en"] = "en"


@dataclass(frozen=True, slots=True)
class ShardSpec:
    """Into how many shards an index version is divided, and by what: a hash of the document or of its tenant, or the
    window of time in which the document was first accepted; windows take the shards in turn."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    count: Annotated[int, Field(strict=True, ge=1, le=64)] = 1
    by: Literal["hash", "tenant", "time"] = "hash"
    window: Literal["day", "month"] = "month"


@dataclass(frozen=True, slots=True)
class IndexSpec:
    """Everything that decides what an index version holds and how it answers."""

    __pydantic_config__: ClassVar[ConfigDict] = _CLOSED

    chunker: ChunkerSpec = field(default_factory=ChunkerSpec)
    embedding: EmbeddingSpec = field(default_factory=EmbeddingSpec)
    store: StoreSpec = field(default_factory=StoreSpec)
    lexical: LexicalSpec = field(default_factory=LexicalSpec)
    shards: ShardSpec = field(default_factory=ShardSpec)

    @property
    def fingerprint(self) -> str:
        return _fingerprint(self)

    def to_json(self) -> str:
        """Canonical JSON, the form in which the catalog keeps a spec."""
        return json.dumps(_canonical(self), sort_keys=True)

    @classmethod
    def from_json(cls, document: str) -> "IndexSpec":
        """The inverse of `to_json`; absent parts take their defaults. Raises `Misconfigured` on an unknown field."""
        parts: dict[str, Any] = json.loads(document)
        if unknown := set(parts) - set(_PARTS):
            raise Misconfigured(f"index spec has unknown parts {sorted(unknown)}; allowed are {sorted(_PARTS)}")
        try:
            return cls(**{name: _PARTS[name](**values) for name, values in parts.items()})
        except TypeError as error:
            raise Misconfigured(
                f"index spec {document}: {error}; see include/quarry/specs.py for the fields"
            ) from error

    @classmethod
    def from_fields(cls, document: object, source: str) -> "IndexSpec":
        """What a person wrote, absent parts and fields taking their defaults.

        Raises `Misconfigured` with `source`, each field that is wrong, and what is allowed there.
        """
        try:
            spec = _checker().validate_python(document)
        except ValidationError as error:
            wrong = [_complaint(found) for found in error.errors()]
        else:
            wrong = list(_misfits(spec))
        if wrong:
            raise Misconfigured(f"{source}: {'; '.join(each[:_LONGEST] for each in wrong[:_MOST])}")
        return spec


@cache
def _checker() -> TypeAdapter[IndexSpec]:
    return TypeAdapter(IndexSpec)


def _complaint(found: Any) -> str:
    """`store.kind is 'tree': input should be …` for one error of the checker."""
    *part, last = map(str, found["loc"]) if found["loc"] else ("index spec",)
    name, shown = ".".join([*part, last]), reprlib.repr(found["input"])
    if found["type"] == "unexpected_keyword_argument":
        owner: Any = _PARTS[part[0]] if part else IndexSpec
        return f"{name} is unknown; {'.'.join(part) or 'an index spec'} has {', '.join(f.name for f in fields(owner))}"
    if found["type"].startswith("dataclass"):
        return f"{name} is {shown}; it must be a mapping of fields to values"
    message = found["msg"]
    return f"{name} is {shown}; {message[0].lower()}{message[1:]}"


def _misfits(spec: IndexSpec) -> Iterator[str]:
    """Fields that are right by themselves and wrong together."""
    if spec.shards.count == 1 and spec.shards != ShardSpec():
        yield f"shards.count is 1, which divides nothing by {spec.shards.by}; set 2 or more, or leave shards out"
    if spec.shards.window != ShardSpec().window and spec.shards.by != "time":
        yield f"shards.window is {spec.shards.window!r} and shards.by {spec.shards.by!r}; only time has windows"
    store, kinds = spec.store, _KINDS[spec.store.adapter]
    if store.kind not in kinds:
        yield f"store.kind is {store.kind!r}; {store.adapter} has {', '.join(kinds)}"
    chunker, model_reads = spec.chunker, spec.embedding.max_tokens - _SPECIAL_TOKENS
    if chunker.min_tokens > chunker.max_tokens // 2:
        yield f"chunker.min_tokens is {chunker.min_tokens}; at most half of chunker.max_tokens {chunker.max_tokens}"
    if chunker.max_tokens > model_reads:
        yield (
            f"chunker.max_tokens is {chunker.max_tokens}; the model reads {model_reads} (embedding.max_tokens less "
            f"{_SPECIAL_TOKENS}) and would not see the rest of a chunk"
        )


_PARTS: dict[str, Any] = {
    "chunker": ChunkerSpec,
    "embedding": EmbeddingSpec,
    "store": StoreSpec,
    "lexical": LexicalSpec,
    "shards": ShardSpec,
}


@lru_cache(maxsize=256)  # asked for with every document
def _fingerprint(spec: Any) -> str:
    """16 hex digits over the spec's kind and its canonical JSON."""
    canonical = json.dumps([type(spec).__name__, _canonical(spec)], sort_keys=True)
    return sha256(canonical.encode()).hexdigest()[:16]


def _canonical(spec: Any) -> dict[str, Any]:
    """Its fields. One shard is what every version had before there were shards: it is left out."""
    values = asdict(spec)
    if isinstance(spec, IndexSpec) and spec.shards == ShardSpec():
        del values["shards"]
    return values
