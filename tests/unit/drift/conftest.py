"""Made-up corpora: topics are directions in space, a document lies near its topic, its chunks near the document."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from include.quarry.drift.reference import Reference, remember
from include.quarry.drift.window import Embedded, Window
from include.quarry.drift.words import Words
from include.quarry.records import Float32, Vectors

SPACE = "space-a"
DIMENSIONS = 32
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_TOPICS = np.random.default_rng(99).normal(size=(12, DIMENSIONS))


def unit(values: np.ndarray) -> Float32:
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def make_texts(seed: int, topics: list[int], chunks: tuple[int, int] = (1, 8), prefix: str = "doc") -> Embedded:
    """A document for each entry of `topics`, of `chunks` from..to chunks; documents differ more than their chunks."""
    random = np.random.default_rng([seed, 7])
    values, documents = [], []
    for number, topic in enumerate(topics):
        centre = _TOPICS[topic] + 0.8 * random.normal(size=DIMENSIONS)
        count = int(random.integers(chunks[0], chunks[1] + 1))
        values.append(centre + 0.4 * random.normal(size=(count, DIMENSIONS)))
        documents += [f"{prefix}{number}"] * count
    ids = tuple(f"{name}#{row}" for row, name in enumerate(documents))
    words = tuple(_words(random, topics[int(name.removeprefix(prefix))]) for name in documents)
    return Embedded(Vectors(SPACE, unit(np.concatenate(values))), ids, tuple(documents), words)


def _words(random: np.random.Generator, topic: int) -> Words:
    """Twenty of the language's two hundred words, and five of the topic's thirty."""
    usual, own = random.choice(200, 20, replace=False), 1000 * (topic + 1) + random.choice(30, 5, replace=False)
    return np.unique(np.concatenate([usual, own])).astype(np.uint32)


def usual_topics(seed: int, count: int, kinds: int = 6) -> list[int]:
    return np.random.default_rng([seed, 8]).integers(0, kinds, count).tolist()


def make_window(texts: Embedded) -> Window:
    return Window(texts, NOON, NOON + timedelta(days=1))


@pytest.fixture
def reference_of() -> Callable[..., Reference]:
    def make(texts: Embedded, sentinels: Vectors | None = None, seed: int = 0) -> Reference:
        vectors = sentinels or Vectors(SPACE, np.eye(3, DIMENSIONS, dtype=np.float32))
        return remember(texts, vectors, corpus="main", made_at=NOON, seed=seed)

    return make


@pytest.fixture
def texts_of() -> Callable[..., Embedded]:
    return make_texts


@pytest.fixture
def topics_of() -> Callable[..., list[int]]:
    return usual_topics


@pytest.fixture
def window_of() -> Callable[[Embedded], Window]:
    return make_window
