"""Texts of callers are embedded by the model of the version that answers, or not at all."""

from collections.abc import Sequence

import numpy as np
import pytest

from include.quarry.catalog.database import Database
from include.quarry.catalog.routes import make_live
from include.quarry.catalog.versions import create_version, record_snapshot
from include.quarry.errors import InvalidInput, NotFound
from include.quarry.records import Vectors
from include.quarry.routing.live_embedding import LiveEmbedding
from include.quarry.specs import EmbeddingSpec, IndexSpec

BRIEF = EmbeddingSpec(max_tokens=8)


class Embedder:
    """Marks vectors with the spec that it was loaded for."""

    def __init__(self, spec: EmbeddingSpec) -> None:
        self.spec = spec

    def encode(self, texts: Sequence[str]) -> Vectors:
        return Vectors(self.spec.fingerprint, np.ones((len(texts), self.spec.dimensions), np.float32))


@pytest.fixture
def live(database: Database) -> LiveEmbedding:
    with database.write() as connection:
        for version_id, spec in (("v1", IndexSpec()), ("v2", IndexSpec(embedding=BRIEF))):
            create_version(connection, version_id, "main", spec)
            record_snapshot(connection, version_id, f"/snapshots/{version_id}", 7, 42)
        make_live(connection, "v1")
    return LiveEmbedding(database, Embedder)


def test_a_text_is_embedded_by_the_live_version_s_model_and_counted_in_its_tokens(live: LiveEmbedding) -> None:
    embedded = live.embed("main", "all-MiniLM-L6-v2", ["one two", "three"])
    assert embedded.vectors.fingerprint == EmbeddingSpec().fingerprint
    assert embedded.vectors.values.shape == (2, 384)
    assert embedded.tokens == 4 + 3  # with the two marks around each text


def test_a_promotion_changes_the_space(live: LiveEmbedding, database: Database) -> None:
    with database.write() as connection:
        make_live(connection, "v2")
    assert live.embed("main", "all-MiniLM-L6-v2", ["one"]).vectors.fingerprint == BRIEF.fingerprint


def test_a_text_that_the_model_cannot_read_whole_is_refused(live: LiveEmbedding, database: Database) -> None:
    with database.write() as connection:
        make_live(connection, "v2")
    live.embed("main", "all-MiniLM-L6-v2", ["one two three four five six"])
    with pytest.raises(InvalidInput, match="input 1 has 9 tokens; all-MiniLM-L6-v2 reads 8"):
        live.embed("main", "all-MiniLM-L6-v2", ["one", "one two three four five six seven"])


def test_another_model_or_a_corpus_without_a_version_is_not_found(live: LiveEmbedding) -> None:
    with pytest.raises(NotFound, match="'all-MiniLM-L6-v2' does"):
        live.embed("main", "text-embedding-3-small", ["one"])
    with pytest.raises(NotFound, match="no live index version"):
        live.embed("empty", "all-MiniLM-L6-v2", ["one"])
