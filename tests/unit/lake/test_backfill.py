"""Bulk embedding: every pending text once, whatever dies on the way."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.quarry.catalog.database import Database
from include.quarry.lake.backfill import Unit, embed_unit, plan_units
from include.quarry.lake.claims import claim
from include.quarry.lake.pending import PendingText
from include.quarry.lake.vectors import VectorLake
from include.quarry.records import Vectors
from include.quarry.specs import EmbeddingSpec

SPEC = EmbeddingSpec(dimensions=2)
UNIT = Unit("unit", ["a", "b"], ["text a", "text b"])


class CountingEmbedder:
    """Counts how often each text reached the engine."""

    def __init__(self) -> None:
        self.spec = SPEC
        self.calls: list[str] = []

    def encode(self, texts: Sequence[str]) -> Vectors:
        self.calls.extend(texts)
        return Vectors(SPEC.fingerprint, np.ones((len(texts), 2), np.float32))


@pytest.fixture
def lake(database: Database, tmp_path: Path) -> VectorLake:
    return VectorLake(database, str(tmp_path / "lake"))


@given(lengths=st.lists(st.integers(1, 256), max_size=60), unit_size=st.integers(1, 20))
def test_a_plan_holds_every_text_once_in_units_of_falling_length(lengths: list[int], unit_size: int) -> None:
    texts = [PendingText(f"hash-{number}", f"text-{number}", tokens) for number, tokens in enumerate(lengths)]
    units = list(plan_units(texts, unit_size))
    assert sorted(h for unit in units for h in unit.hashes) == sorted(text.text_hash for text in texts)
    assert all(len(unit.hashes) <= unit_size for unit in units)
    assert len({unit.unit_id for unit in units}) == len(units)
    planned = [lengths[int(h.removeprefix("hash-"))] for unit in units for h in unit.hashes]
    assert planned == sorted(lengths, reverse=True)


def test_a_unit_handed_out_twice_is_embedded_once(database: Database, lake: VectorLake) -> None:
    embedder = CountingEmbedder()
    first = embed_unit(UNIT, database, lake, embedder, "run")
    second = embed_unit(UNIT, database, lake, embedder, "run")
    assert (first.embedded, second.embedded) == (2, 0)
    assert embedder.calls == ["text a", "text b"]


def test_texts_that_another_worker_is_embedding_are_left_to_it(database: Database, lake: VectorLake) -> None:
    claim(database, SPEC.fingerprint, ["a"], "another worker", 60)
    embedder = CountingEmbedder()
    assert embed_unit(UNIT, database, lake, embedder, "run").embedded == 1
    assert embedder.calls == ["text b"]
    assert lake.missing(SPEC.fingerprint, ["a", "b"]) == ["a"]


def test_a_worker_killed_after_writing_its_part_is_not_repeated(
    database: Database, lake: VectorLake, tmp_path: Path
) -> None:
    class Dies(VectorLake):
        def _index_part(self, *_: object) -> None:
            raise KeyboardInterrupt

    embedder = CountingEmbedder()
    with pytest.raises(KeyboardInterrupt):
        embed_unit(UNIT, database, Dies(database, str(tmp_path / "lake")), embedder, "run")
    assert embed_unit(UNIT, database, lake, embedder, "run").embedded == 0
    assert embedder.calls == ["text a", "text b"]
    assert lake.missing(SPEC.fingerprint, ["a", "b"]) == []
