"""A vector that is not the one that the lake has for its text is found; what is honest is never called different."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from include.quarry.catalog.database import Database
from include.quarry.catalog.schema import chunks, vectors
from include.quarry.catalog.versions import find_version
from include.quarry.errors import IncompleteIndex
from include.quarry.lake.compaction import compact_lake
from include.quarry.records import Float32, Vectors
from include.quarry.routing.building import build_version
from include.quarry.settings import Settings, load_settings
from include.quarry.specs import IndexSpec, ShardSpec, StoreSpec
from include.quarry.stores import faiss
from include.quarry.verification.vectors import Proof, compare_vectors
from include.quarry.verification.verify import verify
from tests.servers.pinecone import KEY, Fake, fake_pinecone
from tests.unit.routing.corpus import SPEC, Corpus

ON_PINECONE = IndexSpec(embedding=SPEC.embedding, store=StoreSpec(adapter="pinecone"))
IN_SHARDS = replace(SPEC, shards=ShardSpec(count=2))
Spoil = Callable[[Callable[[Float32], None]], None]
STONES = ("Granite", "Basalt", "Slate", "Marl", "Chalk", "Tuff")


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with fake_pinecone() as fake:
        yield fake


@pytest.fixture
def settings(catalog_url: str, tmp_path: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("QUARRY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QUARRY_DATABASE_URL", catalog_url)
    load_settings.cache_clear()
    settings = load_settings().model_copy(update={"pinecone_key": KEY, "pinecone_url": fake.url})
    load_settings.cache_clear()
    fake.indexes.clear()
    return settings


@pytest.fixture
def corpus(database: Database, settings: Settings) -> Corpus:
    corpus = Corpus(database, settings)
    for number, stone in enumerate(STONES):
        corpus.put(stone, f"{stone} is a stone.", tenant="default" if number % 2 else "other")
    corpus.put("Granite too", "Granite is a stone.")  # one text, two passages
    corpus.embed()
    return corpus


def compare(corpus: Corpus, version_id: str = "v1") -> Proof:
    with corpus.database.read() as connection:
        version = find_version(connection, version_id)
    return compare_vectors(version, corpus.database, corpus.lake, corpus.settings.store_servers)


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Float32], None]], None]:
    """Let a store write other rows than it was given. What is spoiled on the disk later, loading finds by itself."""
    write = faiss._write_vectors

    def spoil(change: Callable[[Float32], None]) -> None:
        def write_spoiled(*args: Any) -> Float32:
            values = write(*args)
            change(values)
            return values

        monkeypatch.setattr(faiss, "_write_vectors", write_spoiled)

    return spoil


def swap(values: Float32) -> None:
    values[[1, 2]] = values[[2, 1]]


def flip_the_lowest_bit(values: Float32) -> None:
    values.view(np.uint32)[3, 5] ^= 1


def doubled(values: Float32) -> None:
    values[4] = values[5]


@pytest.mark.parametrize("kind", ["auto", "flat", "hnsw", "sq8"])
@pytest.mark.parametrize(("change", "differ"), [(swap, 2), (flip_the_lowest_bit, 1), (doubled, 1)])
def test_a_vector_that_is_another_than_the_lakes_is_found_and_named(
    corpus: Corpus, spoil: Spoil, kind: Any, change: Callable[[Float32], None], differ: int
) -> None:
    spec = replace(SPEC, store=StoreSpec(kind=kind))
    build_version("v0", "main", spec, corpus.settings)
    assert compare(corpus, "v0") == Proof(7, exact=True)
    spoil(change)
    build_version("v1", "main", spec, corpus.settings)
    with pytest.raises(IncompleteIndex, match=rf"^{differ} of 7 vectors are not those .*'main/(default|other)/"):
        compare(corpus)


def test_the_command_says_so_in_a_line_of_its_own(corpus: Corpus, spoil: Spoil) -> None:
    build_version("v0", "main", SPEC, corpus.settings)
    spoil(swap)
    build_version("v1", "main", SPEC, corpus.settings)
    lines = _lines(corpus)
    assert "equal: lake and index version v0: 7 vectors, all, bit by bit" in lines
    assert "DIFFERENT: lake and index version v1" in lines
    assert any(line.startswith("equal: log and index version v1") for line in lines)


def test_shards_are_compared_each_with_its_own_passages(corpus: Corpus) -> None:
    build_version("v1", "main", IN_SHARDS, corpus.settings)
    assert compare(corpus) == Proof(7, exact=True)


def test_it_does_not_matter_where_in_the_lake_a_vector_lies(corpus: Corpus) -> None:
    build_version("v1", "main", SPEC, corpus.settings)
    corpus.put("late", "Flint is a stone.")
    hashes = _hashes(corpus, "late")
    corpus.lake.put_inline(hashes, _vector())
    assert compare(corpus) == Proof(7, exact=True)
    compact_lake(corpus.database, corpus.lake)
    assert compare(corpus) == Proof(7, exact=True)


def test_a_vector_in_the_fresh_tail_is_compared(corpus: Corpus) -> None:
    corpus.put("late", "Flint is a stone.")
    hashes = _hashes(corpus, "late")
    corpus.lake.put_inline(hashes, _vector())
    build_version("v1", "main", SPEC, corpus.settings)
    assert compare(corpus) == Proof(8, exact=True)
    with corpus.database.write() as connection:
        other = np.roll(_vector().values[0], 1).astype("<f4").tobytes()
        connection.execute(sa.update(vectors).where(vectors.c.text_hash.in_(hashes)).values(inline=other))
    with pytest.raises(IncompleteIndex, match=r"1 of 8 vectors .*'main/default/late'"):
        compare(corpus)


def test_what_moves_in_the_lake_while_it_is_read_is_not_called_different(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_version("v1", "main", SPEC, corpus.settings)
    monkeypatch.setattr(corpus.lake, "everything", lambda _space: iter(()))
    assert compare(corpus).compared == 7


@pytest.mark.parametrize("spec", [SPEC, ON_PINECONE], ids=["faiss", "pinecone"])
def test_a_text_that_came_back_with_another_vector_is_not_called_different(corpus: Corpus, spec: IndexSpec) -> None:
    build_version("v1", "main", spec, corpus.settings)
    (text_hash,) = _hashes(corpus, "Basalt")
    corpus.delete("Basalt")
    with corpus.database.write() as connection:
        connection.execute(sa.delete(vectors).where(vectors.c.text_hash == text_hash))
    assert compare(corpus).compared >= 6
    corpus.put("Basalt", "Basalt is a stone.")
    assert _hashes(corpus, "Basalt") == [text_hash]
    corpus.lake.put_inline([text_hash], _vector())
    assert compare(corpus).compared == 7


def test_a_server_is_asked_by_search_and_two_vectors_that_were_swapped_are_found(corpus: Corpus, fake: Fake) -> None:
    build_version("v1", "main", ON_PINECONE, corpus.settings)
    assert compare(corpus) == Proof(7, exact=False)
    assert "equal: lake and index version v1: 7 vectors, a sample, by search" in _lines(corpus)
    one, other, *_ = _records(fake)
    one["values"], other["values"] = other["values"], one["values"]
    with pytest.raises(IncompleteIndex, match=r"^2 of 7 vectors"):
        compare(corpus)


def test_a_document_that_says_one_thing_more_often_than_a_search_shows_is_not_called_different(
    corpus: Corpus, fake: Fake
) -> None:
    corpus.put("log", "The pump ran well and nothing was wrong. " * 3500)
    corpus.embed()
    build_version("v1", "main", ON_PINECONE, corpus.settings)
    assert compare(corpus).compared > 7 + 100
    for record in _records(fake):
        record["values"] = np.roll(record["values"], 1).tolist()
    with pytest.raises(IncompleteIndex, match=r"^(\d+) of \1 vectors"):
        compare(corpus)


def test_a_server_may_keep_bf16(corpus: Corpus, fake: Fake) -> None:
    build_version("v1", "main", ON_PINECONE, corpus.settings)
    for record in _records(fake):
        bits = np.asarray(record["values"], "<f4").view(np.uint32) + np.uint32(0x8000) & np.uint32(0xFFFF0000)
        record["values"] = bits.view("<f4").tolist()
    assert compare(corpus) == Proof(7, exact=False)


def test_a_server_that_follows_the_log_is_not_called_different(corpus: Corpus) -> None:
    build_version("v1", "main", ON_PINECONE, corpus.settings)
    corpus.put("Basalt", "Basalt is no stone.")
    corpus.delete("Marl")
    corpus.embed()
    assert all(finding.equal for finding in verify(corpus.settings))  # which lets the server follow
    assert compare(corpus).compared == 7


def _lines(corpus: Corpus) -> list[str]:
    return [line for finding in verify(corpus.settings, patience_s=0) for line in finding.lines]


def _hashes(corpus: Corpus, doc_id: str) -> list[str]:
    with corpus.database.read() as connection:
        return list(connection.scalars(sa.select(chunks.c.text_hash).where(chunks.c.doc_id == doc_id)))


def _vector() -> Vectors:
    """One that no text has."""
    return Vectors(SPEC.embedding.fingerprint, np.array([[0.6, 0.8, 0, 0, 0, 0, 0, 0]], np.float32))


def _records(fake: Fake) -> list[dict[str, Any]]:
    (index,) = fake.indexes.values()
    return [record for records in index.namespaces.values() for record in records.values()]
