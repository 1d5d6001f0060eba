"""Passages and vectors of a snapshot are held against the log and the model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from include.quarry.catalog.database import Database, migrate
from include.quarry.errors import ForeignVectors, IncompleteIndex, Misconfigured
from include.quarry.records import DocumentUpdate, Vectors
from include.quarry.retrieval.passages import PassageTable
from include.quarry.routing.audit import audit_passages, audit_vectors, load_passages, load_stores, sample_chunks
from include.quarry.routing.building import build_version
from include.quarry.settings import Settings
from include.quarry.specs import EmbeddingSpec, StoreSpec
from include.quarry.stores.faiss import FaissStore
from include.quarry.stores.servers import StoreServers
from tests.unit.routing.corpus import SPEC, Corpus, HashEmbedder


@pytest.fixture
def corpus(tmp_path: Path):
    settings = Settings(home=tmp_path / "home", _env_file=None)
    migrate(settings.catalog_url)
    database = Database(settings.catalog_url)
    corpus = Corpus(database, settings)
    for number in range(6):
        corpus.put(f"d{number}", f"Stone number {number} is grey.", tenant="default" if number % 2 else "other")
    corpus.embed()
    yield corpus
    database.close()


@pytest.fixture
def snapshot(corpus: Corpus) -> Path:
    watermark = build_version("v1", "main", SPEC, corpus.settings, patience_s=0)["watermark"]
    return corpus.settings.home / "indexes" / "v1" / f"snapshot-{watermark}"


def test_an_honest_snapshot_passes_both_audits(corpus: Corpus, snapshot: Path) -> None:
    passages = load_passages(snapshot)
    with corpus.database.read() as connection:
        assert audit_passages(connection, passages) == 6
    audit = audit_vectors(
        load_stores(snapshot, "faiss", StoreServers()), sample_chunks(passages, 4, "seed"), HashEmbedder()
    )
    assert len(audit.cosines) == 4
    assert audit.lowest == pytest.approx(1, abs=1e-5)


def test_a_sample_is_the_same_for_the_same_seed_and_never_larger_than_the_whole(snapshot: Path) -> None:
    passages = load_passages(snapshot)
    assert sample_chunks(passages, 3, "a") == sample_chunks(passages, 3, "a")
    assert len(sample_chunks(passages, 99, "a")) == 6


def tampered(snapshot: Path, **changes: object) -> list[PassageTable]:
    chunk = sample_chunks(load_passages(snapshot), 99, "a")[0]
    table = PassageTable()
    table.apply([DocumentUpdate(1, chunk.key, chunk.doc_version, (replace(chunk, **changes),))])
    return [table]


def test_a_passage_that_says_something_else_is_found(corpus: Corpus, snapshot: Path) -> None:
    passage = sample_chunks(load_passages(snapshot), 99, "a")[0].passage
    with corpus.database.read() as connection, pytest.raises(IncompleteIndex, match="1 of 1 passages"):
        audit_passages(connection, tampered(snapshot, passage=replace(passage, text="Stone")))


def test_a_passage_of_another_tenant_is_found(corpus: Corpus, snapshot: Path) -> None:
    key = sample_chunks(load_passages(snapshot), 99, "a")[0].key
    with corpus.database.read() as connection, pytest.raises(IncompleteIndex, match="1 of 1 passages"):
        audit_passages(connection, tampered(snapshot, key=key._replace(tenant="stranger")))


def test_passages_that_the_log_has_dropped_since_are_no_fault(corpus: Corpus, snapshot: Path) -> None:
    corpus.delete("d1")
    with corpus.database.read() as connection:
        assert audit_passages(connection, load_passages(snapshot)) == 5


def test_vectors_of_other_passages_are_found_even_inside_one_document(snapshot: Path) -> None:
    sample = sample_chunks(load_passages(snapshot), 99, "a")
    values = HashEmbedder().encode([chunk.passage.embedding_text for chunk in sample]).values
    store = FaissStore(StoreSpec(), SPEC.embedding.fingerprint, SPEC.embedding.dimensions)
    shifted = np.roll(values, 1, axis=0)
    store.apply(
        [
            DocumentUpdate(seq, chunk.key, 1, (chunk,), Vectors(SPEC.embedding.fingerprint, shifted[seq : seq + 1]))
            for seq, chunk in enumerate(sample)
        ]
    )
    audit = audit_vectors([store], sample, HashEmbedder())
    expected = {chunk.chunk_id: float(values[row] @ shifted[row]) for row, chunk in enumerate(sample)}
    assert audit.cosines == pytest.approx(expected, abs=1e-5)


def test_a_chunk_that_the_store_lacks_counts_as_opposite(snapshot: Path) -> None:
    store = FaissStore(StoreSpec(), SPEC.embedding.fingerprint, SPEC.embedding.dimensions)
    assert audit_vectors([store], sample_chunks(load_passages(snapshot), 2, "a"), HashEmbedder()).lowest == -1


def test_an_embedder_of_another_space_is_refused(snapshot: Path) -> None:
    class Foreign(HashEmbedder):
        spec = EmbeddingSpec(model="other", dimensions=8)

    with pytest.raises(ForeignVectors):
        audit_vectors(
            load_stores(snapshot, "faiss", StoreServers()), sample_chunks(load_passages(snapshot), 2, "a"), Foreign()
        )


def test_vectors_on_a_server_without_an_address_cannot_be_audited(snapshot: Path) -> None:
    with pytest.raises(Misconfigured, match="QUARRY_MILVUS_URL"):
        load_stores(snapshot, "milvus", StoreServers())
