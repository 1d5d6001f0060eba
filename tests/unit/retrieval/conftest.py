"""Documents for the retrieval tests: texts become chunks, and a few fixed words become directions in space."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from include.quarry.records import Chunk, DocumentKey, DocumentUpdate, Passage, Vectors
from include.quarry.specs import EmbeddingSpec, IndexSpec

WORDS = ("wing", "tail", "rudder", "engine")
SPEC = IndexSpec(embedding=EmbeddingSpec(dimensions=len(WORDS)))


def embed(texts: Sequence[str], fingerprint: str = SPEC.embedding.fingerprint) -> Vectors:
    """Counts of the known words, a little of everything added, of length one."""
    counts = np.array([[text.split().count(word) + 0.01 for word in WORDS] for text in texts], np.float32)
    return Vectors(fingerprint, counts / np.linalg.norm(counts, axis=1, keepdims=True))


def make_update(doc: str, seq: int, texts: Sequence[str] = (), *, tenant: str = "t1", ids=None) -> DocumentUpdate:
    key = DocumentKey("main", tenant, doc)
    names = ids or [f"{tenant}/{doc}/{i}" for i in range(len(texts))]
    chunks = tuple(
        Chunk(
            name, key, seq, i, f"file:///{doc}", doc.title(), Passage(text, "Top", i, i + len(text), 3), {"n": str(i)}
        )
        for i, (name, text) in enumerate(zip(names, texts, strict=True))
    )
    return DocumentUpdate(seq, key, seq, chunks, embed(texts) if texts else None)


@pytest.fixture
def spec() -> IndexSpec:
    return SPEC


@pytest.fixture
def vectors_of() -> Callable[..., Vectors]:
    return embed


@pytest.fixture
def update() -> Callable[..., DocumentUpdate]:
    return make_update
