"""The records that every part of Quarry passes to the next; the vocabulary in code.

Shapes used throughout: `n` vectors or texts, `q` queries, `d` dimensions of the vector space.
All records are immutable. Character offsets are half-open `[start, end)` into the document's text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Metadata = Mapping[str, str]

UPLOAD_FEED = "http"
"""Name of the feed of documents that users send themselves, one by one."""

STREAM_FEEDS = "stream:"
"""What the names of feeds begin with that tell of changes as they happen."""


def hash_text(text: str) -> str:
    """Content address of a text: 64 hex digits of SHA-256 over its UTF-8 bytes."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def hash_bytes(content: bytes) -> str:
    """Content address of a document as its feed delivered it."""
    return sha256(content).hexdigest()


class DocumentKey(NamedTuple):
    """Who a document is: tenants are isolated inside a corpus."""

    corpus: str
    tenant: str
    doc_id: str


@dataclass(frozen=True, slots=True)
class RawDocument:
    """A document as a feed delivers it, before parsing."""

    key: DocumentKey
    uri: str
    content: bytes
    content_type: str
    title: str | None = None
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a document's text that has one role.

    `text` is appended verbatim to the document's text, so that the blocks of a document, concatenated, are its text.
    `level` is 1 for the topmost heading, and 0 for everything that is not a heading.
    """

    text: str
    kind: Literal["heading", "prose", "code", "table", "blank"] = "prose"
    level: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """What a chunker cuts: `text == document.text[start:end]`, under the headings named by `context`."""

    text: str
    context: str
    start: int
    end: int
    tokens: int

    @property
    def embedding_text(self) -> str:
        """What is embedded and indexed: the headings above the passage, then the passage."""
        return f"{self.context}\n{self.text}" if self.context else self.text


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of one document version, as indexes and answers know it."""

    chunk_id: str
    key: DocumentKey
    doc_version: int
    ordinal: int
    uri: str
    title: str
    passage: Passage
    metadata: Metadata

    @property
    def text_hash(self) -> str:
        """Content address of the embedded text: the vector lake's key."""
        return hash_text(self.passage.embedding_text)


@dataclass(frozen=True, slots=True)
class Vectors:
    """Vectors with the name of the space they live in. `values` is float32 `[n, d]`, each row of length one."""

    fingerprint: str
    values: Float32

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class DocumentUpdate:
    """The whole present state of one document, for an index to apply; no chunks means that it was deleted.

    `vectors` holds one row per chunk, in the chunks' order; None where the receiver needs no vectors.
    `first_accepted_at` is of the document's first change, None where nobody needs it.
    """

    seq: int
    key: DocumentKey
    doc_version: int
    chunks: tuple[Chunk, ...] = ()
    vectors: Vectors | None = None
    first_accepted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """Which documents a query may see: one tenant, and equality on metadata (`doc_id` and `uri` are fields too)."""

    tenant: str
    filters: Metadata = field(default_factory=dict)


class Scored(NamedTuple):
    """A chunk found by one index, best first; scores of different indexes cannot be compared."""

    chunk_id: str
    score: float


class WordCounts(NamedTuple):
    """How many chunks there are, and how many of them contain each word of a query: what makes a word rare."""

    chunks: int
    containing: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found by the retriever. `ranks` holds its rank (1 is best) in each list that found it."""

    chunk: Chunk
    score: float
    ranks: Mapping[str, int]
