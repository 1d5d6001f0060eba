"""A version on Pinecone through routing: built, proven, found, and ended with its index."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.quarry.errors import Misconfigured
from include.quarry.records import Scope
from include.quarry.routing.building import build_version
from include.quarry.routing.completeness import check_completeness
from include.quarry.routing.opening import opens_here
from include.quarry.routing.promotion import promote
from include.quarry.routing.resident import ResidentIndexes
from include.quarry.routing.retention import expire_versions
from include.quarry.settings import Settings
from include.quarry.specs import IndexSpec, StoreSpec
from tests.servers.pinecone import KEY, Fake, fake_pinecone
from tests.unit.routing.corpus import SPEC, Corpus, HashEncoder

ON_PINECONE = IndexSpec(embedding=SPEC.embedding, store=StoreSpec(adapter="pinecone"))


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    with fake_pinecone() as fake:
        yield fake


@pytest.fixture
def on_pinecone(routing_settings: Settings, fake: Fake) -> Settings:
    return routing_settings.model_copy(update={"pinecone_key": KEY, "pinecone_url": fake.url, "version_retention_s": 0})


async def test_a_version_is_built_found_and_ended_with_its_index(
    corpus: Corpus, on_pinecone: Settings, fake: Fake, tmp_path: Path
) -> None:
    corpus.put("a", "Granite.")
    corpus.put("b", "Basalt.", tenant="other")
    corpus.embed()
    build_version("v1", "main", ON_PINECONE, on_pinecone)
    corpus.put("c", "Slate.")
    corpus.embed()
    corpus.delete("a")
    proof = check_completeness("v1", on_pinecone)
    assert (proof["chunks"], proof["digest"]) == (2, proof["log_digest"])
    promote("v1", on_pinecone)
    residents = ResidentIndexes(
        corpus.database,
        corpus.lake,
        tmp_path / "scratch",
        lambda spec: HashEncoder(),
        interval_s=1,
        open_version=opens_here(corpus.database, corpus.lake, servers=on_pinecone.store_servers),
    )
    found = await residents.load("main").live.retrieve("slate", top_k=5, scope=Scope("default"))
    assert [hit.chunk.key.doc_id for hit in found.hits] == ["c"]
    build_version("v2", "main", SPEC, on_pinecone)
    promote("v2", on_pinecone)
    assert len(fake.indexes) == 1
    assert expire_versions(on_pinecone) == ["v1"]
    assert fake.indexes == {}


def test_a_key_that_is_not_set_is_named(corpus: Corpus, routing_settings: Settings) -> None:
    with pytest.raises(Misconfigured, match="QUARRY_PINECONE_KEY"):
        build_version("v1", "main", ON_PINECONE, routing_settings)
    on_milvus = IndexSpec(embedding=SPEC.embedding, store=StoreSpec(adapter="milvus"))
    with pytest.raises(Misconfigured, match="QUARRY_MILVUS_URL"):
        build_version("v2", "main", on_milvus, routing_settings)


def test_no_secret_is_shown(on_pinecone: Settings) -> None:
    assert KEY not in repr(on_pinecone.store_servers)
    assert KEY not in repr(on_pinecone)
