"""One encoder a space, shared by all who hold it, and gone with the last of them."""

import asyncio
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np

from include.quarry.embedding.encoders import Encoders
from include.quarry.records import Vectors
from include.quarry.specs import EmbeddingSpec

SPEC = EmbeddingSpec(model="one", dimensions=1)
OTHER = replace(SPEC, model="other")


class Engine:
    """Remembers which models were loaded, and knows which of them are still in memory."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self._models: list[weakref.ref[Model]] = []

    def load(self, spec: EmbeddingSpec) -> "Model":
        self.loaded.append(spec.model)
        model = Model(spec)
        self._models.append(weakref.ref(model))
        return model

    @property
    def in_memory(self) -> list[str]:
        return [model.spec.model for each in self._models if (model := each()) is not None]


class Model:
    def __init__(self, spec: EmbeddingSpec) -> None:
        self.spec = spec

    def encode(self, texts: Sequence[str]) -> Vectors:
        return Vectors(self.spec.fingerprint, np.ones((len(texts), 1), np.float32))


async def until_only(engine: Engine, model: str) -> None:
    """The thread that encoded lets go of its work a moment after it was done."""
    for _ in range(2000):
        if engine.in_memory == [model]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{engine.in_memory} are in memory")


async def test_a_model_that_no_version_needs_any_more_leaves_the_memory() -> None:
    engine = Engine()
    encoders = Encoders(engine.load)
    live, candidate = encoders.of(SPEC), encoders.of(OTHER)
    await candidate.encode("granite")
    assert engine.in_memory == ["one", "other"]
    del candidate
    await until_only(engine, "one")
    assert encoders.of(SPEC) is live
    again = encoders.of(OTHER)
    assert (await again.encode("granite")).tolist() == [1.0]
    assert engine.loaded == ["one", "other", "other"]


def test_those_who_ask_at_once_share_one() -> None:
    engine, start = Engine(), Barrier(8)
    encoders = Encoders(engine.load)

    def ask(_: int) -> object:
        start.wait()
        return encoders.of(SPEC)

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(ask, range(8)))) == 1
    assert engine.loaded == ["one"]
